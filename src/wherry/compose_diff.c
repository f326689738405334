/* `wherry compose diff`: what an `up` of the files would change, and why. It plans and does
 * nothing; the words come from the resolved project that the engine keeps since the last `up`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "compose/emit.h"
#include "wherry/compose_up.h"

#define TROUBLE 2 /* as diff(1): 0 nothing differs, 1 something does */
#define VALUE_SHOWN 60
#define DEPTH_MAX 8

/* ---- what differs between two documents ---- */

static void add_path(json_t *list, const char *path, const json_t *before, const json_t *now)
{
	json_t *o = json_pack("{ss}", "path", path);
	json_put(o, "before", json_incref((json_t *)before));
	json_put(o, "now", json_incref((json_t *)now));
	json_array_append_new(list, o);
}

static void compare(
	json_t *list, const char *path, const json_t *before, const json_t *now, int depth)
{
	const char *key;
	json_t *value;
	if (json_equal(before, now)) {
		return;
	}
	if (!json_is_object(before) || !json_is_object(now) || depth == DEPTH_MAX) {
		add_path(list, path, before, now);
		return;
	}
	json_object_foreach ((json_t *)before, key, value) {
		scoped(free) char *below = xasprintf("%s%s%s", path, *path ? "." : "", key);
		compare(list, below, value, json_object_get(now, key), depth + 1);
	}
	json_object_foreach ((json_t *)now, key, value) {
		scoped(free) char *below = xasprintf("%s%s%s", path, *path ? "." : "", key);
		if (!json_object_get(before, key)) {
			add_path(list, below, NULL, value);
		}
	}
}

/* ---- the changes ---- */

struct diff {
	struct compose *c;
	const struct compose_state *state;
	json_t *kept, *now; /* configurations; kept NULL: the engine has none */
	json_t *changes;
};

static const json_t *service_in(const json_t *config, const char *name)
{
	return json_object_get(json_object_get(config, "services"), name);
}

static bool has_other_image(const struct diff *d, const struct step *step)
{
	const struct state *s = &d->state->s;
	for (size_t i = 0; step->existing && i < s->n_images; i++) {
		if (strcmp(s->images[i].service, step->service->name) == 0) {
			return strcmp(s->images[i].id, step->existing->image_id) != 0;
		}
	}
	return false;
}

static void add_why(json_t *reasons, const char *text)
{
	json_array_append_new(reasons, json_pack("{ss}", "text", text));
}

static json_t *reasons_of(const struct diff *d, const struct step *step)
{
	json_t *reasons = json_array();
	const json_t *before = service_in(d->kept, step->service->name);
	if (before) {
		compare(reasons, "", before, service_in(d->now, step->service->name), 0);
	}
	if (step->reason) {
		add_why(reasons, step->reason);
	}
	if (has_other_image(d, step)) {
		scoped(free) char *text =
			xasprintf("the image %s is another now", step->service->image);
		add_why(reasons, text);
	}
	if (json_array_size(reasons) == 0) {
		add_why(reasons, before ? "something that it depends on is made anew"
					: "it was made from another file, which is not kept");
	}
	return reasons;
}

static void add_change(struct diff *d, const char *kind, const char *name, const char *change,
	json_t *take_reasons)
{
	size_t i;
	json_t *o;
	json_array_foreach (d->changes, i, o) {
		if (strcmp(json_str(o, "kind"), kind) == 0 &&
			strcmp(json_str(o, "name"), name) == 0) {
			json_decref(take_reasons); /* another container of the service */
			return;
		}
	}
	json_array_append_new(d->changes, json_pack("{ss ss ss so}", "kind", kind, "name", name,
						  "change", change, "reasons", take_reasons));
}

static void collect(struct diff *d, const struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		const struct step *s = &plan->steps[i];
		switch (s->kind) {
		case STEP_NETWORK_CREATE:
			add_change(d, "network", s->name, "created", json_array());
			break;
		case STEP_NETWORK_REMOVE:
			add_change(d, "network", s->name, "recreated", json_array());
			break;
		case STEP_VOLUME_REMOVE:
			add_change(d, "volume", s->name, "recreated", json_array());
			break;
		case STEP_VOLUME_CREATE:
			add_change(d, "volume", s->name, "created", json_array());
			break;
		case STEP_CREATE:
			add_change(d, "service", s->service->name, "created", json_array());
			break;
		case STEP_RECREATE:
		case STEP_ROLL:
			add_change(d, "service", s->service->name, "recreated", reasons_of(d, s));
			break;
		case STEP_REMOVE:
			add_change(d, "container", s->name, "removed", json_array());
			break;
		default:
			break;
		}
	}
}

/* ---- printing ---- */

static char *shown(const json_t *value)
{
	scoped(free) char *text = !value ? xstrdup("(nothing)")
				  : json_is_string(value)
					  ? xstrdup(json_string_value(value))
					  : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	size_t n = text ? strlen(text) : 0;
	return n > VALUE_SHOWN ? xasprintf("%.*s...", VALUE_SHOWN, text) : TAKE(text);
}

static void print_text(const json_t *changes)
{
	size_t i;
	size_t k;
	json_t *o;
	json_t *reason;
	json_array_foreach (changes, i, o) {
		printf("%s %s: %s\n", json_str(o, "kind"), json_str(o, "name"),
			json_str(o, "change"));
		json_array_foreach (json_object_get(o, "reasons"), k, reason) {
			const char *path = json_str(reason, "path");
			scoped(free) char *before = shown(json_object_get(reason, "before"));
			scoped(free) char *now = shown(json_object_get(reason, "now"));
			if (*path) {
				printf("  %s: %s -> %s\n", path, before, now);
			} else {
				printf("  %s\n", json_str(reason, "text"));
			}
		}
	}
}

static json_t *config_now(const struct project *p, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	emit_json(p->root, false, &text);
	return json_parse(buf_str(&text), text.len, "the project", e);
}

static int find_changes(struct compose *c, json_t **ret, struct err *e)
{
	struct err ignored;
	struct up u = {.timeout = -1, .yes = true, .plan.no_deps = c->services.n > 0};
	scoped(compose_state) struct compose_state state = {0};
	scoped(plan) struct plan plan = {0};
	scoped(free) bool *selected = xnew_array(bool, c->project->n_services + 1);
	scoped(json) json_t *kept = compose_kept_get(c, c->project->name, &ignored);
	scoped(json) json_t *now = config_now(c->project, e);
	scoped(json) json_t *changes = json_array();
	struct diff d = {c, &state, json_object_get(kept, "config"), now, changes};
	u.plan.services = &c->services;
	c->dry_run = true; /* what asks, does not */
	if (!now || plan_select(c->project, &c->services, true, selected, e) < 0 ||
		compose_state_fetch(c, c->project->name, &state, e) < 0 ||
		compose_state_images(c, &state, e) < 0 ||
		up_plan(c, &u, selected, &state, &plan, e) < 0) {
		return -1;
	}
	collect(&d, &plan);
	*ret = json_incref(changes);
	return 0;
}

int compose_diff(struct compose *c, int argc, char **argv)
{
	const char *format = "text";
	const struct flag flags[] = {
		{"format", 0, FLAG_STRING, &format, NULL,
			"Format the output. Values: [text | json]"},
		{0},
	};
	const struct syntax s = {"compose diff", "[OPTIONS] [SERVICE...]",
		"Show what an up would change, and why", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	scoped(json) json_t *changes = NULL;
	if (compose_load(c, argv + 1, argc - 1, &e) < 0 || find_changes(c, &changes, &e) < 0) {
		cli_fail(&e);
		return TROUBLE;
	}
	if (strcmp(format, "json") == 0) {
		scoped(free) char *text = json_text(changes);
		printf("%s\n", text);
	} else {
		print_text(changes);
	}
	return json_array_size(changes) > 0;
}
