/* wherry/build_trace.h - what is known of the steps of a build: the state behind build_display.h.
 *
 * Fed with the updates of BuildKit's Status stream (control.proto StatusResponse), in which each
 * vertex is said anew whenever it changes: known, started, completed; some start several times and
 * their spans add up. Times are the engine's clock, ns since 1970; 0: not known.
 *
 * Pure: no clock, no fds. What an engine can make grow has a bound: VERTICES_MAX steps,
 * STATUSES_MAX lines of progress and WARNINGS_MAX warnings of each, LAST_MAX bytes of the last
 * output of each, PENDING_MAX of it not shown yet; what is beyond is dropped, oldest first for
 * output.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/map.h"
#include "wherry/build_screen.h"

#define TRACE_VERTICES_MAX 20000
#define TRACE_STATUSES_MAX 500
#define TRACE_WARNINGS_MAX 200
#define TRACE_PENDING_MAX (256u << 10)

/* --- the messages; everything in them is borrowed for the call --- */

struct build_vertex {
	const char *digest, *name, *error; /* error "" or NULL: none */
	const char *const *inputs;
	size_t n_inputs;
	int64_t started_ns, completed_ns;
	bool cached;
};

struct build_status {
	const char *vertex, *id, *name;
	int64_t current, total, time_ns, started_ns, completed_ns;
};

struct build_log {
	const char *vertex;
	int stream; /* 1 stdout, 2 stderr */
	const char *data;
	size_t n;
	int64_t time_ns;
};

struct build_warning {
	const char *vertex, *brief, *url, *file;
	const char *source; /* the text of the file, or NULL */
	const char *const *detail;
	size_t n_detail;
	int level, line, last_line; /* line 0: not known */
};

struct build_update {
	const struct build_vertex *vertices;
	const struct build_status *statuses;
	const struct build_log *logs;
	const struct build_warning *warnings;
	size_t n_vertices, n_statuses, n_logs, n_warnings;
};

/* --- the state --- */

struct trace_span {
	int64_t from_ns, to_ns; /* to_ns 0: still running */
};

struct trace_status {
	char *id;
	int64_t current, total, time_ns, started_ns, completed_ns;
	bool changed;                    /* since it was shown */
	bool shown;                      /* ever */
	int64_t shown_current, shown_ns; /* when it last was */
};

struct trace_warning {
	char *brief, *detail, *url, *file, *source;
	int line, last_line;
};

struct trace_vertex {
	char *key, *name, *error;
	struct trace_span *spans; /* apart from each other, in order */
	size_t n_spans;
	bool cached, changed; /* changed: something to show */
	unsigned index;       /* "#7"; 0: not shown yet */
	struct trace_status *statuses;
	size_t n_statuses;
	struct trace_warning *warnings;
	size_t n_warnings, warnings_shown;
	struct buf pending;          /* output that was not shown, lines with their time in front */
	struct buf last;             /* the last lines, the same form */
	bool mid_line;               /* the output so far does not end with a newline */
	bool mid_last, mid_show;     /* the same of what is in last, and of what was shown */
	struct build_screen *screen; /* its last lines as a terminal has them; NULL: none */
	size_t output_bytes;
	int64_t waiting_ns; /* the caller's clock: since when something waits to be shown; 0: no */
};

struct trace {
	struct map *by_key;
	struct trace_vertex **started; /* in the order in which they started */
	size_t n_started;
	int64_t started_ns;            /* of the first step */
	int64_t ahead_ns;              /* the caller's clock minus the engine's */
	bool screens;                  /* keep them */
	size_t last_lines, last_bytes; /* how much of the last output to keep */
};

void trace_init(struct trace *t);
void trace_deinit(struct trace *t);

/* source: which of several builds it is of, "" or "service-name": put into the names
 * ("[web 2/5] RUN ..."). now_ns: the caller's clock, since 1970. */
void trace_update(
	struct trace *t, const char *source, const struct build_update *u, int64_t now_ns);

bool trace_is_done(const struct trace_vertex *v); /* completed, for now */
/* All spans; one that still runs counts to now (the engine's clock). */
int64_t trace_duration_ns(const struct trace_vertex *v, int64_t now_ns);
bool trace_is_cancelled(const struct trace_vertex *v);
/* "1.2kB / 3MB", "35B" or "" for a status. */
void trace_amount(const struct trace_status *s, struct buf *ret);
