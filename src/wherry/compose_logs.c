/* compose logs: what the containers of a project have printed; with -f also those that start
 * meanwhile, until nothing runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/compose.h"
#include "wherry/engine.h"
#include "wherry/times.h"

struct logs {
	struct compose *c;
	struct compose_output_options o;
	const char *project;
	int64_t index;
	struct compose_output *output;
	struct http_client *events; /* -f */
	struct strv running;        /* ids: of whom no end was told */
};

/* Without names: what the file has and does not hide with `attach: false`. */
static bool is_shown(const struct logs *l, const char *service)
{
	if (l->c->services.n > 0 || !l->c->project) {
		return compose_is_named(l->c, service);
	}
	const struct service *s = project_service(l->c->project, service);
	return s && s->attach != TRUTH_FALSE;
}

static bool is_wanted(const struct logs *l, const struct state_container *k)
{
	return !k->one_off && is_shown(l, k->service) && (l->index == 0 || k->number == l->index);
}

static int open_events(struct logs *l, struct err *e)
{
	scoped(strv) struct strv filters = STRV_INIT;
	scoped(buf) struct buf path = BUF_INIT;
	strv_addf(&filters, "label=" LABEL "project=%s", l->project);
	strv_add(&filters, "type=container");
	buf_puts(&path, "/events");
	l->events = engine_connect(l->c->cli, e);
	if (!l->events || path_filters(&path, &filters, e) < 0) {
		return -1;
	}
	const struct http_call call = {.method = "GET", .path = buf_str(&path)};
	return engine_send(l->events, &call, NULL, e);
}

static int show_present(struct logs *l, struct err *e)
{
	scoped(compose_state) struct compose_state s = {0};
	size_t n = 0;
	if (compose_state_fetch(l->c, l->project, &s, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < s.s.n_containers; i++) {
		if (is_wanted(l, &s.s.containers[i])) {
			compose_output_reserve(l->output, s.s.containers[i].name);
			n++;
		}
	}
	for (size_t i = 0; i < s.s.n_containers; i++) {
		const struct state_container *k = &s.s.containers[i];
		if (is_wanted(l, k)) {
			if (compose_is_running(k)) {
				strv_add(&l->running, k->id);
			}
			if (compose_output_add(l->output, k->id, k->name, NULL, e) < 0) {
				return -1;
			}
		}
	}
	return n == 0 && l->index > 0
		       ? err_set(e, ERR_NOT_FOUND, "service \"%s\" is not running container #%lld",
				 l->c->services.v[0], (long long)l->index)
		       : 0;
}

static int count_running(const struct logs *l, size_t *ret, struct err *e)
{
	scoped(compose_state) struct compose_state s = {0};
	if (compose_state_fetch(l->c, l->project, &s, e) < 0) {
		return -1;
	}
	*ret = 0;
	for (size_t i = 0; i < s.s.n_containers; i++) {
		*ret += is_wanted(l, &s.s.containers[i]) && compose_is_running(&s.s.containers[i]);
	}
	return 0;
}

static void forget(struct strv *running, const char *id)
{
	scoped(strv) struct strv others = STRV_INIT;
	for (size_t i = 0; i < running->n; i++) {
		if (strcmp(running->v[i], id) != 0) {
			strv_add(&others, running->v[i]);
		}
	}
	struct strv before = *running;
	*running = others;
	others = before;
}

/* 1 ends the stream: nothing runs any more. */
static int take_event(void *owner, const json_t *event, struct err *e)
{
	struct logs *l = owner;
	const json_t *actor = json_object_get(event, "Actor");
	const json_t *attributes = json_object_get(actor, "Attributes");
	const char *action = json_str(event, "Action");
	const char *id = json_str(actor, "ID");
	const struct state_container k = {.service = json_str(attributes, LABEL "service"),
		.one_off = strcmp(json_str(attributes, LABEL "oneoff"), "True") == 0,
		.number = (int)strtol(json_str(attributes, LABEL "container-number"), NULL, 10)};
	if (!is_wanted(l, &k)) {
		return 0;
	}
	if (strcmp(action, "start") == 0) {
		int64_t ns = json_i64(event, "timeNano", 0);
		scoped(free) char *since = xasprintf(
			"%lld.%09lld", (long long)(ns / 1000000000), (long long)(ns % 1000000000));
		if (!strv_has(&l->running, id)) {
			strv_add(&l->running, id);
		}
		return compose_output_add(l->output, id, json_str(attributes, "name"), since, e);
	}
	size_t left = 1; /* or is about to be restarted */
	if (strcmp(action, "die") == 0) {
		forget(&l->running, id);
		compose_output_end(l->output, id);
		compose_output_exited(l->output, json_str(attributes, "name"),
			(int)strtol(json_str(attributes, "exitCode"), NULL, 10));
		if (l->running.n == 0 && count_running(l, &left, e) < 0) {
			return -1;
		}
	}
	return left == 0;
}

static int show(struct logs *l, struct err *e)
{
	if (l->o.follow && open_events(l, e) < 0) {
		return -1;
	}
	if (show_present(l, e) < 0) {
		return -1;
	}
	return l->o.follow && l->running.n > 0 && engine_documents(l->events, take_event, l, e) < 0
		       ? -1
		       : 0;
}

static int run_logs(struct logs *l, struct err *e)
{
	if (compose_check_names(l->c, e) < 0) {
		return -1;
	}
	l->output = compose_output_new(l->c, &l->o);
	int r = show(l, e);
	if (r == 0) {
		compose_output_drain(l->output);
	}
	compose_output_free(l->output);
	http_client_free(l->events);
	strv_deinit(&l->running);
	return r;
}

int compose_logs(struct compose *c, int argc, char **argv)
{
	struct logs l = {.c = c, .o = {.tail = "all", .together = true}};
	const char *since_text = NULL;
	const char *until_text = NULL;
	const struct flag flags[] = {
		{"follow", 'f', FLAG_BOOL, &l.o.follow, NULL, "Follow log output"},
		{"index", 0, FLAG_INT, &l.index, NULL,
			"index of the container if service has multiple replicas"},
		{"no-color", 0, FLAG_BOOL, &l.o.no_color, NULL, "Produce monochrome output"},
		{"no-log-prefix", 0, FLAG_BOOL, &l.o.no_prefix, NULL, "Don't print prefix in logs"},
		{"since", 0, FLAG_STRING, &since_text, NULL,
			"Show logs since timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)"},
		{"tail", 'n', FLAG_STRING, &l.o.tail, NULL,
			"Number of lines to show from the end of the logs for each container (default \"all\")"},
		{"timestamps", 't', FLAG_BOOL, &l.o.timestamps, NULL, "Show timestamps"},
		{"until", 0, FLAG_STRING, &until_text, NULL,
			"Show logs before a timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)"},
		{0},
	};
	const struct syntax s = {"compose logs", "[OPTIONS] [SERVICE...]",
		"View output from containers", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	char since[TIMES_TEXT_MAX];
	char until[TIMES_TEXT_MAX];
	if (times_parse("since", since_text, since, &e) < 0 ||
		times_parse("until", until_text, until, &e) < 0) {
		return cli_fail(&e);
	}
	l.o.since = *since ? since : NULL;
	l.o.until = *until ? until : NULL;
	if (l.index > 0 && argc != 2) {
		err_set(&e, ERR_INVALID, "--index requires one service to be selected");
		return cli_fail(&e);
	}
	bool failed = compose_load_or_name(c, argv + 1, argc - 1, &l.project, &e) < 0 ||
		      run_logs(&l, &e) < 0;
	return failed ? cli_fail(&e) : 0;
}
