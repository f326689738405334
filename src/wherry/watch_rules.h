/* wherry/watch_rules.h - what a change of a file means: develop.watch of a project's services. Pure
 * but for reading .dockerignore files.
 *
 * A rule is of one service, one path. It concerns what is below its path, matches `include`, and
 * neither `ignore`, the .dockerignore of the service's build nor what editors leave behind.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "compose/model.h"

struct ignore;

struct watch_rule {
	const struct service *service;
	const struct watch *watch;
	struct ignore *include; /* NULL: everything */
	struct ignore *ignored; /* NULL: nothing */
	struct ignore *context; /* .dockerignore, NULL */
	struct ignore *editors;
	bool bound; /* a bind mount has the path in the container already: nothing to do */
};

struct watch_rules {
	struct watch_rule *v;
	size_t n;
};

/* Of the selected services (by index in p). ERR_INVALID: an action that is impossible, or no rule
 * at all. */
int watch_rules_init(
	struct watch_rules *r, const struct project *p, const bool *selected, struct err *e);
void watch_rules_deinit(struct watch_rules *r);
bool watch_rule_syncs(const struct watch_rule *rule); /* puts files into containers */
/* Does it concern the path? *ret_target: its place in the container, the caller's; NULL for a rule
 * without a target. */
bool watch_rule_match(const struct watch_rule *rule, const char *path, char **ret_target);
/* Nothing below this directory concerns any rule. */
bool watch_rules_skip(const struct watch_rules *r, const char *dir);
