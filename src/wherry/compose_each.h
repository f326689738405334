/* wherry/compose_each.h - one thing done to many containers of a project. */
#pragma once
#include "wherry/compose.h"

struct each;

typedef int each_act_fn(
	const struct each *x, struct compose *c, const struct state_container *k, struct err *e);

struct each {
	struct compose *c;
	const char *project;
	const bool *selected; /* by service of c->project; NULL: those of c->services, or all */
	enum { EACH_DEPENDENTS_FIRST, EACH_DEPENDENCIES_FIRST, EACH_AT_ONCE } order;
	bool one_offs, orphans, stopped_too; /* are meant, too */
	bool ended_only;
	each_act_fn *act; /* on one of several threads: c has its connection */
	/* before those of a service; NULL */
	int (*before)(const struct each *x, const char *service, struct err *e);
	const char *when_none; /* said on stderr; NULL */
	const char *signal;
	int64_t timeout; /* s; -1: each container's own */
};

/* Reads the files, or takes the name alone; begins the progress. */
int each_load(struct each *x, const char *title, int argc, char **argv, struct err *e);
/* *ret_n: how many were meant. */
int each_run(const struct each *x, const struct compose_state *s, size_t *ret_n, struct err *e);
each_act_fn each_stop;
