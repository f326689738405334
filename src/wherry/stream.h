/* wherry/stream.h - this terminal and the streams of a container or an exec, tied together.
 *
 * stream_open attaches on a connection of its own, before the container is started, so that nothing
 * is lost; stream_relay passes bytes until the container's output ends or the user detaches.
 * Between the two, signals wait in a signalfd.
 */
#pragma once
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <termios.h>

#include "base/buf.h"
#include "base/err.h"
#include "wherry/command.h"
#include "wherry/demux.h"
#include "codec/detach.h"

struct stream_options {
	const char *kind; /* "containers" or "exec": where resize goes */
	const char *id;
	bool with_stdin;
	bool tty;                /* of the container: bytes are not multiplexed, ours becomes raw */
	bool sig_proxy;          /* signals are sent to the container */
	const char *detach_keys; /* NULL: those of config.json, or the default */
};

struct stream {
	struct cli *cli;
	struct stream_options o;
	int fd; /* the hijacked connection */
	int signal_fd;
	struct buf early;
	struct buf to_engine;
	struct demux demux;
	struct detach detach;
	bool stdin_open;
	int resize_tries, resize_again_ms; /* 0: not needed */
	bool masked, raw;
	sigset_t old_mask;
	struct termios old_termios;
};

/* "the input device is not a TTY" when a terminal is wanted and ours is none. */
int stream_check_tty(bool with_stdin, bool tty, struct err *e);

/* POST path with an upgrade; body may be NULL. */
int stream_open(struct stream *s, struct cli *cli, const struct stream_options *o, const char *path,
	const json_t *body, struct err *e);
/* Tells the engine how large our terminal is; stream_relay tries again what failed. */
void stream_resize(struct stream *s);
/* *ret_detached: the user typed the detach keys. */
int stream_relay(struct stream *s, bool *ret_detached, struct err *e);
/* Gives the terminal and the signals back as they were. After stream_open, also when it failed;
 * twice is fine. */
void stream_close(struct stream *s);
