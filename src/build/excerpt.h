/* build/excerpt.h - the lines of a Dockerfile that an error or a warning is about, for people.
 *
 *     Dockerfile:3
 *     --------------------
 *        1 |     FROM busybox
 *        2 |     RUN true
 *        3 | >>> FORM busybox
 *          |     ^^^^
 *     --------------------
 *
 * The form is BuildKit's (solver/errdefs); the carets are ours. Pure.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "build/dockerfile.h"

struct excerpt {
	const char *file; /* borrowed */
	const char *text; /* the whole file; borrowed */
	int line, end_line;
	const char *word; /* what carets stand under when a line has it, or NULL; borrowed */
};

void excerpt_print(const struct excerpt *x, struct buf *ret);

/* Where "FILE:LINE: ..." points, of this file: from that line to the end of its instruction. */
bool excerpt_find(const struct dockerfile *d, const char *message, int *ret_line, int *ret_end);
/* The word that a message is about: what it quotes, or what follows "unknown instruction: ". The
 * caller's, or NULL. */
char *excerpt_word(const char *message);

/* {"file", "lines": [[first, last]], "text"}, a new object; NULL when the message points nowhere.
 */
json_t *excerpt_source(const struct dockerfile *d, const char *message);
/* The same back as text for the end of a message; nothing when it is no such object. */
void excerpt_of_source(const json_t *source, const char *message, struct buf *ret);
