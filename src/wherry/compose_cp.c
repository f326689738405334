/* wherry compose cp: files between this machine and the containers of a service. Into a service
 * they go to each of its containers, out of it they come from the first. */
#include <string.h>

#include "base/mem.h"
#include "base/scoped.h"
#include "wherry/compose.h"
#include "wherry/cp.h"
#include "wherry/cp_names.h"
#include "wherry/flags.h"

struct copy {
	struct compose *c;
	struct cp_options o;
	bool all; /* one-off containers too */
	int64_t index;
	char *service, *path, *local;
	bool from_service;
};

static int copy_one(const struct copy *k, const struct state_container *container, struct err *e)
{
	const char *name = container->name;
	scoped(free) char *what = k->from_service
					  ? xasprintf("copy %s:%s to %s", name, k->path, k->local)
					  : xasprintf("copy %s to %s:%s", k->local, name, k->path);
	compose_progress_event(k->c->progress, name, what, "Copying");
	if (!k->c->dry_run && (k->from_service ? cp_from_container(k->c->cli, &k->o, container->id,
							 k->path, k->local, e)
					       : cp_to_container(k->c->cli, &k->o, k->local,
							 container->id, k->path, e)) < 0) {
		return -1;
	}
	compose_progress_event(k->c->progress, name, what, "Copied");
	return 0;
}

static bool is_meant(const struct copy *k, const struct state_container *container)
{
	return strcmp(container->service, k->service) == 0 && (k->all || !container->one_off) &&
	       (k->index == 0 || container->number == k->index);
}

static int copy_all(const struct copy *k, const char *project, struct err *e)
{
	scoped(compose_state) struct compose_state s = {0};
	size_t n = 0;
	if (compose_state_fetch(k->c, project, &s, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < s.s.n_containers && !(n > 0 && k->from_service); i++) {
		if (!is_meant(k, &s.s.containers[i])) {
			continue;
		}
		n++;
		if (copy_one(k, &s.s.containers[i], e) < 0) {
			return -1;
		}
	}
	if (n == 0 && k->index > 0) {
		return err_set(e, ERR_NOT_FOUND, "service \"%s\" is not running container #%d",
			k->service, (int)k->index);
	}
	return n == 0 ? err_set(e, ERR_NOT_FOUND, "no container found for service \"%s\"",
				k->service)
		      : 0;
}

static int read_operands(struct copy *k, const char *from, const char *to, struct err *e)
{
	scoped(free) char *from_service = NULL;
	scoped(free) char *to_service = NULL;
	scoped(free) char *from_path = NULL;
	scoped(free) char *to_path = NULL;
	cp_split(from, &from_service, &from_path);
	cp_split(to, &to_service, &to_path);
	if (from_service && to_service) {
		return err_set(e, ERR_INVALID, "copying between services is not supported");
	}
	if (!from_service && !to_service) {
		return err_set(e, ERR_INVALID, "unknown copy direction");
	}
	k->from_service = from_service != NULL;
	k->service = k->from_service ? TAKE(from_service) : TAKE(to_service);
	k->path = k->from_service ? TAKE(from_path) : TAKE(to_path);
	k->local = k->from_service ? TAKE(to_path) : TAKE(from_path);
	return 0;
}

int compose_cp(struct compose *c, int argc, char **argv)
{
	struct copy k = {.c = c};
	const char *project;
	struct err e;
	const struct flag flags[] = {
		{"all", 0, FLAG_BOOL, &k.all, NULL,
			"Include containers created by the run command"},
		{"archive", 'a', FLAG_BOOL, &k.o.archive, NULL,
			"Archive mode (copy all uid/gid information)"},
		{"follow-link", 'L', FLAG_BOOL, &k.o.follow, NULL,
			"Always follow symbol link in SRC_PATH"},
		{"index", 0, FLAG_INT, &k.index, NULL,
			"Index of the container if service has multiple replicas"},
		{0},
	};
	const struct syntax s = {"compose cp", "[OPTIONS] SERVICE:SRC_PATH DEST_PATH|-",
		"Copy files/folders between a service container and the local filesystem", 2, 2,
		false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	k.o.quiet = true; /* the progress says it */
	compose_begin(c, "Copying");
	bool done = read_operands(&k, argv[1], argv[2], &e) == 0 &&
		    compose_load_or_name(c, NULL, 0, &project, &e) == 0 &&
		    copy_all(&k, project, &e) == 0;
	free(k.service);
	free(k.path);
	free(k.local);
	return done ? 0 : cli_fail(&e);
}
