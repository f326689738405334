#include "compose/cycle.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/strv.h"

#define TEXT_MAX 360u /* of the way: a sentence of struct err holds it and the place */

/* Who names the first step is not on the way. */
static char *step_text(const struct way *w, bool first)
{
	return first || !w->at
		       ? xstrdup(w->name)
		       : xasprintf("%s (%s:%d:%d)", w->name, w->at->file ? w->at->file : "compose",
				 w->at->line, w->at->column);
}

/* How many of the steps after the first are left out so that the text is not too long. */
static size_t left_out(const struct strv *steps)
{
	size_t length = 0;
	for (size_t i = 0; i < steps->n; i++) {
		length += strlen(steps->v[i]) + strlen(" -> ");
	}
	size_t out = 0;
	while (length > TEXT_MAX && out + 3 < steps->n) {
		length -= strlen(steps->v[1 + out]) + strlen(" -> ");
		out++;
	}
	return out;
}

void cycle_err_(struct err *e, const char *what, const struct way *first, const struct way *last)
{
	scoped(strv) struct strv steps = STRV_INIT; /* the last one first */
	for (const struct way *w = last;; w = w->before) {
		bool begins = w == first || !w->before;
		scoped(free) char *text = step_text(w, begins);
		strv_add(&steps, text);
		if (begins) {
			break;
		}
	}
	for (size_t i = 0; i < steps.n / 2; i++) {
		char *other = steps.v[i];
		steps.v[i] = steps.v[steps.n - 1 - i];
		steps.v[steps.n - 1 - i] = other;
	}
	size_t out = left_out(&steps);
	scoped(buf) struct buf way = BUF_INIT;
	for (size_t i = 0; i < steps.n; i++) {
		if (out > 0 && i == 1) {
			buf_printf(&way, " -> %zu more", out);
			i += out;
		}
		buf_printf(&way, "%s%s", i > 0 ? " -> " : "", steps.v[i]);
	}
	node_err_(e, last->at, "%s cycle detected: %s", what, buf_str(&way));
}
