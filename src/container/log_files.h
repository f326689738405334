/* container/log_files.h - the files of a container's log while its shim rotates them: PATH is the
 * live one, PATH.1 or PATH.1.gz the one before (shim/log_files.c).
 *
 * A file is known by its inode, for its number grows under us; a compressed one says in its head
 * whose content it has.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define LOG_FILES_MAX                                                                         \
	1100           /* of one container: 1000 by its options, and what is kept for readers \
			*/
#define LOG_GZ_HEAD 24 /* bytes of a compressed file up to and with the inode */

struct log_file {
	int fd; /* the caller's */
	bool gz;
	dev_t dev;
	ino_t ino;
	ino_t content_ino; /* of the plain file that held these bytes */
};

/* number 0 is the live one. -errno; -ENOENT when it is not there (now). */
int log_file_open(const char *path, int number, struct log_file *ret);
int log_file_place(const char *path, const struct log_file *f); /* its number now; -1: gone */
int log_file_oldest(const char *path);                          /* 0: only the live one */
/* The one that was begun after f. -EAGAIN: f is the live one; -EBUSY: the shim is rotating at this
 * moment; -ENOENT: f has gone, so what follows is the oldest. */
int log_file_next(const char *path, const struct log_file *f, struct log_file *ret);
/* The inode that a compressed file names; 0 when it names none. head has LOG_GZ_HEAD bytes. */
uint64_t log_gz_inode(const unsigned char *head);
/* Tells the shim that somebody reads, until the fd is closed; -errno. */
int log_files_hold(const char *path);
