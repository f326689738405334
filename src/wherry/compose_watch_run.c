/* compose watch, and the watch beside `up`. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "wherry/compose_up.h"
#include "wherry/compose_watch.h"
#include "wherry/engine.h"

#define INTERRUPTED 130
#define PATIENCE_S 1

static void print_line(void *owner, const char *text)
{
	puts(text);
	fflush(stdout);
}

/* Builds what is watched and has a build, starts what is named, as `up -d`. */
static int start_services(struct compose *c, bool quiet)
{
	struct up u = {.timeout = -1, .detach = true, .quiet_build = quiet, .quiet_pull = quiet};
	for (size_t i = 0; i < c->project->n_services; i++) {
		struct service *s = &c->project->services[i];
		if (s->build && s->n_watches > 0) {
			s->pull_policy = "build";
		}
	}
	int status = up_run(c, &u);
	up_deinit(&u);
	return status;
}

/* Until end_fd is readable. */
static int follow(struct compose_watch *w, int end_fd, struct err *e)
{
	struct pollfd fds[] = {
		{.fd = compose_watch_fd(w), .events = POLLIN}, {.fd = end_fd, .events = POLLIN}};
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR) {
			return err_sys(e, errno, "cannot wait for changes");
		}
		if (fds[1].revents) {
			return 0;
		}
		if (fds[0].revents && compose_watch_step(w, e) < 0) {
			return -1;
		}
	}
}

static int interrupts(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int run_watch(struct compose *c, const struct compose_watch_options *o, bool no_up)
{
	struct err e;
	scoped(free) bool *selected = xnew_array(bool, c->project->n_services + 1);
	if (plan_select(c->project, &c->services, false, selected, &e) < 0) {
		return cli_fail(&e);
	}
	struct compose_watch *w = compose_watch_new(c, o, selected, &e);
	if (!w) {
		return cli_fail(&e);
	}
	int status = no_up ? 0 : start_services(c, o->quiet);
	if (status == 0 && !c->dry_run) {
		status = INTERRUPTED;
		scoped(close) int signals = interrupts();
		bool begun = compose_watch_begin(w, &e) == 0;
		if (begun) {
			print_line(NULL, "Watch enabled");
		}
		if (!begun || follow(w, signals, &e) < 0) {
			status = cli_fail(&e);
		}
	}
	compose_watch_free(w);
	return status;
}

int compose_watch(struct compose *c, int argc, char **argv)
{
	struct compose_watch_options o = {.prune = true, .say = print_line};
	bool no_up = false;
	const struct flag flags[] = {
		{"no-up", 0, FLAG_BOOL, &no_up, NULL,
			"Do not build & start services before watching"},
		{"prune", 0, FLAG_BOOL, &o.prune, NULL,
			"Prune dangling images on rebuild (default true)"},
		{"quiet", 0, FLAG_BOOL, &o.quiet, NULL, "hide build output"},
		{0},
	};
	const struct syntax s = {"compose watch", "[SERVICE...]",
		"Watch build context for service and rebuild/refresh containers when files are updated",
		0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	return compose_load(c, argv + 1, argc - 1, &e) < 0 ? cli_fail(&e) : run_watch(c, &o, no_up);
}

/* ---- beside up ---- */

struct watch_beside {
	struct compose c; /* a copy with a connection of its own */
	struct cli cli;
	struct compose_attached *attached;
	struct compose_watch *watch;
	int end_fd;
	pthread_t thread;
};

struct watch_beside *watch_beside_new(
	struct compose *c, struct compose_attached *a, const bool *selected, struct err *e)
{
	struct watch_beside *b = xnew(struct watch_beside);
	const struct compose_watch_options o = {.prune = true,
		.say = compose_attached_watch,
		.busy = compose_attached_hold,
		.owner = a};
	b->c = *c;
	b->cli = *c->cli;
	b->c.cli = &b->cli;
	b->c.progress = NULL;
	b->attached = a;
	b->cli.http = engine_connect(c->cli, e);
	b->watch = b->cli.http ? compose_watch_new(&b->c, &o, selected, e) : NULL;
	b->end_fd = b->watch ? eventfd(0, EFD_CLOEXEC) : -1;
	if (!b->watch || b->end_fd < 0) {
		http_client_free(b->cli.http);
		compose_watch_free(b->watch);
		free(b);
		return NULL;
	}
	return b;
}

static void *run_beside(void *owner)
{
	struct watch_beside *b = owner;
	struct err e;
	if (compose_watch_begin(b->watch, &e) == 0) {
		compose_attached_watch(b->attached, "Watch enabled");
		if (follow(b->watch, b->end_fd, &e) == 0) {
			return NULL;
		}
	}
	scoped(free) char *text = xasprintf("Watch disabled with errors: %s", e.msg);
	compose_attached_watch(b->attached, text);
	return NULL;
}

int watch_beside_begin(struct watch_beside *b, struct err *e)
{
	return compose_thread(run_beside, b, &b->thread, e);
}

bool watch_beside_end(struct watch_beside *b)
{
	struct timespec until;
	const uint64_t one = 1;
	(void)!write(b->end_fd, &one, sizeof(one));
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	if (b->thread && pthread_timedjoin_np(b->thread, NULL, &until) != 0) {
		return false;
	}
	close(b->end_fd);
	http_client_free(b->cli.http);
	compose_watch_free(b->watch);
	free(b);
	return true;
}
