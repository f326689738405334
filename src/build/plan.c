#include "build/plan.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/scoped.h"
#include "base/text.h"
#include "build/expand.h"
#include "build/hint.h"
#include "build/run_mount.h"

#define STAGES_MAX 500
#define BAD_REF (-3)

void plan_deinit(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->v[i].name);
		free(p->v[i].base);
		free(p->v[i].platform);
		free(p->v[i].needs);
		free(p->v[i].context);
	}
	free(p->v);
	strv_deinit(&p->global_args);
	*p = (struct plan){0};
}

static const char *lookup_env(void *owner, const char *name, size_t n)
{
	const struct strv *env = owner;
	for (size_t i = 0; i < env->n; i++) {
		if (strncmp(env->v[i], name, n) == 0 && env->v[i][n] == '=') {
			return env->v[i] + n + 1;
		}
	}
	return NULL;
}

static int expand_at(const struct plan *p, const struct df_instruction *i, const char *text,
	char **ret, struct err *e)
{
	const struct expander x = {
		.lookup = lookup_env, .owner = (void *)&p->global_args, .escape = p->d->escape};
	struct err why;
	if (expand_word(&x, text, ret, &why) < 0) {
		return df_error(p->d, i->line, e, "%s: %s", df_keyword(i->kind), why.msg);
	}
	return 0;
}

static void set_arg(struct strv *args, const char *name, const char *value)
{
	scoped(free) char *assignment = xasprintf("%s=%s", name, value);
	strv_env_set(args, assignment);
}

/* A predefined argument; --build-arg stands before what it would be. */
static void predefine(
	const struct plan_options *o, struct strv *args, const char *name, const char *value)
{
	const char *given = strv_env_get(o->build_args, name);
	set_arg(args, name, given ? given : value);
}

/* TARGETPLATFORM, TARGETOS, TARGETARCH, TARGETVARIANT and the same for BUILD. */
static void set_platform_args(
	const struct plan_options *o, struct strv *args, const char *prefix, const char *platform)
{
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, platform, '/');
	static const char *const suffixes[] = {"OS", "ARCH", "VARIANT"};
	scoped(free) char *whole = xasprintf("%sPLATFORM", prefix);
	scoped(free) char *os_version = xasprintf("%sOSVERSION", prefix);
	predefine(o, args, whole, platform);
	predefine(o, args, os_version, "");
	for (size_t i = 0; i < 3; i++) {
		scoped(free) char *name = xasprintf("%s%s", prefix, suffixes[i]);
		predefine(o, args, name, i < parts.n ? parts.v[i] : "");
	}
}

/* What TARGETSTAGE is: the target as it was asked for, or the name of the last stage. */
static char *target_name(const struct dockerfile *d, const struct plan_options *o)
{
	const char *name = "";
	for (size_t k = 0; k < d->n; k++) {
		if (d->v[k].kind == DF_FROM) {
			name = d->v[k].words.n == 3 ? d->v[k].words.v[2] : "";
		}
	}
	scoped(free) char *lower = xstrdup(name);
	for (char *p = lower; *p; p++) {
		*p = (char)tolower((unsigned char)*p);
	}
	return xstrdup(*o->target ? o->target : *lower ? lower : "default");
}

void plan_default_args(const struct dockerfile *d, const struct plan_options *o, struct strv *ret)
{
	scoped(free) char *target = target_name(d, o);
	set_platform_args(o, ret, "BUILD", o->build_platform);
	set_platform_args(o, ret, "TARGET", *o->platform ? o->platform : o->build_platform);
	predefine(o, ret, "TARGETSTAGE", target);
}

/* --- named contexts --- */

/* "docker.io/library/alpine:latest" and "alpine" are one name. */
static char *familiar_name(const char *name)
{
	static const char *const prefixes[] = {"docker.io/library/", "docker.io/"};
	for (size_t k = 0; k < 2; k++) {
		if (text_starts(name, prefixes[k])) {
			name += strlen(prefixes[k]);
			break;
		}
	}
	size_t n = strlen(name) - (text_ends(name, ":latest") ? strlen(":latest") : 0);
	return xstrndup(name, n);
}

const char *plan_context(const struct strv *contexts, const char *name)
{
	scoped(free) char *wanted = familiar_name(name);
	bool reserved = strcasecmp(name, "scratch") == 0 || strcasecmp(name, "context") == 0;
	for (size_t k = 0; contexts && !reserved && k < contexts->n; k++) {
		const char *equals = strchr(contexts->v[k], '=');
		scoped(free) char *raw =
			xstrndup(contexts->v[k], (size_t)(equals - contexts->v[k]));
		scoped(free) char *own = familiar_name(raw);
		if (strcasecmp(own, wanted) == 0) {
			return equals + 1;
		}
	}
	return NULL;
}

const char *plan_context_image(const char *context)
{
	static const char scheme[] = "docker-image://";
	return text_starts(context, scheme)        ? context + sizeof(scheme) - 1
	       : text_starts(context, PLAN_LAYOUT) ? context
						   : NULL;
}

/* The context takes the place of the stage's base. */
static void base_on_context(struct stage *s, const char *context)
{
	const char *image = plan_context_image(context);
	if (image) {
		free(s->base);
		s->base = xstrdup(image);
		s->base_stage = PLAN_IMAGE;
	} else {
		s->context = xstrdup(context);
		s->base_stage = PLAN_CONTEXT;
	}
}

/* --- stages --- */

static int global_arg(
	struct plan *p, const struct df_instruction *i, const struct plan_options *o, struct err *e)
{
	for (size_t k = 0; k < i->words.n; k++) {
		const char *word = i->words.v[k];
		const char *equals = strchr(word, '=');
		scoped(free) char *name =
			equals ? xstrndup(word, (size_t)(equals - word)) : xstrdup(word);
		const char *given = strv_env_get(o->build_args, name);
		if (given) {
			set_arg(&p->global_args, name, given);
		} else if (equals) {
			scoped(free) char *value = NULL;
			if (expand_at(p, i, equals + 1, &value, e) < 0) {
				return -1;
			}
			set_arg(&p->global_args, name, value);
		}
	}
	return 0;
}

static int find_by_name(const struct plan *p, const char *name)
{
	for (size_t i = p->n; i > 0; i--) { /* the last of a name wins */
		if (p->v[i - 1].name && strcasecmp(p->v[i - 1].name, name) == 0) {
			return (int)i - 1;
		}
	}
	return PLAN_IMAGE;
}

int plan_stage_ref(const struct plan *p, size_t in, int line, const char *name, struct err *e)
{
	int found = PLAN_IMAGE;
	for (size_t i = in; i > 0 && found < 0; i--) {
		if (p->v[i - 1].name && strcasecmp(p->v[i - 1].name, name) == 0) {
			found = (int)i - 1;
		}
	}
	if (found >= 0) {
		return found;
	}
	int number;
	if (parse_int(name, 0, STAGES_MAX, &number) == 0) {
		if ((size_t)number >= in) {
			(void)df_error(p->d, line, e,
				"invalid stage index %d: only stages before this one (0 to %d) can be used",
				number, (int)in - 1);
			return BAD_REF;
		}
		return number;
	}
	found = find_by_name(p, name);
	if (found >= 0) {
		(void)df_error(p->d, line, e,
			(size_t)found == in
				? "circular dependency detected on stage: %.100s"
				: "circular dependency: stage %.100s comes later in the file",
			name);
		return BAD_REF;
	}
	return PLAN_IMAGE;
}

static bool valid_stage_name(const char *name)
{
	if (!isalpha((unsigned char)*name)) {
		return false;
	}
	for (const char *c = name; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("-_.", *c)) {
			return false;
		}
	}
	return true;
}

static int name_stage(
	const struct plan *p, struct stage *s, const struct df_instruction *i, struct err *e)
{
	if (i->words.n == 1) {
		return 0;
	}
	if (i->words.n != 3 || strcasecmp(i->words.v[1], "as") != 0) {
		return df_error(p->d, i->line, e,
			"FROM requires either one or three arguments: FROM image [AS name]");
	}
	s->name = xstrdup(i->words.v[2]);
	if (!valid_stage_name(s->name)) {
		return df_error(p->d, i->line, e,
			"invalid name for build stage: \"%.60s\": a name begins with a letter and holds letters, digits, '-', '_' and '.'",
			s->name);
	}
	return 0;
}

static int add_stage(struct plan *p, size_t from, struct err *e)
{
	static const char *const flags[] = {"platform", NULL};
	const struct df_instruction *i = &p->d->v[from];
	if (p->n >= STAGES_MAX) {
		return df_error(p->d, i->line, e, "more than %d stages", STAGES_MAX);
	}
	p->v = xrealloc(p->v, p->n + 1, sizeof(*p->v));
	struct stage *s = &p->v[p->n];
	*s = (struct stage){.from = from, .end = from + 1, .base_stage = PLAN_IMAGE};
	p->n++;
	if (df_check_flags(p->d, i, flags, e) < 0 || name_stage(p, s, i, e) < 0) {
		return -1;
	}
	const char *platform = df_flag(i, "platform");
	if (expand_at(p, i, platform ? platform : "", &s->platform, e) < 0 ||
		expand_at(p, i, i->words.v[0], &s->base, e) < 0) {
		return -1;
	}
	if (!*s->base) {
		return df_error(
			p->d, i->line, e, "base name (%.100s) should not be blank", i->words.v[0]);
	}
	const char *context = s->name ? plan_context(p->contexts, s->name) : NULL;
	if (context) {
		s->replaced = true;
		base_on_context(s, context);
		return 0;
	}
	if (strcmp(s->base, "scratch") == 0) {
		s->base_stage = PLAN_SCRATCH;
		return 0;
	}
	for (size_t k = p->n - 1; k > 0 && s->base_stage < 0; k--) {
		if (p->v[k - 1].name && strcasecmp(p->v[k - 1].name, s->base) == 0) {
			s->base_stage = (int)k - 1;
		}
	}
	context = s->base_stage < 0 ? plan_context(p->contexts, s->base) : NULL;
	if (context) {
		base_on_context(s, context);
	}
	return 0;
}

static int cut_into_stages(struct plan *p, const struct plan_options *o, struct err *e)
{
	for (size_t k = 0; k < p->d->n; k++) {
		const struct df_instruction *i = &p->d->v[k];
		if (i->kind == DF_FROM) {
			if (add_stage(p, k, e) < 0) {
				return -1;
			}
		} else if (p->n == 0) {
			if (global_arg(p, i, o, e) < 0) {
				return -1;
			}
		} else if (!p->v[p->n - 1].replaced) {
			p->v[p->n - 1].end = k + 1;
		}
	}
	return 0;
}

static int find_target(struct plan *p, const char *target, struct err *e)
{
	p->target = p->n - 1;
	if (!*target) {
		return 0;
	}
	int number;
	int found = find_by_name(p, target);
	if (found < 0 && parse_int(target, 0, (int)p->n - 1, &number) == 0) {
		found = number;
	}
	if (found < 0) {
		char room[HINT_TEXT_MAX];
		struct hint hint = hint_for(target);
		for (size_t i = 0; i < p->n; i++) {
			hint_offer(&hint, p->v[i].name ? p->v[i].name : "");
		}
		return err_set(e, ERR_INVALID, "%.80s: target stage \"%.80s\" could not be found%s",
			p->d->name, target, hint_text(&hint, room));
	}
	p->target = (size_t)found;
	return 0;
}

static void need(struct plan *p, size_t in, int ref)
{
	struct stage *s = &p->v[in];
	p->v[ref].needed = true;
	s->needs = xrealloc(s->needs, s->n_needs + 1, sizeof(*s->needs));
	s->needs[s->n_needs++] = (size_t)ref;
}

/* Marks the stage that `from` names. */
static int need_ref(
	struct plan *p, size_t in, const struct df_instruction *i, const char *from, struct err *e)
{
	if (strchr(from, '$')) {
		return df_error(p->d, i->line, e,
			"variables are not expanded in from=%.60s; give a stage a name with FROM ... AS and use that",
			from);
	}
	int ref = plan_stage_ref(p, in, i->line, from, e);
	if (ref == BAD_REF) {
		return -1;
	}
	if (ref >= 0) {
		need(p, in, ref);
	}
	return 0;
}

static int need_refs_of(struct plan *p, size_t in, const struct df_instruction *i, struct err *e)
{
	const char *from = i->kind == DF_COPY ? df_flag(i, "from") : NULL;
	if (from && *from && need_ref(p, in, i, from, e) < 0) {
		return -1;
	}
	for (size_t k = 0; i->kind == DF_RUN && k < i->flags.n; k++) {
		const char *mount = run_mount_flag(i->flags.v[k]);
		scoped(free) char *mount_from = mount ? run_mount_from(mount) : NULL;
		if (mount_from && need_ref(p, in, i, mount_from, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* Stages refer to earlier ones only, so one walk from the target down finds all. */
static int mark_needed(struct plan *p, struct err *e)
{
	p->v[p->target].needed = true;
	for (size_t s = p->target + 1; s > 0; s--) {
		const struct stage *stage = &p->v[s - 1];
		if (!stage->needed) {
			continue;
		}
		if (stage->base_stage >= 0) {
			need(p, s - 1, stage->base_stage);
		}
		for (size_t k = stage->from + 1; k < stage->end; k++) {
			if (need_refs_of(p, s - 1, &p->d->v[k], e) < 0) {
				return -1;
			}
		}
		p->n_steps += stage->end - stage->from;
	}
	return 0;
}

int plan_make(
	const struct dockerfile *d, const struct plan_options *o, struct plan *ret, struct err *e)
{
	*ret = (struct plan){.d = d, .contexts = o->contexts};
	plan_default_args(d, o, &ret->global_args);
	return cut_into_stages(ret, o, e) < 0 || find_target(ret, o->target, e) < 0 ||
			       mark_needed(ret, e) < 0
		       ? -1
		       : 0;
}
