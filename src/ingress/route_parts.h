/* ingress/route_parts.h - what the files that read labels share. */
#pragma once
#include "ingress/route.h"

/* One field of wherry.http, as its label's text; the sentence does not name the label. */
typedef int route_field_fn(struct route *r, const char *text, struct err *e);
struct route_field {
	const char *name;
	route_field_fn *read;
};
/* NULL when there is no such field. */
const struct route_field *route_field_find(const char *name);
/* What single fields cannot know: that they go together. given: names of the fields that there are.
 */
int route_check(const struct route *r, const struct strv *given, struct err *e);

struct stream_route *stream_route_parse(const char *name, const char *text, struct err *e);
void stream_route_free(struct stream_route *s); /* NULL is fine */
SCOPED(struct stream_route *, stream_route_free)

/* Which of words (NULL ends them) text is, as *ret; ERR_INVALID "must be a, b or c". */
int route_word(const char *text, const char *const *words, int *ret, struct err *e);
