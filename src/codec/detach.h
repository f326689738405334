/* codec/detach.h - the keys that leave a container running: "ctrl-p,ctrl-q". Pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define DETACH_KEYS_MAX 16
#define DETACH_KEYS_DEFAULT "ctrl-p,ctrl-q"

struct detach {
	char keys[DETACH_KEYS_MAX];
	size_t n;
	size_t matched; /* held back until it is clear what they are */
};

/* Comma separated single characters or ctrl-a to ctrl-z, ctrl-@, ctrl-[, ctrl-\, ctrl-], ctrl-^,
 * ctrl-_. */
int detach_parse(const char *text, struct detach *ret, struct err *e);
/* Passes typed bytes on to ret, without those that may be the sequence. True when the sequence is
 * complete. */
bool detach_feed(struct detach *d, const char *data, size_t n, struct buf *ret);
