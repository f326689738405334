/* worker/build_exec.h - one process in a container, from crun's start to its end, for a RUN step.
 *
 * crun starts it and ends (--detach); the container's first process then is a child of this process
 * (a subreaper), which waits for it itself: the control group is still there when the process has
 * ended and says whether memory was short, and no second crun is needed to take the container away.
 * The group stays for the stage's next step.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "worker/build.h"

struct build_exec {
	int code; /* exit status, 128 + N after signal N */
	bool out_of_memory;
};

/* Once before any other program: what it starts ends with the build, whatever happens to us. */
int build_exec_prepare(struct build *b, struct err *e);
/* Runs place/bundle as container id; its output goes to the events of the step. -1 with *e when it
 * did not start. */
int build_exec(const struct build_step *t, const char *id, struct build_exec *ret, struct err *e);
/* crun keeps a container's state until it is deleted: afterwards. */
void build_exec_forget(const struct build_step *t, const char *id);
