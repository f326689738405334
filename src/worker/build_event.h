/* worker/build_event.h - what a build says while it runs, in one of two forms (option "progress").
 *
 * "classic": the text of Docker's classic builder, {"stream": "Step 1/3 : FROM x\n"}. Stages that
 * run at the same time are shown one after another, in the order of the Dockerfile: what a stage
 * says before its turn is kept; beyond a bound the stage waits.
 * "vertices": BuildKit's graph, as it is known; ids are small integers, times are ns since the
 * epoch, members that are not known are absent:
 *   {"vertex": {"id": 3, "name": "[stage 2/5] RUN make", "inputs": [1, 2], "started": T,
 *    "completed": T, "cached": true, "error": "..."}}  when it is known, begins, ends
 *   {"log": {"vertex": 3, "stream": 1, "data": "valid UTF-8", "time": T}}
 *   {"status": {"vertex": 3, "id": "extracting ...", "current": N, "total": N, "time": T,
 * "started": T, "completed": T}}
 *   {"warning": {"vertex": 1, "level": 1, "rule": "StageNameCasing", "short": "...", "detail":
 *    ["..."], "url": "", "file": "Dockerfile", "lines": [[first, last]]}}
 *
 * Every function may be called from any thread, and does nothing in the form that it is not of: a
 * step says both. A vertex id of 0 is nobody's: what is said of it is dropped.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct rpc;
struct build_events;
struct build_turn; /* a stage's place in the order of classic output */

struct build_events *build_events_new(struct rpc *rpc, bool vertices); /* rpc is borrowed */
void build_events_free(struct build_events *v);
/* Nothing is said any more, by nobody: the job has an error to tell. What stages have said out of
 * turn is said, vertices that have begun end as canceled. */
void build_events_close(struct build_events *v);

/* --- classic --- */
/* The next in order. Before any stage runs. The result is v's. */
struct build_turn *build_turn_new(struct build_events *v);
void build_turn_end(struct build_events *v, struct build_turn *t); /* it has nothing more to say */
/* From now on it never waits for its turn: what it says is bounded by its caller alone. */
void build_turn_unbound(struct build_events *v, struct build_turn *t);
void build_turn_bound(struct build_events *v, struct build_turn *t); /* it does again */
/* turn NULL: of no stage, at once. */
void build_say(struct build_events *v, struct build_turn *turn, const char *fmt, ...) PRINTF(3, 4);

/* --- vertices --- */
/* A vertex that is known now: its id. */
int build_event_vertex(struct build_events *v, const int *inputs, size_t n_inputs, const char *fmt,
	...) PRINTF(4, 5);
void build_event_begin(struct build_events *v, int vertex);
/* why NULL: it is done; cached: without work. */
void build_event_end(struct build_events *v, int vertex, bool cached, const struct err *why);

struct build_status {
	const char *id;         /* "extracting sha256:..." */
	int64_t current, total; /* total 0: not known */
	int64_t started_ns;
	bool completed; /* now */
};
void build_event_status(struct build_events *v, int vertex, const struct build_status *s);

struct build_warning {
	const char *rule;   /* "StageNameCasing", or NULL */
	const char *text;   /* one line, without the rule */
	const char *detail; /* or NULL */
	const char *url;    /* or NULL */
	const char *file;   /* or NULL: of no line */
	int first, last;    /* lines */
	int level;          /* 1 */
};
/* Both forms: classic shows "[Warning] text". */
void build_event_warning(struct build_events *v, int vertex, const struct build_warning *w);

/* --- both --- */
enum { BUILD_STDOUT = 1, BUILD_STDERR = 2 };
/* A program's bytes, made valid UTF-8 (the caller does not cut characters). Classic shows stderr in
 * red, as dockerd does. */
void build_event_log(struct build_events *v, struct build_turn *turn, int vertex, int stream,
	const char *text, size_t n);
