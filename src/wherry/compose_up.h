/* wherry/compose_up.h - what up, create, scale and watch do in common. */
#pragma once
#include "wherry/compose.h"

struct up {
	bool detach, build, no_build, quiet_pull, quiet_build, wait, yes, renew_volumes, creates,
		attach_dependencies, watch;
	const char *pull;
	int64_t timeout, wait_timeout;
	struct plan_up plan;
	struct compose_attached_options attached;
	struct strv scales, attach, no_attach;
	struct plan_scale *wanted;
};

/* The project is loaded. Prints what failed; the exit status. */
int up_run(struct compose *c, struct up *u);
/* What is to be done; selected[i] is for c->project->services[i], state has its images. */
int up_plan(struct compose *c, struct up *u, const bool *selected,
	const struct compose_state *state, struct plan *ret, struct err *e);
void up_deinit(struct up *u);
