/* container/attach.h - somebody at the stdio of a running container or exec: one connection to its
 * shim.
 *
 * output gets frames' payloads (stream 1 stdout, 2 stderr; a tty has only 1). ended is the last
 * call: the process has ended and all its output was delivered, or the shim is gone. Callbacks
 * never come from inside attach_new.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct container;
struct attach;
struct attach_handlers {
	void (*output)(void *owner, int stream, const char *data, size_t n);
	void (*ended)(void *owner);
};

/* want: SHIM_WANT_ flags (codec/shim_frame.h). A container that is created but not started yet may
 * be attached to: output begins with its first byte (docker run attaches before start).
 * ERR_CONFLICT when it has stopped. */
struct attach *attach_new(struct container *c, unsigned want, const struct attach_handlers *h,
	void *owner, struct err *e);
void attach_free(struct attach
		*a); /* NULL is fine; no callback after this returns; closes stdin if StdinOnce */
/* Returns false when the container reads slower: wait for drained. */
bool attach_input(
	struct attach *a, const char *data, size_t n, void (*drained)(void *owner), void *owner);
void attach_input_end(struct attach *a); /* the client half-closed */
void attach_pause(struct attach *a,
	bool pause); /* the client reads slower: output waits, then the container does */
