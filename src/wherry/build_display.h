/* wherry/build_display.h - a build on the screen: messages in, text out, the clock is given.
 *
 * Plain, for pipes: "#7 [stage 2/5] RUN ...", "#7 0.345 text", "#7 CACHED", "#7 DONE 0.3s". On a
 * terminal: a header, a line per step that is redrawn, the last lines of what runs. Raw: the
 * updates as JSON. All as docker buildx prints them, because people and their scripts read it.
 * Several builds (compose) share one display, told apart by their source.
 *
 * Pure: writes nothing, knows no clock; bounded as build_trace.h says.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "wherry/build_trace.h"

enum build_display_mode { DISPLAY_PLAIN, DISPLAY_TTY, DISPLAY_QUIET, DISPLAY_RAWJSON };

struct build_display_options {
	enum build_display_mode mode;
	bool color;
	const char *title;  /* "building with ..." as the first line of plain; NULL: none */
	const char *corner; /* at the right end of the header on a terminal; NULL: none */
};

struct build_display;

/* The options' strings are borrowed for its life. */
struct build_display *build_display_new(const struct build_display_options *o);
void build_display_free(struct build_display *d);
SCOPED(struct build_display *, build_display_free)

void build_display_size(struct build_display *d, size_t columns, size_t rows);

/* now_ns: the caller's wall clock, since 1970. Text to print is appended to *ret (raw JSON only;
 * the others print when they are refreshed, so that quick steps do not flicker). */
void build_display_update(struct build_display *d, const char *source, const struct build_update *u,
	int64_t now_ns, struct buf *ret);
/* What there is to show now. Call it about every 100 ms while anything happens. */
void build_display_refresh(struct build_display *d, int64_t now_ns, struct buf *ret);
/* The build is over: the last state, and the last output of steps that failed. */
void build_display_end(struct build_display *d, int64_t now_ns, struct buf *ret);
/* " 2 warnings found:" with rule, line and explanation; appends nothing when there were none. */
void build_display_warnings(const struct build_display *d, struct buf *ret);

/* --- between the files build_display*.c --- */
struct build_display {
	struct build_display_options o;
	struct trace trace;
	size_t columns, rows;
	/* plain */
	struct trace_vertex *current; /* whose block is open; NULL: none */
	unsigned next_index;
	bool any;          /* something was printed */
	int64_t opened_ns; /* since when current is */
	/* terminal */
	size_t drawn; /* lines on the screen */
};
void build_plain_refresh(struct build_display *d, int64_t now_ns, struct buf *ret);
void build_tty_refresh(struct build_display *d, bool last, int64_t now_ns, struct buf *ret);
void build_rawjson(const struct build_update *u, struct buf *ret);
