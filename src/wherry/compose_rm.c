/* compose rm: containers that have ended, after a question. */
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "wherry/compose.h"
#include "wherry/compose_each.h"

struct removal {
	struct each x; /* first: what act_rm is handed */
	bool force, volumes, stop;
	struct buf names; /* "a, b" */
};

static int act_rm(
	const struct each *x, struct compose *c, const struct state_container *k, struct err *e)
{
	const struct removal *r = (const struct removal *)x;
	return compose_remove_container(c, k->id, k->name, r->volumes, r->force, e);
}

static int act_name(
	const struct each *x, struct compose *c, const struct state_container *k, struct err *e)
{
	struct removal *r = (struct removal *)x;
	buf_printf(&r->names, "%s%s", r->names.len ? ", " : "", k->name);
	return 0;
}

/* In a pipe the question is the sentence alone, as docker compose's. */
static bool confirm(const char *names)
{
	char answer[16];
	bool tty = isatty(STDIN_FILENO);
	printf("%sGoing to remove %s%s", tty ? "? " : "", names, tty ? " [yN] " : "");
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int remove_ended(struct removal *r, struct err *e)
{
	scoped(compose_state) struct compose_state s = {0};
	struct compose *c = r->x.c;
	size_t n;
	int64_t parallel = c->parallel;
	if (compose_state_fetch(c, r->x.project, &s, e) < 0) {
		return -1;
	}
	r->x.ended_only = !r->stop; /* an engine may list for a moment longer what it has stopped */
	r->x.act = act_name;
	c->parallel = 1; /* names in order */
	int named = each_run(&r->x, &s, &n, e);
	c->parallel = parallel;
	if (named < 0) {
		return -1;
	}
	if (n == 0) {
		fprintf(stderr, "No stopped containers\n");
		return 0;
	}
	if (r->force) {
		printf("Going to remove %s\n", buf_str(&r->names));
		fflush(stdout);
	} else if (!confirm(buf_str(&r->names))) {
		return 0;
	}
	r->x.act = act_rm;
	return each_run(&r->x, &s, &n, e);
}

static int run_rm(struct removal *r, int argc, char **argv, struct err *e)
{
	size_t n;
	if (each_load(&r->x, "Removing", argc, argv, e) < 0) {
		return -1;
	}
	if (r->stop) {
		scoped(compose_state) struct compose_state s = {0};
		struct each stopping = r->x;
		stopping.act = each_stop;
		stopping.order = EACH_DEPENDENTS_FIRST;
		if (compose_state_fetch(r->x.c, r->x.project, &s, e) < 0 ||
			each_run(&stopping, &s, &n, e) < 0) {
			return -1;
		}
	}
	return remove_ended(r, e);
}

int compose_rm(struct compose *c, int argc, char **argv)
{
	struct removal r = {
		.x = {.c = c, .timeout = -1, .order = EACH_AT_ONCE, .stopped_too = true}};
	const struct flag flags[] = {
		{"all", 'a', FLAG_BOOL, NULL, NULL, NULL}, /* has ended with docker-compose 1 */
		{"force", 'f', FLAG_BOOL, &r.force, NULL, "Don't ask to confirm removal"},
		{"stop", 's', FLAG_BOOL, &r.stop, NULL,
			"Stop the containers, if required, before removing"},
		{"volumes", 'v', FLAG_BOOL, &r.volumes, NULL,
			"Remove any anonymous volumes attached to containers"},
		{0},
	};
	const struct syntax s = {"compose rm", "[OPTIONS] [SERVICE...]",
		"Removes stopped service containers\n\n"
		"By default, anonymous volumes attached to containers will not be removed. You\n"
		"can override this with -v. To list all volumes, use \"wherry volume ls\".\n\n"
		"Any data which is not in a volume will be lost.",
		0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	status = run_rm(&r, argc, argv, &e) < 0 ? cli_fail(&e) : 0;
	buf_deinit(&r.names);
	return status;
}
