/* compose/interpolate.h - `$NAME ${NAME} ${NAME:-default} ${NAME-d} ${NAME:?sentence} ${NAME?s}
 * ${NAME:+other} ${NAME+o} $$`
 *
 * Compose specification, "Interpolation". Braces are counted, so a default may hold JSON; what is
 * not used is not evaluated; a value is never interpolated again; a `$` that begins no variable
 * stays.
 */
#pragma once
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/strv.h"

#define INTERPOLATE_BYTES_MAX (1u << 20)
#define INTERPOLATE_DEPTH_MAX 32

struct variables {
	const char *(*lookup)(void *owner, const char *name); /* NULL when unset */
	void *owner;
	struct strv *unset; /* collects the names that had no value and no default; may be NULL */
};

/* Appends the result. The sentence in *e has no position: the caller knows where the text stood. */
int interpolate(const char *text, const struct variables *vars, struct buf *ret, struct err *e);
