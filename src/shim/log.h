/* shim/log.h - what the files of the shim's log share; relay.c and main.c know shim.h only.
 *
 * log.c          the container's bytes to lines, lines to Docker's json-file format or to "local"
 * log_files.c    the file they go to: rotation, and compression by a helper process
 * log_journal.c  lines to journald
 * log_buffer.c   mode non-blocking: a writer process behind a bounded buffer
 */
#pragma once
#include "shim/shim.h"

/* dockerd cuts longer lines there: a part has no newline at its end. */
#define LINE_MAX_BYTES 16384

/* --- log_files.c --- */
struct log_files {
	char path[4096];
	int fd;
	int64_t size, max_bytes;
	int limit;              /* files in all */
	int oldest;             /* number of the last rotated file, 0: there is none */
	const char *compressor; /* NULL: rotated files stay as they are */
	pid_t compressing;      /* 0: nobody */
	int compressing_fd;     /* of the file that is compressed: tells where it is now */
};
int log_files_open(struct log_files *f, const struct log_options *o); /* -1 with errno */
/* Whether the file is full once n more bytes are in it. */
bool log_files_full(const struct log_files *f, size_t n);
void log_files_write(struct log_files *f, const char *data, size_t n); /* whole lines */
void log_files_child_ended(struct log_files *f, pid_t pid, int status);
void log_files_close(struct log_files *f);

/* --- log_journal.c --- */
struct journal;
struct journal *journal_open(const char *extra, size_t extra_n); /* NULL with errno */
/* One line without its newline; part: more of it follows. */
void journal_send(struct journal *j, int stream, const char *text, size_t n, bool part);
void journal_free(struct journal *j); /* NULL is fine */

/* --- log_buffer.c --- */
struct log_buffer;
/* Forks a process that writes to what open_log gives; at most bytes wait for it. NULL with errno.
 */
struct log_buffer *log_buffer_new(const struct log_options *o, int64_t bytes);
void log_buffer_put(struct log_buffer *b, int stream, const char *data, size_t n);
void log_buffer_send(struct log_buffer *b);    /* what the writer takes without waiting */
int log_buffer_fd(const struct log_buffer *b); /* to poll for writing; -1: nothing waits */
void log_buffer_end(struct log_buffer *b);     /* everything is written when this returns */
void log_buffer_free(struct log_buffer *b);    /* NULL is fine */
