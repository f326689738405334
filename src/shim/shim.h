/* shim/shim.h - the parts of wherry-shim: one process for each container or exec.
 *
 * main.c   namespaces, overlay mount, crun, the exit record
 * options.c  arguments
 * relay.c  the poll loop between the container's stdio, the log and the clients on shim.sock
 * log.c    the container's log (log.h)
 * pins.c   sources of mounts, held on to
 * The wire format is codec/shim_frame.h. No library but libc: the program is static and stays
 * resident.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum log_format { LOG_FORMAT_JSON, LOG_FORMAT_LOCAL, LOG_FORMAT_JOURNAL };
struct log_options {
	const char *path; /* of the live file; for the journal anything */
	enum log_format format;
	int64_t max_bytes; /* 0: no limit */
	int files;
	const char *compressor; /* wherry-worker, when rotated files are to be compressed */
	const char *
		extra; /* a file of bytes that stand in each line: JSON members or journal fields */
	int64_t buffer_bytes; /* over 0: the container never waits for the log */
};

#define SHIM_LET_GO_MAX 256

#define SHIM_PINS_MAX 600
#define SHIM_RUNTIME_ARGS_MAX 32

/* A source to be held on to: see pins.c. */
struct shim_pin {
	const char *name;  /* DIR/pins/NAME */
	const char *lower; /* of an image: its layers' directories, topmost first; or NULL */
	const char *root;  /* host directory or file */
	const char *path; /* below it, "" for itself; with pid: absolute, as that process sees it */
	pid_t pid;        /* 0: from the host */
	int tree_fd;
};

struct shim_options {
	const char *id;
	const char *dir; /* RUN/containers/ID: bundle, pid, exit, console.sock */
	const char *crun;
	const char *crun_root;
	const char *cgroup; /* "wherry/ID": where to look for an OOM kill */
	const char *layers; /* the relative names of lower start here; NULL for an exec */
	const char *lower, *upper, *work;
	const char *let_go[SHIM_LET_GO_MAX]; /* mounts of other containers' volumes */
	int n_let_go;
	struct log_options log; /* path NULL: no log */
	const char *exec;       /* process file: run `crun exec`; NULL: run the container */
	pid_t parent;           /* the daemon: its death before GO is ours */
	bool new_netns, tty, open_stdin;
	struct shim_pin *pins;
	size_t n_pins;
	const char *runtime_args[SHIM_RUNTIME_ARGS_MAX]; /* before the command */
	size_t n_runtime_args;
};

/* --- options.c --- */
/* Texts are argv's. -1: an argument is missing, unknown or one too many. */
int shim_options_read(struct shim_options *o, int argc, char **argv);

/* --- pins.c: all -1 with errno --- */
int pins_take(struct shim_pin *pins, size_t n); /* before the namespace is the host's slave */
/* After; layers: where names of lower are. The working directory is "/" then. */
int pins_mount(struct shim_pin *pins, size_t n, const char *dir, const char *layers);

/* --- log.c --- */
struct log;
struct log *log_open(const struct log_options *o); /* borrowed; NULL with errno */
/* stream 1 or 2. Never fails: what cannot be written (a full disk) is dropped. */
void log_write(struct log *l, int stream, const char *data, size_t n);
int log_fd(const struct log *l); /* poll it for writing, then log_flush; -1: nothing to wait for */
void log_child_ended(struct log *l, pid_t pid, int status); /* perhaps it was ours */
void log_flush(struct log *l);                              /* the lines so far, to the file */
void log_end(struct log *l);                                /* also the unfinished lines */
void log_free(struct log *l); /* NULL is fine; what was not flushed is gone */

/* --- relay.c --- */
struct relay;
struct relay_stdio {
	int in, out, err; /* our ends; -1 where there is none; a tty has in == out */
};
/* ABANDONED: the daemon died before it said GO; nothing has run, nobody will ask. */
enum relay_event { RELAY_GO, RELAY_CHILD, RELAY_ABANDONED };

struct relay *relay_new(int listen_fd, int signal_fd, struct log *l, bool tty);
void relay_free(struct relay *r); /* NULL is fine; clients see the end */
/* Runs until the daemon said GO, a child changed state, or (once drain was asked for) everything is
 * delivered. */
enum relay_event relay_wait(struct relay *r);
void relay_set_stdio(struct relay *r, struct relay_stdio io);
/* Tells control connections, now and those that come later. type: a state of codec/shim_frame.h. */
void relay_set_state(struct relay *r, uint8_t type, const void *payload, size_t n);
/* Waits until the daemon listens for states, at most limit_ms: a failure before the first wait must
 * reach it. */
void relay_wait_control(struct relay *r, int limit_ms);
/* Reads what is left in the pipes into log and clients. */
void relay_drain_output(struct relay *r);
/* Delivers everything queued to clients that still read, at most limit_ms. */
void relay_flush(struct relay *r, int limit_ms);
