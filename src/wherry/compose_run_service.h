/* wherry/compose_run_service.h - a service as the flags of `compose run` change it. */
#pragma once
#include "wherry/compose.h"

struct run {
	bool detach, rm, no_tty, tty, no_deps, service_ports, build, interactive, quiet, quiet_pull,
		quiet_build, remove_orphans, use_aliases;
	const char *entrypoint, *user, *workdir, *name, *pull;
	struct strv env, env_files, labels, volumes, publish, cap_add, cap_drop;
};

void run_deinit(struct run *o);
/* A terminal is wanted, and this is one. */
bool run_has_tty(const struct run *o);
/* A copy that borrows from the project; words: the command, NULL-terminated, may be empty. */
int run_service(struct compose *c, const struct service *s, const struct run *o, char **words,
	struct service *ret, struct err *e);
/* What the engine's request says beside: terminal, restart, binds, environment, aliases. name: the
 * container's. */
int run_change_body(const struct compose *c, const struct run *o, const char *name, json_t *body,
	struct err *e);
