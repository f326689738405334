/* compose pull and push: images of services from their registries, and to them. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "codec/ref.h"
#include "wherry/compose_transfer.h"

struct pull {
	bool quiet, ignore_failures, ignore_buildable, include_deps;
	const char *policy;
};

static void skip(struct compose *c, const struct service *s, const char *why)
{
	compose_progress_event(c->progress, s->name, why, "");
}

static bool is_policy(const char *policy, const char *a, const char *b)
{
	return policy && (strcmp(policy, a) == 0 || strcmp(policy, b) == 0);
}

/* A tag that may move is fetched again. */
static int is_present(struct compose *c, const char *image, struct err *e)
{
	struct ref ref;
	if (ref_parse(image, &ref, e) < 0) {
		return -1;
	}
	bool moves = !*ref.digest && (!*ref.tag || strcmp(ref.tag, "latest") == 0);
	return moves ? 0 : compose_image_find(c, image, NULL, e);
}

/* 1: is to be pulled; 0: skipped, which was said; -1. */
static int wants_pull(
	struct compose *c, const struct pull *o, size_t index, const bool *selected, struct err *e)
{
	const struct service *s = &c->project->services[index];
	bool named = node_text(s->node, "image") != NULL;
	const char *policy = o->policy && named ? o->policy : s->pull_policy;
	if (!named) {
		skip(c, s, "Skipped - No image to be pulled");
		return 0;
	}
	if (is_policy(policy, "never", "build")) {
		skip(c, s, "Skipped");
		return 0;
	}
	if (is_policy(policy, "missing", "if_not_present")) {
		int present = is_present(c, s->image, e);
		if (present > 0) {
			skip(c, s, "Skipped - Image is already present locally");
		}
		if (present != 0) {
			return present > 0 ? 0 : -1;
		}
	}
	if (s->build && o->ignore_buildable) {
		skip(c, s, "Skipped - Image can be built");
		return 0;
	}
	for (size_t i = 0; i < index; i++) {
		const struct service *other = &c->project->services[i];
		if (selected[i] && strcmp(other->image, s->image) == 0) {
			scoped(free) char *why = xasprintf(
				"Skipped - Image is already being pulled by %s", other->name);
			skip(c, s, why);
			return 0;
		}
	}
	return 1;
}

static int pull_all(struct compose *c, const struct pull *o, bool *selected, struct err *e)
{
	scoped(buf) struct buf must_build = BUF_INIT;
	scoped(free) struct transfer *list =
		xnew_array(struct transfer, c->project->n_services + 1);
	size_t n = 0;
	for (size_t i = 0; i < c->project->n_services; i++) {
		const struct service *s = &c->project->services[i];
		int wanted = selected[i] ? wants_pull(c, o, i, selected, e) : 0;
		if (wanted < 0) {
			return -1;
		}
		selected[i] = wanted > 0;
		if (wanted > 0) {
			list[n++] = (struct transfer){.name = s->name,
				.image = s->image,
				.platform = s->platform,
				.tolerated = s->build};
		}
	}
	int r = compose_pull_images(c, list, n, o->quiet, e);
	for (size_t i = 0; i < n; i++) {
		if (list[i].failed && list[i].tolerated) {
			buf_printf(&must_build, " %s", list[i].name);
			*e = r == 0 ? list[i].e : *e;
			r = -1;
		}
	}
	if (must_build.len > 0) {
		fprintf(stderr,
			"WARNING: Some service image(s) must be built from source by running:\n    wherry compose build%s\n",
			buf_str(&must_build));
	}
	return o->ignore_failures ? 0 : r;
}

/* Loads the files and selects the named services; *ret_selected is the caller's. */
static int begin(struct compose *c, int argc, char **argv, bool with_dependencies,
	const char *title, bool **ret_selected, struct err *e)
{
	if (compose_load(c, argv + 1, argc - 1, e) < 0) {
		return -1;
	}
	*ret_selected = xnew_array(bool, c->project->n_services + 1);
	compose_begin(c, title);
	return plan_select(c->project, &c->services, !with_dependencies, *ret_selected, e);
}

int compose_pull(struct compose *c, int argc, char **argv)
{
	struct pull o = {0};
	const struct flag flags[] = {
		{"ignore-buildable", 0, FLAG_BOOL, &o.ignore_buildable, NULL,
			"Ignore images that can be built"},
		{"ignore-pull-failures", 0, FLAG_BOOL, &o.ignore_failures, NULL,
			"Pull what it can and ignores images with pull failures"},
		{"include-deps", 0, FLAG_BOOL, &o.include_deps, NULL,
			"Also pull services declared as dependencies"},
		{"no-parallel", 0, FLAG_BOOL, NULL, NULL, NULL}, /* ended with docker-compose 1 */
		{"parallel", 0, FLAG_BOOL, NULL, NULL, NULL},
		{"policy", 0, FLAG_STRING, &o.policy, NULL,
			"Apply pull policy (\"missing\"|\"always\")"},
		{"quiet", 'q', FLAG_BOOL, &o.quiet, NULL,
			"Pull without printing progress information"},
		{0},
	};
	const struct syntax s = {
		"compose pull", "[OPTIONS] [SERVICE...]", "Pull service images", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	scoped(free) bool *selected = NULL;
	bool failed = begin(c, argc, argv, o.include_deps, "Pulling", &selected, &e) < 0 ||
		      pull_all(c, &o, selected, &e) < 0;
	return failed ? cli_fail(&e) : 0;
}

/* ---- push ---- */

struct push {
	bool quiet, ignore_failures, include_deps;
};

static size_t count_tags(const struct project *p)
{
	size_t n = p->n_services;
	for (size_t i = 0; i < p->n_services; i++) {
		n += p->services[i].build ? p->services[i].build->tags.n : 0;
	}
	return n;
}

/* An image that was not built here came from where it would go. */
static int push_all(struct compose *c, const struct push *o, const bool *selected, struct err *e)
{
	const struct project *p = c->project;
	scoped(free) struct transfer *list = xnew_array(struct transfer, count_tags(p) + 1);
	size_t n = 0;
	for (size_t i = 0; i < p->n_services; i++) {
		const struct service *s = &p->services[i];
		if (!selected[i]) {
			continue;
		}
		if (!s->build || !node_text(s->node, "image")) {
			if (!o->quiet) {
				skip(c, s, "Skipped");
			}
			continue;
		}
		for (size_t k = 0; k <= s->build->tags.n; k++) {
			list[n++] = (struct transfer){.name = s->name,
				.image = k == 0 ? s->image : s->build->tags.v[k - 1],
				.tolerated = o->ignore_failures};
		}
	}
	int r = compose_push_images(c, list, n, o->quiet, e);
	for (size_t i = 0; i < n; i++) {
		if (list[i].failed && list[i].tolerated) {
			fprintf(stderr, "Pushing %s: %s\n", list[i].name, list[i].e.msg);
		}
	}
	return r;
}

int compose_push(struct compose *c, int argc, char **argv)
{
	struct push o = {0};
	const struct flag flags[] = {
		{"ignore-push-failures", 0, FLAG_BOOL, &o.ignore_failures, NULL,
			"Push what it can and ignores images with push failures"},
		{"include-deps", 0, FLAG_BOOL, &o.include_deps, NULL,
			"Also push images of services declared as dependencies"},
		{"quiet", 'q', FLAG_BOOL, &o.quiet, NULL,
			"Push without printing progress information"},
		{0},
	};
	const struct syntax s = {
		"compose push", "[OPTIONS] [SERVICE...]", "Push service images", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	scoped(free) bool *selected = NULL;
	bool failed = begin(c, argc, argv, o.include_deps, "Pushing", &selected, &e) < 0 ||
		      push_all(c, &o, selected, &e) < 0;
	return failed ? cli_fail(&e) : 0;
}
