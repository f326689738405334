/* HEALTHCHECK: a command inside, again and again; its results stay in memory. moby
 * daemon/health.go. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "container/exec.h"
#include "container/health_rules.h"
#include "container/internal.h"

#define RESULTS_KEPT 5
#define MIN_NS (NS_PER_MS)
#define START_MAX_MS 30000 /* what the kernel and crun may take before the probe runs */

struct result {
	int64_t start_ns, end_ns;
	int exit_code;
	char *output;
};

struct health {
	struct container *container;
	struct health_config config;
	struct health_state state;
	struct strv args;
	struct result results[RESULTS_KEPT]; /* oldest first */
	size_t n_results;
	struct delay *next, *timeout;
	struct delay *restart; /* it is unhealthy, and shall be restarted when this is over */
	struct exec *probe;
	bool timed_out;
	int64_t began_ms, probe_start_ns;
};

static const char *const words[] = {[HEALTH_STARTING] = "starting",
	[HEALTH_HEALTHY] = "healthy",
	[HEALTH_UNHEALTHY] = "unhealthy"};

static int read_ns(const json_t *o, const char *key, int64_t *ret, struct err *e)
{
	if (json_get_i64(o, key, 0, ret, e) < 0) {
		return -1;
	}
	if (*ret < 0 || (*ret > 0 && *ret < MIN_NS)) {
		return err_set(e, ERR_INVALID, "%s in Healthcheck cannot be less than 1ms", key);
	}
	return 0;
}

int health_check_config(const json_t *config, struct err *e)
{
	static const char *const spans[] = {"Interval", "Timeout", "StartPeriod", "StartInterval"};
	const json_t *h = json_object_get(config, "Healthcheck");
	scoped(strv) struct strv test = STRV_INIT;
	int64_t n;
	enum unhealthy_action ignored;
	const char *action = json_str(json_object_get(config, "Labels"), UNHEALTHY_LABEL);
	if (!unhealthy_action_parse(action, UNHEALTHY_IGNORE, &ignored)) {
		return err_set(e, ERR_INVALID,
			"invalid label " UNHEALTHY_LABEL "=%.64s: it is restart or ignore", action);
	}
	if (!json_is_object(h)) {
		return 0;
	}
	for (size_t i = 0; i < 4; i++) {
		if (read_ns(h, spans[i], &n, e) < 0) {
			return -1;
		}
	}
	if (json_get_i64(h, "Retries", 0, &n, e) < 0 || json_get_strv(h, "Test", &test, e) < 0) {
		return -1;
	}
	if (n < 0 || n > INT32_MAX) {
		return err_set(e, ERR_INVALID, "Retries in Healthcheck cannot be negative");
	}
	if (test.n > 0 && strcmp(test.v[0], "NONE") != 0 && strcmp(test.v[0], "CMD") != 0 &&
		strcmp(test.v[0], "CMD-SHELL") != 0) {
		return err_set(e, ERR_INVALID,
			"Unknown type \"%.32s\" in Healthcheck: expected NONE, CMD or CMD-SHELL",
			test.v[0]);
	}
	return 0;
}

/* The command line of the probe; false when there is none. */
static bool read_args(const json_t *config, struct strv *ret)
{
	const json_t *test = json_object_get(json_object_get(config, "Healthcheck"), "Test");
	const char *kind = json_string_value(json_array_get(test, 0));
	size_t i;
	json_t *item;
	if (!kind || strcmp(kind, "NONE") == 0 || json_array_size(test) < 2) {
		return false;
	}
	if (strcmp(kind, "CMD-SHELL") == 0) {
		const json_t *shell = json_object_get(config, "Shell");
		json_array_foreach (shell, i, item) {
			strv_add(ret, json_string_value(item));
		}
		if (ret->n == 0) {
			strv_add(ret, "/bin/sh");
			strv_add(ret, "-c");
		}
	}
	json_array_foreach (test, i, item) {
		if (i > 0) {
			strv_add(ret, json_string_value(item));
		}
	}
	return true;
}

static void keep_result(struct health *h, int exit_code, const char *output)
{
	if (h->n_results == RESULTS_KEPT) {
		free(h->results[0].output);
		memmove(h->results, h->results + 1, (RESULTS_KEPT - 1) * sizeof(*h->results));
		h->n_results--;
	}
	h->results[h->n_results++] =
		(struct result){h->probe_start_ns, clock_real_ns(), exit_code, xstrdup(output)};
}

static void plan_next(struct health *h);

/* --- wherry.unhealthy=restart --- */

static void ignore_result(void *owner, const struct err *e)
{
}

static void restart_now(void *owner)
{
	struct health *h = owner;
	struct container *c = h->container;
	h->restart = NULL;
	if (c->set->going_down || c->state != CONTAINER_RUNNING) {
		return;
	}
	c->unhealthy = unhealthy_after(c->unhealthy, clock_mono_ms());
	log_warning("container", "restarted_unhealthy", "id", c->id, NULL);
	container_event(c, "unhealthy_restart", NULL);
	container_restart(c, 0, -1, ignore_result, NULL); /* h goes with the end of this run */
}

static void status_changed(struct health *h)
{
	struct container *c = h->container;
	enum unhealthy_action action;
	/* both were checked: by create, and when the configuration was read */
	(void)unhealthy_action_parse(
		json_str(c->set->d.settings, UNHEALTHY_LABEL), UNHEALTHY_IGNORE, &action);
	(void)unhealthy_action_parse(
		json_str(container_labels(c), UNHEALTHY_LABEL), action, &action);
	if (h->state.status != HEALTH_UNHEALTHY) {
		delay_cancel(h->restart);
		h->restart = NULL;
	} else if (action == UNHEALTHY_RESTART && !h->restart) {
		h->restart = delay_start(c->set->d.loop,
			unhealthy_wait_ms(&c->unhealthy, clock_mono_ms()), restart_now, h);
	}
}

/* In dockerd's words, with what was said until then. */
static char *too_late_text(const struct health *h, const char *output)
{
	char span[CLOCK_TEXT_MAX];
	clock_go_span(h->config.timeout_ms, span);
	return xasprintf(
		"Health check exceeded timeout (%s)%s%s", span, *output ? ": " : "", output);
}

static void probed(void *owner, int exit_code, const char *output)
{
	struct health *h = owner;
	struct container *c = h->container;
	enum health_status before = h->state.status;
	h->probe = NULL;
	delay_cancel(h->timeout);
	h->timeout = NULL;
	c->set->probes++;
	c->set->failed_probes += h->timed_out || exit_code != 0;
	scoped(free) char *late = h->timed_out ? too_late_text(h, output) : NULL;
	keep_result(h, h->timed_out ? -1 : exit_code, late ? late : output);
	h->state = health_after(h->state, &h->config, !h->timed_out && exit_code == 0,
		clock_mono_ms() - h->began_ms);
	plan_next(h);
	if (h->state.status != before) {
		scoped(free) char *action = xasprintf("health_status: %s", words[h->state.status]);
		log_info(
			"container", "health", "id", c->id, "status", words[h->state.status], NULL);
		container_event(c, action, NULL);
		status_changed(h);
		boot_look_again(c->set);
	}
}

static void too_late(void *owner)
{
	struct health *h = owner;
	h->timeout = NULL;
	h->timed_out = true;
	exec_kill(h->probe);
}

/* What it takes to start a process is not the probe's: as in dockerd. */
static void probe_started(void *owner)
{
	struct health *h = owner;
	delay_cancel(h->timeout);
	h->timeout = delay_start(h->container->set->d.loop, h->config.timeout_ms, too_late, h);
}

static void probe_now(void *owner)
{
	struct health *h = owner;
	struct err e;
	h->next = NULL;
	h->timed_out = false;
	h->probe_start_ns = clock_real_ns();
	h->probe = exec_probe(h->container, &h->args, probe_started, probed, h, &e);
	if (!h->probe) { /* paused, or ending: the next time */
		plan_next(h);
		return;
	}
	h->timeout = delay_start(h->container->set->d.loop, START_MAX_MS, too_late, h);
}

static void plan_next(struct health *h)
{
	int64_t wait = health_wait_ms(h->state, &h->config, clock_mono_ms() - h->began_ms);
	h->next = delay_start(h->container->set->d.loop, wait, probe_now, h);
}

static int64_t span_ms(const json_t *o, const char *key, int64_t dflt_ms)
{
	int64_t ns = json_i64(o, key, 0);
	return ns > 0 ? ns / NS_PER_MS : dflt_ms;
}

void health_start(struct container *c)
{
	scoped(strv) struct strv args = STRV_INIT;
	health_stop(c);
	if (!read_args(c->config, &args)) {
		return;
	}
	const json_t *o = json_object_get(c->config, "Healthcheck");
	struct health *h = xnew(struct health);
	h->container = c;
	h->config = (struct health_config){
		.interval_ms = span_ms(o, "Interval", 30000),
		.timeout_ms = span_ms(o, "Timeout", 30000),
		.start_period_ms = span_ms(o, "StartPeriod", 0),
		.start_interval_ms = span_ms(o, "StartInterval", 5000),
		.retries = json_i64(o, "Retries", 0) > 0 ? (int)json_i64(o, "Retries", 0) : 3,
	};
	strv_copy(&h->args, &args);
	h->began_ms = clock_mono_ms();
	c->health = h;
	plan_next(h);
}

void health_stop(struct container *c)
{
	struct health *h = c->health;
	if (!h) {
		return;
	}
	c->health = NULL;
	delay_cancel(h->next);
	delay_cancel(h->timeout);
	delay_cancel(h->restart);
	if (h->probe) {
		exec_kill(h->probe);
		exec_drop(h->probe);
	}
	for (size_t i = 0; i < h->n_results; i++) {
		free(h->results[i].output);
	}
	strv_deinit(&h->args);
	free(h);
}

json_t *health_inspect(const struct container *c)
{
	const struct health *h = c->health;
	if (!h) {
		return NULL;
	}
	json_t *log = json_array();
	for (size_t i = 0; i < h->n_results; i++) {
		char start[CLOCK_TEXT_MAX];
		char end[CLOCK_TEXT_MAX];
		const struct result *r = &h->results[i];
		json_t *output = json_string(r->output); /* NULL when it is not UTF-8 */
		json_array_append_new(log,
			json_pack("{ss ss si so}", "Start", clock_format(r->start_ns, start), "End",
				clock_format(r->end_ns, end), "ExitCode", r->exit_code, "Output",
				output ? output : json_string("(output is not UTF-8)")));
	}
	return json_pack("{ss si so}", "Status", words[h->state.status], "FailingStreak",
		h->state.failing_streak, "Log", log);
}

const char *health_word(const struct container *c)
{
	return c->health ? words[c->health->state.status] : "";
}

enum health_status health_status(const struct container *c)
{
	return c->health ? c->health->state.status : HEALTH_STARTING;
}

bool health_is_configured(const struct container *c)
{
	scoped(strv) struct strv args = STRV_INIT;
	return read_args(c->config, &args);
}
