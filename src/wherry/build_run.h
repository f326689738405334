/* wherry/build_run.h - one or several builds at the same time by an engine that speaks BuildKit's
 * API, with one display.
 */
#pragma once
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>

#include "base/err.h"
#include "wherry/build_messages.h"
#include "wherry/build_options.h"
#include "wherry/build_request.h"
#include "wherry/command.h"

/* A build and what came of it. */
struct build_job {
	const struct build_options *options;
	struct build_request request;

	bool ok;
	bool no_buildkit; /* the engine has no such API; nothing was done */
	bool cancelled;   /* by the user */
	bool solving;     /* the engine was asked: what failed, failed there */
	char *error;      /* the engine's words, of any length; NULL when ok */
	struct build_place place;
	json_t *response; /* of the exporters; NULL unless ok */

	/* while it runs */
	struct build_show *show;
	const struct cli *cli;
	pthread_t thread;
	struct grpc_call *solve; /* under show's lock; NULL: not now */
	bool done;               /* under show's lock */
};

/* Reads the options into the request, but the context. */
int build_job_init(struct build_job *j, const struct build_options *o, struct err *e);
void build_job_deinit(struct build_job *j);

/* Runs them all. progress: "auto", "plain", "tty", "quiet", "rawjson", "none"; NULL: as
 * BUILDKIT_PROGRESS says, or auto. Returns the exit status: 0, 1, or 130 when it was interrupted;
 * -1 when a job has no_buildkit. What failed was said on stderr. */
int build_run(struct cli *cli, struct build_job *jobs, size_t n, const char *progress);

/* wherry/build_outcome.c: after a job that is ok: prints the id with -q, writes --iidfile and
 * --metadata-file, pushes what is to be pushed. */
int build_outcome(struct cli *cli, const struct build_job *j, struct err *e);
/* The answer to a question (build_options.call), on stdout. Returns the exit status. */
int build_outcome_answer(const struct build_job *j);
/* The excerpt, "ERROR: ..." and what to do about it, of a job that is not. */
void build_outcome_failed(const struct build_job *j);
