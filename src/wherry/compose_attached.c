/* `up` without -d. The main thread waits for signals and for what a thread reads from the engine's
 * events; the containers' output is copied by compose_output.c. A graceful stop runs on a thread
 * too, so that a second interrupt is heard. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/timestamp.h"
#include "wherry/compose.h"
#include "wherry/engine.h"

#define QUIET_MS 300 /* without events after the last container ended */

#define SINCE_MAX 32

/* One event, as it goes through the pipe. */
struct happening {
	char id[65];
	char name[256];
	char service[128];
	char time[SINCE_MAX];
	int exit_code;
	bool ended; /* or started */
};

struct compose_attached {
	struct compose *c;
	struct compose_attached_options o;
	const bool *selected;
	struct compose_output *output;
	struct http_client *events;
	int pipe_fds[2];
	int signal_fd;
	pthread_t guard;
	int started_fds[2];   /* a pipe that is closed when everything has been started */
	struct strv expected; /* containers that we started ourselves and already show */
	char *announcement;   /* "Attaching to ...", until it was said */
	int interrupts;
	bool aborting, has_status;
	int status;
	pthread_t stopper;
	bool has_stopper;
	_Atomic int held; /* containers are being replaced */
};

/* Seconds and a fraction: dockerd takes no other form of a time. */
static void print_since(int64_t ns, char ret[static SINCE_MAX])
{
	snprintf(ret, SINCE_MAX, "%lld.%09lld", (long long)(ns / NS_PER_SEC),
		(long long)(ns % NS_PER_SEC));
}

static int pass_on(void *owner, const json_t *event, struct err *e)
{
	const struct compose_attached *a = owner;
	const char *action = json_str(event, "Action");
	const json_t *actor = json_object_get(event, "Actor");
	const json_t *attributes = json_object_get(actor, "Attributes");
	struct happening h = {.ended = strcmp(action, "die") == 0};
	if (!h.ended && strcmp(action, "start") != 0) {
		return 0;
	}
	int64_t ns = json_i64(event, "timeNano", 0);
	snprintf(h.id, sizeof(h.id), "%s", json_str(actor, "ID"));
	snprintf(h.name, sizeof(h.name), "%s", json_str(attributes, "name"));
	snprintf(h.service, sizeof(h.service), "%s", json_str(attributes, LABEL "service"));
	print_since(ns, h.time);
	h.exit_code = (int)strtol(json_str(attributes, "exitCode"), NULL, 10);
	return path_write_all(a->pipe_fds[1], &h, sizeof(h)) < 0 ? 1 : 0;
}

static void *read_events(void *owner)
{
	struct compose_attached *a = owner;
	struct err e;
	engine_documents(a->events, pass_on, a, &e);
	close(a->pipe_fds[1]);
	return NULL;
}

static int open_events(struct compose_attached *a, struct err *e)
{
	scoped(strv) struct strv filters = STRV_INIT;
	scoped(buf) struct buf path = BUF_INIT;
	strv_addf(&filters, "label=" LABEL "project=%s", a->c->project->name);
	strv_add(&filters, "type=container");
	buf_puts(&path, "/events");
	a->events = engine_connect(a->c->cli, e);
	if (!a->events || path_filters(&path, &filters, e) < 0) {
		return -1;
	}
	const struct http_call call = {.method = "GET", .path = buf_str(&path)};
	if (engine_send(a->events, &call, NULL, e) < 0) {
		return -1;
	}
	if (pipe2(a->pipe_fds, O_CLOEXEC) < 0) {
		return err_sys(e, errno, "cannot make a pipe");
	}
	pthread_t thread;
	if (compose_thread(read_events, a, &thread, e) < 0) {
		return -1;
	}
	pthread_detach(thread);
	return 0;
}

struct compose_attached *compose_attached_new(struct compose *c,
	const struct compose_attached_options *o, const bool *selected, struct err *e)
{
	const struct compose_output_options output = {.follow = true,
		.timestamps = o->timestamps,
		.no_prefix = o->no_prefix,
		.no_color = o->no_color};
	struct compose_attached *a = xnew(struct compose_attached);
	a->c = c;
	a->o = *o;
	a->selected = selected;
	a->signal_fd = -1;
	a->output = compose_output_new(c, &output);
	c->output = a->output;
	if (open_events(a, e) < 0) {
		compose_attached_free(a);
		return NULL;
	}
	return a;
}

/* The thread of the events may still read: what it uses stays until the process ends. */
void compose_attached_free(struct compose_attached *a)
{
	if (a) {
		if (a->signal_fd >= 0) {
			close(a->signal_fd);
		}
		a->c->output = NULL;
		compose_output_free(a->output);
		strv_deinit(&a->expected);
		free(TAKE(a->announcement));
	}
}

static bool is_ours(const struct compose_attached *a, const char *service)
{
	const struct project *p = a->c->project;
	for (size_t i = 0; i < p->n_services; i++) {
		if (strcmp(p->services[i].name, service) == 0) {
			return a->selected[i];
		}
	}
	return false;
}

static bool is_shown(const struct compose_attached *a, const char *service)
{
	const struct service *s = project_service(a->c->project, service);
	return s && a->o.shown[s - a->c->project->services];
}

static void announce(struct compose_attached *a)
{
	if (a->announcement && *a->announcement) {
		compose_output_say(a->output, a->announcement);
	}
	free(TAKE(a->announcement));
}

static void show(struct compose_attached *a, const char *id, const char *name, const char *service,
	const char *since)
{
	struct err e;
	if (is_shown(a, service) && compose_output_add(a->output, id, name, since, &e) < 0) {
		compose_output_say(a->output, e.msg);
	}
}

void compose_attached_expect(struct compose_attached *a, const struct plan *plan)
{
	scoped(strv) struct strv names = STRV_INIT;
	scoped(buf) struct buf text = BUF_INIT;
	char now[SINCE_MAX];
	print_since(clock_real_ns(), now);
	for (size_t i = 0; i < plan->n; i++) {
		const struct step *step = &plan->steps[i];
		if ((step->kind == STEP_START || step->kind == STEP_KEEP) &&
			is_shown(a, step->service->name)) {
			strv_take(&names, compose_short_name(a->c, step->name));
			compose_output_reserve(a->output, step->name);
		}
	}
	strv_sort(&names);
	for (size_t i = 0; i < names.n; i++) {
		buf_printf(&text, "%s %s", i ? "," : "Attaching to", names.v[i]);
	}
	a->announcement = buf_take_str(&text);
	for (size_t i = 0; i < plan->n; i++) {
		const struct step *step = &plan->steps[i];
		if (step->kind == STEP_KEEP) {
			show(a, step->existing->id, step->name, step->service->name, now);
		}
	}
}

/* Only what this start prints: an older container has a log of its earlier runs. */
void compose_attached_started(
	void *owner, const char *id, const char *name, const struct service *s)
{
	struct compose_attached *a = owner;
	struct err e;
	scoped(json) json_t *o = NULL;
	char since[SINCE_MAX] = "";
	int64_t ns;
	if (engine_on(a->c->cli, "GET", "/containers/", id, "/json", &o, &e) == 0 &&
		timestamp_parse(json_str(json_object_get(o, "State"), "StartedAt"), 0, &ns) == 0) {
		print_since(ns, since);
	}
	strv_add(&a->expected, id);
	announce(a);
	show(a, id, name, s->name, *since ? since : NULL);
}

static int count_running(struct compose_attached *a, size_t *ret, struct err *e)
{
	scoped(compose_state) struct compose_state s = {0};
	if (compose_state_fetch(a->c, a->c->project->name, &s, e) < 0) {
		return -1;
	}
	*ret = 0;
	for (size_t i = 0; i < s.s.n_containers; i++) {
		const struct state_container *c = &s.s.containers[i];
		*ret += !c->one_off && is_ours(a, c->service) && compose_is_running(c);
	}
	return 0;
}

/* ---- stopping ---- */

static bool is_wanted(const void *owner, const struct state_container *container)
{
	return is_ours(owner, container->service);
}

static void kill_all(struct compose_attached *a, struct compose *c, const struct compose_state *s)
{
	struct err e;
	for (size_t i = 0; i < s->s.n_containers; i++) {
		const struct state_container *container = &s->s.containers[i];
		if (!container->one_off && is_ours(a, container->service) &&
			compose_is_running(container) &&
			engine_on(c->cli, "POST", "/containers/", container->id, "/kill", NULL,
				&e) == 0) {
			compose_progress_say(c->progress, "Container", container->name, "Killed");
		}
	}
}

static int stop_all(struct compose_attached *a, struct compose *c, bool kill, struct err *e)
{
	scoped(compose_state) struct compose_state s = {0};
	if (compose_state_fetch(c, c->project->name, &s, e) < 0) {
		return -1;
	}
	if (kill) {
		kill_all(a, c, &s);
		return 0;
	}
	return compose_stop_levels(c, &s, is_wanted, a, a->o.timeout_s, e);
}

static void stop_apart(struct compose_attached *a, bool kill)
{
	struct err e;
	struct cli cli = *a->c->cli;
	struct compose c = *a->c;
	c.cli = &cli;
	c.progress = compose_progress_new("plain", c.ansi, "Stopping");
	cli.http = engine_connect(a->c->cli, &e);
	if (!cli.http || stop_all(a, &c, kill, &e) < 0) {
		cli_fail(&e);
	}
	http_client_free(cli.http);
	compose_progress_free(c.progress);
}

static void *run_stop(void *owner)
{
	stop_apart(owner, false);
	return NULL;
}

static void *run_kill(void *owner)
{
	stop_apart(owner, true);
	return NULL;
}

static void begin_stop(struct compose_attached *a)
{
	struct err e;
	if (!a->has_stopper && compose_thread(run_stop, a, &a->stopper, &e) == 0) {
		a->has_stopper = true;
	}
}

static void hear(struct compose_attached *a)
{
	pthread_t killer;
	struct err e;
	a->interrupts++;
	a->status = a->has_status ? a->status : COMPOSE_INTERRUPTED;
	a->has_status = true;
	if (a->interrupts == 1) {
		compose_output_say(a->output, "Gracefully Stopping... press Ctrl+C again to force");
		begin_stop(a);
	} else if (a->interrupts == 2 && compose_thread(run_kill, a, &killer, &e) == 0) {
		pthread_detach(killer);
	}
}

/* ---- before everything has been started ---- */

static void *guard(void *owner)
{
	struct compose_attached *a = owner;
	struct pollfd fds[] = {{.fd = a->signal_fd, .events = POLLIN},
		{.fd = a->started_fds[0], .events = POLLIN}};
	while (poll(fds, 2, -1) > 0 || errno == EINTR) {
		struct signalfd_siginfo info;
		if (fds[0].revents &&
			read(a->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
			*a->o.canceled = true;
			hear(a);
		} else if (fds[1].revents) {
			break;
		}
	}
	return NULL;
}

int compose_attached_guard(struct compose_attached *a, struct err *e)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	a->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (a->signal_fd < 0 || pipe2(a->started_fds, O_CLOEXEC) < 0) {
		return err_sys(e, errno, "cannot wait for signals");
	}
	return compose_thread(guard, a, &a->guard, e);
}

bool compose_attached_unguard(struct compose_attached *a)
{
	struct err ignored;
	close(a->started_fds[1]);
	pthread_join(a->guard, NULL);
	close(a->started_fds[0]);
	if (a->interrupts == 0) {
		return false;
	}
	if (a->has_stopper) {
		pthread_join(a->stopper, NULL);
	}
	(void)stop_all(a, a->c, a->interrupts > 1, &ignored); /* what was starting meanwhile */
	return true;
}

/* ---- events ---- */

static void note_end(struct compose_attached *a, const struct happening *h)
{
	compose_output_end(a->output, h->id);
	compose_output_exited(a->output, h->name, h->exit_code);
	bool wanted = a->o.exit_code_from && strcmp(a->o.exit_code_from, h->service) == 0;
	bool abort_now = a->o.abort_on_exit || (a->o.abort_on_failure && h->exit_code != 0);
	if (wanted || (abort_now && !a->aborting && !a->o.exit_code_from && !a->has_status)) {
		a->status = h->exit_code;
		a->has_status = true;
	}
	if (abort_now && !a->aborting) {
		a->aborting = true;
		fputs("Aborting on container exit...\n", stderr);
		begin_stop(a);
	}
}

static void handle(struct compose_attached *a, const struct happening *h)
{
	if (!is_ours(a, h->service)) {
		return;
	}
	if (h->ended) {
		note_end(a, h);
		return;
	}
	for (size_t i = 0; i < a->expected.n; i++) {
		if (strcmp(a->expected.v[i], h->id) == 0) {
			a->expected.v[i][0] = '\0'; /* its next start is a restart */
			return;
		}
	}
	show(a, h->id, h->name, h->service, h->time);
}

static int read_one(struct compose_attached *a, struct err *e)
{
	struct happening h;
	ssize_t n = read(a->pipe_fds[0], &h, sizeof(h));
	if (n != (ssize_t)sizeof(h)) {
		return err_set(e, ERR_SYSTEM, "the engine ended the stream of events");
	}
	handle(a, &h);
	return 0;
}

/* Until nothing of ours runs and nothing is left to tell. */
static int follow(struct compose_attached *a, struct err *e)
{
	struct pollfd fds[] = {
		{.fd = a->pipe_fds[0], .events = POLLIN}, {.fd = a->signal_fd, .events = POLLIN}};
	for (;;) {
		size_t running;
		if (count_running(a, &running, e) < 0) {
			return -1;
		}
		int ready = poll(fds, 2, running > 0 ? -1 : QUIET_MS);
		if (ready == 0 && a->held == 0) {
			return 0;
		}
		if (ready < 0 && errno != EINTR) {
			return err_sys(e, errno, "cannot wait for events");
		}
		struct signalfd_siginfo info;
		if (fds[1].revents &&
			read(a->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
			hear(a);
		}
		if (fds[0].revents && read_one(a, e) < 0) {
			return -1;
		}
	}
}

void compose_attached_watch(void *attached, const char *text)
{
	struct compose_attached *a = attached;
	compose_output_watch(a->output, text);
}

void compose_attached_hold(void *attached, bool begins)
{
	struct compose_attached *a = attached;
	a->held += begins ? 1 : -1;
}

int compose_attached_run(struct compose_attached *a)
{
	struct err e;
	announce(a);
	int r = follow(a, &e);
	if (a->has_stopper) {
		pthread_join(a->stopper, NULL);
	}
	if (r < 0) {
		return cli_fail(&e);
	}
	compose_output_drain(a->output);
	return a->has_status ? a->status : 0;
}
