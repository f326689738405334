/* ingress/lan_watch.h - the addresses of ingress/lan.h, and to be told when they are others. */
#pragma once
#include "base/err.h"
#include "base/strv.h"
#include "ingress/lan.h"

typedef struct uv_loop_s uv_loop_t;
struct lan_watch;

/* changed is called a moment after the last of several changes, never from inside these calls.
 * NULL with *e. */
struct lan_watch *lan_watch_new(
	uv_loop_t *l, void (*changed)(void *owner), void *owner, struct err *e);
void lan_watch_free(struct lan_watch *w); /* NULL is fine */
const struct lan *lan_watch_now(const struct lan_watch *w);

/* Whether an address is one of those that are listened on, "192.0.2.1" or "[2001:db8::1]"; none of
 * them, or one that stands for all, is every address. Pure. */
bool lan_is_told(const struct strv *listen, struct ip address);
