/* FROM: the name and the platform of a base, with the arguments in them. */
#include "build/lint_rules.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "build/hint.h"
#include "codec/ref.h"

/* What an expansion looked for. */
struct looked {
	const struct strv *env;
	struct strv found, missing;
};

static const char *lookup_noted(void *owner, const char *name, size_t n)
{
	struct looked *k = owner;
	const char *value = lint_lookup_env((void *)k->env, name, n);
	if (value) {
		strv_addn(&k->found, name, n);
	}
	return value;
}

static void note_missing(void *owner, const char *name, size_t n)
{
	struct looked *k = owner;
	strv_addn(&k->missing, name, n);
}

static void scoped_looked(struct looked *k)
{
	strv_deinit(&k->found);
	strv_deinit(&k->missing);
}

/* NULL when it cannot be expanded: then the plan says so. */
static char *expand_noted(const struct lint_walk *w, const char *text, struct looked *ret)
{
	struct err ignored;
	char *word;
	ret->env = &w->global_args;
	const struct expander x = {.lookup = lookup_noted,
		.owner = ret,
		.escape = w->l->d->escape,
		.missing = note_missing};
	return expand_word(&x, text, &word, &ignored) < 0 ? NULL : word;
}

static void check_from_args(
	struct lint_walk *w, const struct df_instruction *i, const struct looked *looked)
{
	for (size_t k = 0; k < looked->missing.n; k++) {
		const char *name = looked->missing.v[k];
		char room[HINT_TEXT_MAX];
		struct hint hint = hint_for(name);
		if (strv_has(&w->global_names, name)) {
			continue;
		}
		for (size_t a = 0; a < w->global_names.n; a++) {
			hint_offer(&hint, w->global_names.v[a]);
		}
		lint_note(w->l, RULE_UNDEFINED_ARG_IN_FROM, i,
			"FROM argument '%s' is not declared%s", name, hint_text(&hint, room));
	}
}

/* "linux/amd64", or "amd64" alone: what of it may stand in the name of a stage that is for it. */
static bool names_platform(const char *stage, const char *platform)
{
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, platform, '/');
	for (size_t k = 0; k < parts.n && k < 2; k++) {
		const char *part = parts.v[k];
		part = strcmp(part, "x86_64") == 0    ? "amd64"
		       : strcmp(part, "aarch64") == 0 ? "arm64"
						      : part;
		if (*part && strstr(stage, part)) {
			return true;
		}
	}
	return parts.n == 1 && strstr(stage, "linux") != NULL;
}

void lint_platform(struct lint_walk *w, const struct df_instruction *i)
{
	const char *flag = df_flag(i, "platform");
	scoped(looked) struct looked looked = {0};
	scoped(free) char *platform = flag ? expand_noted(w, flag, &looked) : NULL;
	if (!platform) {
		return;
	}
	check_from_args(w, i, &looked);
	const char *target = strv_env_get(&w->global_args, "TARGETPLATFORM");
	bool only_target = looked.found.n == 1 && looked.missing.n == 0 &&
			   strcmp(looked.found.v[0], "TARGETPLATFORM") == 0;
	if (only_target && target && strcmp(platform, target) == 0) {
		lint_note(w->l, RULE_REDUNDANT_PLATFORM, i,
			"Setting platform to predefined %s in FROM is redundant as this is the default behavior",
			flag);
	}
	scoped(free) char *stage = xstrdup(i->words.n == 3 ? i->words.v[2] : "");
	for (char *p = stage; *p; p++) {
		*p = (char)tolower((unsigned char)*p);
	}
	if (looked.found.n == 0 && looked.missing.n == 0 && !names_platform(stage, platform)) {
		lint_note(w->l, RULE_FROM_PLATFORM_CONST, i,
			"FROM --platform flag should not use constant value \"%s\"", platform);
	}
}

void lint_default_base(
	struct lint_walk *w, const struct strv *defaults, const struct df_instruction *i)
{
	struct err ignored;
	struct ref r;
	scoped(free) char *base = NULL;
	const struct expander x = {
		.lookup = lint_lookup_env, .owner = (void *)defaults, .escape = w->l->d->escape};
	if (expand_word(&x, i->words.v[0], &base, &ignored) < 0) {
		return;
	}
	bool valid = strcmp(base, "scratch") == 0 || ref_parse(base, &r, &ignored) == 0;
	for (size_t k = 0; k < w->n && !valid; k++) {
		valid = w->v[k].name && strcasecmp(w->v[k].name, base) == 0;
	}
	if (!valid) {
		lint_note(w->l, RULE_INVALID_DEFAULT_ARG, i,
			"Default value for ARG %s results in empty or invalid base image name",
			i->words.v[0]);
	}
}

static void check_image_platform(struct lint_walk *w, const struct df_instruction *i,
	const char *base, const char *platform, const json_t *image)
{
	scoped(strv) struct strv want = STRV_INIT;
	strv_split(&want, platform, '/');
	const char *os = json_str(image, "os"), *arch = json_str(image, "architecture");
	if (want.n < 2 || !*arch || (strcmp(os, want.v[0]) == 0 && strcmp(arch, want.v[1]) == 0)) {
		return;
	}
	lint_note(w->l, RULE_INVALID_BASE_PLATFORM, i,
		"Base image %s was pulled with platform \"%s/%s\", expected \"%s\" for current build",
		base, os, arch, platform);
}

void lint_begin_stage(struct lint_walk *w, struct lint_stage *s, const struct df_instruction *i)
{
	const struct lint_options *o = w->l->o;
	const struct plan_options *plan = o->plan;
	scoped(looked) struct looked looked = {0};
	scoped(free) char *base = expand_noted(w, i->words.v[0], &looked);
	scoped(looked) struct looked ignored = {0};
	const char *flag = df_flag(i, "platform");
	scoped(free) char *own = flag ? expand_noted(w, flag, &ignored) : NULL;
	const char *platform = own ? own : *plan->platform ? plan->platform : plan->build_platform;
	check_from_args(w, i, &looked);
	struct lint_stage *on = base ? lint_find_stage(w, base) : NULL;
	if (on) {
		build_config_from_stage(&s->c, &on->c, NULL);
		s->known = on->known;
		s->workdir_set = on->workdir_set;
		return;
	}
	const bool scratch = base && strcmp(base, "scratch") == 0;
	const char *context = base ? plan_context(plan->contexts, base) : NULL;
	const char *name = context ? plan_context_image(context) : base;
	const json_t *image =
		name && !scratch && o->base ? o->base(o->owner, name, platform) : NULL;
	build_config_from_image(&s->c, image, "linux", "", "", NULL);
	s->known = scratch || image;
	if (image) {
		check_image_platform(w, i, base, platform, image);
	}
}
