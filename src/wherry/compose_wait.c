/* compose wait: until the containers of the named services have ended. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "wherry/attached.h"
#include "wherry/compose.h"
#include "wherry/engine.h"

struct waits {
	pthread_mutex_t lock; /* lines are whole, and the last to end decides the status */
	int status;
};

struct waiting {
	struct waits *all;
	struct http_client *http;
	const char *id;
	pthread_t thread;
	int result;
	struct err e;
};

static void *wait_one(void *owner)
{
	struct waiting *w = owner;
	int code = 0;
	w->result = wait_end(w->http, &code, &w->e);
	if (w->result == 0) {
		pthread_mutex_lock(&w->all->lock);
		printf("container \"%s\" exited with status code %d\n", w->id, code);
		fflush(stdout);
		w->all->status = code;
		pthread_mutex_unlock(&w->all->lock);
	}
	return NULL;
}

/* Everybody is waited for at once, so that the lines come in the order of the ends. */
static int wait_all(struct waiting *list, size_t n, struct err *e)
{
	int result = 0;
	size_t started = 0;
	while (started < n && result == 0) {
		result = compose_thread(wait_one, &list[started], &list[started].thread, e);
		started += result == 0;
	}
	for (size_t i = 0; i < started; i++) {
		pthread_join(list[i].thread, NULL);
		if (list[i].result < 0) {
			*e = list[i].e;
			result = -1;
		}
	}
	return result;
}

static int wait_for(
	struct compose *c, const char *project, char **services, struct waits *waits, struct err *e)
{
	scoped(compose_state) struct compose_state s = {0};
	if (compose_state_fetch(c, project, &s, e) < 0) {
		return -1;
	}
	struct waiting *list = xnew_array(struct waiting, s.s.n_containers + 1);
	size_t n = 0;
	int r = 0;
	for (size_t i = 0; r == 0 && i < s.s.n_containers; i++) {
		const struct state_container *k = &s.s.containers[i];
		bool named = false;
		for (char **w = services; *w; w++) {
			named = named || strcmp(*w, k->service) == 0;
		}
		if (named && compose_is_running(k)) {
			list[n] = (struct waiting){.all = waits, .id = k->id};
			list[n].http = wait_begin(c->cli, k->id, "not-running", e);
			r = list[n].http ? 0 : -1;
			n += r == 0;
		}
	}
	if (r == 0 && n == 0) {
		r = err_set(e, ERR_NOT_FOUND, "no containers for project \"%s\"", project);
	}
	r = r == 0 ? wait_all(list, n, e) : r;
	for (size_t i = 0; i < n; i++) {
		http_client_free(list[i].http);
	}
	free(list);
	return r;
}

static int remove_project(struct compose *c)
{
	char down[] = "down";
	char orphans[] = "--remove-orphans";
	char *argv[] = {down, orphans, NULL};
	project_free(TAKE(c->project)); /* down reads the files itself */
	return compose_down(c, 2, argv);
}

int compose_wait(struct compose *c, int argc, char **argv)
{
	bool down = false;
	const struct flag flags[] = {
		{"down-project", 0, FLAG_BOOL, &down, NULL,
			"Drops project when the first container stops"},
		{0},
	};
	const struct syntax s = {"compose wait", "SERVICE [SERVICE...] [OPTIONS]",
		"Block until containers of all (or specified) services stop.", 1, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	struct waits waits = {.status = 0};
	const char *project;
	argv[argc] = NULL;
	pthread_mutex_init(&waits.lock, NULL);
	if (compose_load_or_name(c, NULL, 0, &project, &e) < 0 ||
		wait_for(c, project, argv + 1, &waits, &e) < 0) {
		return cli_fail(&e);
	}
	if (down) {
		status = remove_project(c);
		return status ? status : waits.status;
	}
	return waits.status;
}
