/* The rules. Each stage is followed with the configuration that it would have, as far as the file
 * itself tells. */
#include "build/lint_rules.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/scoped.h"

/* --- words --- */

bool lint_has_upper(const char *s)
{
	for (; *s; s++) {
		if (isupper((unsigned char)*s)) {
			return true;
		}
	}
	return false;
}

bool lint_has_lower(const char *s)
{
	for (; *s; s++) {
		if (islower((unsigned char)*s)) {
			return true;
		}
	}
	return false;
}

const char *lint_lookup_env(void *owner, const char *name, size_t n)
{
	const struct strv *env = owner;
	for (size_t i = 0; i < env->n; i++) {
		if (strncmp(env->v[i], name, n) == 0 && env->v[i][n] == '=') {
			return env->v[i] + n + 1;
		}
	}
	return NULL;
}

char *lint_env_name(const char *assignment)
{
	return xstrndup(assignment, strcspn(assignment, "="));
}

/* --- the walk --- */

struct lint_stage *lint_find_stage(struct lint_walk *w, const char *name)
{
	for (size_t k = w->n; k > 0; k--) {
		if (w->v[k - 1].name && strcasecmp(w->v[k - 1].name, name) == 0) {
			return &w->v[k - 1];
		}
	}
	return NULL;
}

static void check_instruction(
	struct lint_walk *w, struct lint_stage *s, const struct df_instruction *i)
{
	const struct lint_options *o = w->l->o;
	const struct config_args args = {o->plan->build_args, &w->global_args, NULL, NULL};
	struct err ignored;
	lint_variables(w, s, i);
	lint_instruction(w, s, i);
	if (i->kind != DF_RUN && i->kind != DF_COPY && i->kind != DF_ADD) {
		(void)build_config_apply(&s->c, w->l->d, i, &args, &ignored);
	}
}

static struct lint_stage *add_stage(struct lint_walk *w, const struct df_instruction *i)
{
	struct lint_stage s = {0};
	if (i->words.n == 3 && lint_find_stage(w, i->words.v[2])) {
		lint_note(w->l, RULE_DUPLICATE_STAGE_NAME, i,
			"Duplicate stage name \"%s\", stage names should be unique", i->words.v[2]);
	}
	lint_platform(w, i);
	lint_begin_stage(w, &s, i);
	s.name = i->words.n == 3 ? xstrdup(i->words.v[2]) : NULL;
	w->v = xrealloc(w->v, w->n + 1, sizeof(*w->v));
	w->v[w->n++] = s;
	return &w->v[w->n - 1];
}

/* An ARG before the first FROM; given: with --build-arg. */
static void add_global(
	struct lint_walk *w, const struct df_instruction *i, bool given, struct strv *ret)
{
	for (size_t k = 0; k < i->words.n; k++) {
		const char *equals = strchr(i->words.v[k], '=');
		scoped(free) char *name = lint_env_name(i->words.v[k]);
		const char *asked = given ? strv_env_get(w->l->o->plan->build_args, name) : NULL;
		scoped(free) char *value = asked ? xstrdup(asked) : NULL;
		struct err ignored;
		const struct expander x = {
			.lookup = lint_lookup_env, .owner = ret, .escape = w->l->d->escape};
		if (!value && equals) {
			(void)expand_word(&x, equals + 1, &value, &ignored);
		}
		if (value) {
			scoped(free) char *assignment = xasprintf("%s=%s", name, value);
			strv_env_set(ret, assignment);
		}
		strv_add(&w->global_names, name);
	}
}

static bool is_needed(const struct linter *l, size_t stage)
{
	const struct plan *p = l->o->made;
	return !p || (stage < p->n && p->v[stage].needed);
}

static void walk_deinit(struct lint_walk *w)
{
	for (size_t k = 0; k < w->n; k++) {
		free(w->v[k].name);
		build_config_deinit(&w->v[k].c);
	}
	free(w->v);
	strv_deinit(&w->global_args);
	strv_deinit(&w->global_names);
}

/* The predefined arguments can be asked for, too. */
static void begin_walk(struct lint_walk *w, struct strv *defaults)
{
	plan_default_args(w->l->d, w->l->o->plan, &w->global_args);
	strv_copy(defaults, &w->global_args);
	for (size_t k = 0; k < w->global_args.n; k++) {
		strv_take(&w->global_names, lint_env_name(w->global_args.v[k]));
	}
}

void lint_all(struct linter *l)
{
	struct lint_walk w = {.l = l};
	scoped(strv) struct strv defaults = STRV_INIT;
	begin_walk(&w, &defaults);
	lint_written(l);
	for (size_t k = 0; k < l->d->n; k++) {
		const struct df_instruction *i = &l->d->v[k];
		if (i->kind == DF_FROM) {
			lint_default_base(&w, &defaults, i);
			add_stage(&w, i);
		} else if (w.n == 0) {
			add_global(&w, i, false, &defaults);
			add_global(&w, i, true, &w.global_args);
		} else if (is_needed(l, w.n - 1)) {
			check_instruction(&w, &w.v[w.n - 1], i);
		}
	}
	walk_deinit(&w);
}
