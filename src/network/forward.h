/* network/forward.h - one DNS question asked upstream, server after server.
 *
 * Every attempt has a socket of its own, and so a random port, and an id of its own: an answer
 * counts only when it comes from the server that was asked and repeats the question (RFC 5452).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strv.h"

typedef struct uv_loop_s uv_loop_t;
struct forward;

/* answer is borrowed and carries the asker's id; NULL: no server answered. */
typedef void forward_done_fn(void *owner, const uint8_t *answer, size_t n);

/* message: a query of at least DNS_HEADER_BYTES, copied. tcp: asked by TCP, so that nothing is cut
 * off. done is called once, never from inside, unless the question is cancelled before. NULL when
 * there is no server to ask. */
struct forward *forward_start(uv_loop_t *l, const struct strv *servers, const uint8_t *message,
	size_t n, bool tcp, forward_done_fn *done, void *owner);
void forward_cancel(struct forward *f);
