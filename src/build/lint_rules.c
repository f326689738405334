/* The rules. Each stage is followed with the configuration that it would have, as far as the file
 * itself tells. */
#include "build/lint_rules.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "build/config.h"
#include "build/hint.h"
#include "codec/ref.h"

/* A stage as it grows. */
struct stage_state {
	char *name; /* as written, or NULL */
	struct build_config c;
	bool known;                                  /* its base is: what is not set is not set */
	bool workdir_set;                            /* by this file */
	const struct df_instruction *last[DF_KINDS]; /* of a kind, in this stage */
};

struct walk {
	struct linter *l;
	struct stage_state *v;
	size_t n;
	struct strv global_args; /* as plan.h */
	struct strv global_names;
};

/* --- words --- */

static bool has_upper(const char *s)
{
	for (; *s; s++) {
		if (isupper((unsigned char)*s)) {
			return true;
		}
	}
	return false;
}

static bool has_lower(const char *s)
{
	for (; *s; s++) {
		if (islower((unsigned char)*s)) {
			return true;
		}
	}
	return false;
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

static char *env_name(const char *assignment)
{
	return xstrndup(assignment, strcspn(assignment, "="));
}

/* --- the file as it is written --- */

static void check_casing(struct linter *l)
{
	size_t lower = 0, upper = 0;
	bool in_stage = false;
	for (size_t k = 0; k < l->d->n; k++) {
		scoped(free) char *word = df_written_keyword(&l->d->v[k]);
		in_stage = in_stage || l->d->v[k].kind == DF_FROM;
		lower += in_stage && !has_upper(word);
		upper += in_stage && !has_lower(word);
	}
	in_stage = false;
	for (size_t k = 0; k < l->d->n; k++) {
		scoped(free) char *word = df_written_keyword(&l->d->v[k]);
		in_stage = in_stage || l->d->v[k].kind == DF_FROM;
		if (in_stage && (lower > upper ? has_upper(word) : has_lower(word))) {
			lint_note(l, RULE_CONSISTENT_INSTRUCTION_CASING, &l->d->v[k],
				"Command '%s' should match the case of the command majority (%s)",
				word, lower > upper ? "lowercase" : "uppercase");
		}
	}
}

/* A comment above ARG or FROM ... AS describes what its first word names. */
static void check_description(struct linter *l, const struct df_instruction *i)
{
	scoped(strv) struct strv names = STRV_INIT;
	if (i->kind == DF_ARG) {
		for (size_t k = 0; k < i->words.n; k++) {
			strv_take(&names, env_name(i->words.v[k]));
		}
	} else if (i->words.n == 3) {
		strv_add(&names, i->words.v[2]);
	}
	if (names.n == 0 || i->comments.n == 0) {
		return;
	}
	const char *comment = i->comments.v[i->comments.n - 1];
	scoped(free) char *first = xstrndup(comment, strcspn(comment, " "));
	if (!strv_has(&names, first)) {
		lint_note(l, RULE_INVALID_DESCRIPTION, i,
			"Comment for %s should follow the format: `# %s <description>`",
			df_keyword(i->kind), names.n > 1 ? "<arg_key>" : names.v[0]);
	}
}

static void check_from_words(struct linter *l, const struct df_instruction *i)
{
	if (i->words.n != 3) {
		return;
	}
	scoped(free) char *from = df_written_keyword(i);
	const char *as = i->words.v[1], *name = i->words.v[2];
	if (has_upper(name)) {
		lint_note(
			l, RULE_STAGE_NAME_CASING, i, "Stage name '%s' should be lowercase", name);
	}
	bool wrong = !has_upper(from) ? has_upper(as) : !has_lower(from) && has_lower(as);
	if (wrong) {
		lint_note(l, RULE_FROM_AS_CASING, i, "'%s' and '%s' keywords' casing do not match",
			as, from);
	}
	if (strcasecmp(name, "scratch") == 0 || strcasecmp(name, "context") == 0) {
		lint_note(l, RULE_RESERVED_STAGE_NAME, i,
			"Stage name should not use the same name as reserved stage \"%s\"", name);
	}
}

static void check_written(struct linter *l)
{
	for (size_t k = 0; k < l->d->n; k++) {
		const struct df_instruction *i = &l->d->v[k];
		if (i->empty_lines) {
			lint_note(l, RULE_NO_EMPTY_CONTINUATION, i, "Empty continuation line");
		}
		if (i->broken_json) {
			lint_note(l, RULE_INVALID_JSON, i,
				"The arguments of %s are no JSON array of strings, so they are taken as plain text",
				df_keyword(i->kind));
		}
		if (i->kind == DF_MAINTAINER) {
			lint_note(l, RULE_MAINTAINER, i,
				"Maintainer instruction is deprecated in favor of using label");
		}
		if (i->kind == DF_FROM) {
			check_from_words(l, i);
		}
		if (i->kind == DF_FROM || i->kind == DF_ARG) {
			check_description(l, i);
		}
	}
	check_casing(l);
}

/* --- FROM --- */

/* What an expansion looked for. */
struct looked {
	const struct strv *env;
	struct strv found, missing;
};

static const char *lookup_noted(void *owner, const char *name, size_t n)
{
	struct looked *k = owner;
	const char *value = lookup_env((void *)k->env, name, n);
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
static char *expand_noted(const struct walk *w, const char *text, struct looked *ret)
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
	struct walk *w, const struct df_instruction *i, const struct looked *looked)
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

static void check_platform(struct walk *w, const struct df_instruction *i)
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

/* Whether the name would be a reference without any build argument. */
static void check_default_base(
	struct walk *w, const struct strv *defaults, const struct df_instruction *i)
{
	struct err ignored;
	struct ref r;
	scoped(free) char *base = NULL;
	const struct expander x = {
		.lookup = lookup_env, .owner = (void *)defaults, .escape = w->l->d->escape};
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

static struct stage_state *find_stage(struct walk *w, const char *name)
{
	for (size_t k = w->n; k > 0; k--) {
		if (w->v[k - 1].name && strcasecmp(w->v[k - 1].name, name) == 0) {
			return &w->v[k - 1];
		}
	}
	return NULL;
}

static void check_image_platform(struct walk *w, const struct df_instruction *i, const char *base,
	const char *platform, const json_t *image)
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

/* What the stage begins with. */
static void begin_stage(struct walk *w, struct stage_state *s, const struct df_instruction *i)
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
	struct stage_state *on = base ? find_stage(w, base) : NULL;
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

/* --- instructions of a stage --- */

struct unset {
	struct walk *w;
	struct stage_state *s;
	const struct df_instruction *i;
	struct strv told;
};

static const char *lookup_stage(void *owner, const char *name, size_t n)
{
	const struct unset *u = owner;
	return lookup_env(&u->s->c.env, name, n);
}

/* ARG A B=$A: A is there, if without a value. */
static bool declares(const struct df_instruction *i, const char *name)
{
	for (size_t k = 0; i->kind == DF_ARG && k < i->words.n; k++) {
		scoped(free) char *own = env_name(i->words.v[k]);
		if (strcmp(own, name) == 0) {
			return true;
		}
	}
	return false;
}

static void note_undefined(void *owner, const char *name, size_t n)
{
	struct unset *u = owner;
	scoped(free) char *var = xstrndup(name, n);
	bool proper = isalpha((unsigned char)*var) || *var == '_';
	if (!u->s->known || !proper || strv_has(&u->s->c.args, var) || declares(u->i, var) ||
		strv_has(&u->told, var)) {
		return;
	}
	strv_add(&u->told, var);
	char room[HINT_TEXT_MAX];
	struct hint hint = hint_for(var);
	scoped(strv) struct strv names = STRV_INIT;
	for (size_t k = 0; k < u->s->c.env.n; k++) {
		strv_take(&names, env_name(u->s->c.env.v[k]));
		hint_offer(&hint, names.v[k]);
	}
	scoped(free) char *nearest = hint.nearest ? xasprintf("$%s", hint.nearest) : NULL;
	hint.nearest = nearest;
	lint_note(u->w->l, RULE_UNDEFINED_VAR, u->i, "Usage of undefined variable '$%s'%s", var,
		hint_text(&hint, room));
}

static void expand_for_names(const struct expander *x, const char *text)
{
	struct err ignored;
	scoped(free) char *word = NULL;
	(void)expand_word(x, text, &word, &ignored);
}

static void check_variables(struct walk *w, struct stage_state *s, const struct df_instruction *i)
{
	struct unset u = {w, s, i, STRV_INIT};
	struct expander x = {.lookup = lookup_stage,
		.owner = &u,
		.escape = w->l->d->escape,
		.missing = note_undefined};
	switch (i->kind) {
	case DF_ADD:
	case DF_COPY:
	case DF_ENV:
	case DF_LABEL:
	case DF_VOLUME:
		for (size_t k = 0; k < i->flags.n; k++) {
			expand_for_names(&x, i->flags.v[k]);
		}
		for (size_t k = 0; k < i->words.n; k++) {
			expand_for_names(&x, i->words.v[k]);
		}
		break;
	case DF_ARG:
		for (size_t k = 0; k < i->words.n; k++) {
			const char *value = strchr(i->words.v[k], '=');
			expand_for_names(&x, value ? value + 1 : "");
		}
		break;
	case DF_STOPSIGNAL:
	case DF_USER:
	case DF_WORKDIR:
		expand_for_names(&x, i->args);
		break;
	default:
		break;
	}
	x.keep_quotes = true;
	for (size_t k = 0; k < i->n_heredocs && i->kind != DF_RUN && i->kind != DF_ONBUILD; k++) {
		expand_for_names(&x, i->heredocs[k].expand ? i->heredocs[k].data : "");
	}
	strv_deinit(&u.told);
}

/* Whether one of the parts between underscores is such a word. */
static bool has_part(const char *name, const char *const *words)
{
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, name, '_');
	for (size_t k = 0; k < parts.n; k++) {
		for (const char *const *word = words; *word; word++) {
			if (strcasecmp(parts.v[k], *word) == 0) {
				return true;
			}
		}
	}
	return false;
}

static void check_secrets(struct walk *w, const struct df_instruction *i)
{
	static const char *const secrets[] = {"apikey", "auth", "credential", "credentials", "key",
		"password", "pword", "passwd", "secret", "token", NULL};
	static const char *const fine[] = {"public", "file", "version", NULL};
	for (size_t k = 0; k < i->words.n; k += i->kind == DF_ENV ? 2 : 1) {
		scoped(free) char *name = env_name(i->words.v[k]);
		if (has_part(name, secrets) && !has_part(name, fine)) {
			lint_note(w->l, RULE_SECRETS, i,
				"Do not use ARG or ENV instructions for sensitive data (%s \"%s\")",
				df_keyword(i->kind), name);
		}
	}
}

static void check_only_one(struct walk *w, struct stage_state *s, const struct df_instruction *i)
{
	const struct df_instruction *before = s->last[i->kind];
	if (before) {
		scoped(free) char *word = df_written_keyword(i);
		lint_note(w->l, RULE_MULTIPLE_INSTRUCTIONS, before,
			"Multiple %s instructions should not be used in the same stage because only the last one will be used",
			word);
	}
	s->last[i->kind] = i;
}

static void check_command(struct walk *w, struct stage_state *s, const struct df_instruction *i)
{
	const json_t *config = json_object_get(s->c.image, "config");
	check_only_one(w, s, i);
	if (!i->json && json_array_size(json_object_get(config, "Shell")) == 0) {
		scoped(free) char *word = df_written_keyword(i);
		lint_note(w->l, RULE_JSON_ARGS, i,
			"JSON arguments recommended for %s to prevent unintended behavior related to OS signals",
			word);
	}
}

static void check_ports(struct walk *w, const struct df_instruction *i)
{
	for (size_t k = 0; k < i->words.n; k++) {
		const char *word = i->words.v[k];
		const char *proto = strrchr(word, '/');
		if (strchr(word, '$')) {
			continue;
		}
		if (proto && has_upper(proto)) {
			lint_note(w->l, RULE_EXPOSE_PROTO_CASING, i,
				"Defined protocol '%s' in EXPOSE instruction should be lowercase",
				word);
		}
		if (strchr(word, ':')) {
			lint_note(w->l, RULE_EXPOSE_INVALID_FORMAT, i,
				"EXPOSE instruction should not define an IP address or host-port mapping, found '%s'",
				word);
		}
	}
}

static void check_workdir(struct walk *w, struct stage_state *s, const struct df_instruction *i)
{
	struct err ignored;
	scoped(free) char *path = NULL;
	const struct expander x = build_config_expander(&s->c, w->l->d->escape);
	if (!s->workdir_set && expand_word(&x, i->args, &path, &ignored) == 0 && *path != '/') {
		lint_note(w->l, RULE_WORKDIR_RELATIVE, i,
			"Relative workdir \"%s\" can have unexpected results if the base image changes",
			path);
	}
	s->workdir_set = true;
}

/* Only where every pattern hides: with "!" a directory's line says nothing about what is below. */
static void check_sources(struct walk *w, struct stage_state *s, const struct df_instruction *i)
{
	const struct ignore *g = w->l->o->ignore;
	const struct expander x = build_config_expander(&s->c, w->l->d->escape);
	if (!g || ignore_keeps_some(g) || df_flag(i, "from")) {
		return;
	}
	for (size_t k = 0; k + 1 < i->words.n; k++) {
		struct err ignored;
		scoped(free) char *path = NULL;
		if (text_starts(i->words.v[k], "<<") || strstr(i->words.v[k], "://") ||
			expand_word(&x, i->words.v[k], &path, &ignored) < 0) {
			continue;
		}
		scoped(free) char *clean = path_join("/", path);
		bool hidden = clean[1] ? ignore_match(g, clean + 1) : ignore_hides_all(g);
		if (hidden) {
			lint_note(w->l, RULE_COPY_IGNORED_FILE, i,
				"Attempting to %s file \"%s\" that is excluded by .dockerignore",
				i->kind == DF_ADD ? "Add" : "Copy", clean[1] ? clean + 1 : ".");
		}
	}
}

static void check_pairs(struct walk *w, const struct df_instruction *i)
{
	if (i->legacy_pair) {
		scoped(free) char *word = df_written_keyword(i);
		lint_note(w->l, RULE_LEGACY_KEY_VALUE, i,
			"\"%s key=value\" should be used instead of legacy \"%s key value\" format",
			word, word);
	}
}

static void check_kind(struct walk *w, struct stage_state *s, const struct df_instruction *i)
{
	switch (i->kind) {
	case DF_ADD:
	case DF_COPY:
		check_sources(w, s, i);
		break;
	case DF_ARG:
		check_secrets(w, i);
		break;
	case DF_ENV:
		check_secrets(w, i);
		check_pairs(w, i);
		break;
	case DF_LABEL:
		check_pairs(w, i);
		break;
	case DF_CMD:
	case DF_ENTRYPOINT:
		check_command(w, s, i);
		break;
	case DF_HEALTHCHECK:
		check_only_one(w, s, i);
		break;
	case DF_EXPOSE:
		check_ports(w, i);
		break;
	case DF_WORKDIR:
		check_workdir(w, s, i);
		break;
	default:
		break;
	}
}

/* --- the walk --- */

static void check_instruction(struct walk *w, struct stage_state *s, const struct df_instruction *i)
{
	const struct lint_options *o = w->l->o;
	const struct config_args args = {o->plan->build_args, &w->global_args, NULL};
	struct err ignored;
	check_variables(w, s, i);
	check_kind(w, s, i);
	if (i->kind != DF_RUN && i->kind != DF_COPY && i->kind != DF_ADD) {
		(void)build_config_apply(&s->c, w->l->d, i, &args, &ignored);
	}
}

static struct stage_state *add_stage(struct walk *w, const struct df_instruction *i)
{
	struct stage_state s = {0};
	if (i->words.n == 3 && find_stage(w, i->words.v[2])) {
		lint_note(w->l, RULE_DUPLICATE_STAGE_NAME, i,
			"Duplicate stage name \"%s\", stage names should be unique", i->words.v[2]);
	}
	check_platform(w, i);
	begin_stage(w, &s, i);
	s.name = i->words.n == 3 ? xstrdup(i->words.v[2]) : NULL;
	w->v = xrealloc(w->v, w->n + 1, sizeof(*w->v));
	w->v[w->n++] = s;
	return &w->v[w->n - 1];
}

/* An ARG before the first FROM; given: with --build-arg. */
static void add_global(struct walk *w, const struct df_instruction *i, bool given, struct strv *ret)
{
	for (size_t k = 0; k < i->words.n; k++) {
		const char *equals = strchr(i->words.v[k], '=');
		scoped(free) char *name = env_name(i->words.v[k]);
		const char *asked = given ? strv_env_get(w->l->o->plan->build_args, name) : NULL;
		scoped(free) char *value = asked ? xstrdup(asked) : NULL;
		struct err ignored;
		const struct expander x = {
			.lookup = lookup_env, .owner = ret, .escape = w->l->d->escape};
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

static void walk_deinit(struct walk *w)
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
static void begin_walk(struct walk *w, struct strv *defaults)
{
	plan_default_args(w->l->d, w->l->o->plan, &w->global_args);
	strv_copy(defaults, &w->global_args);
	for (size_t k = 0; k < w->global_args.n; k++) {
		strv_take(&w->global_names, env_name(w->global_args.v[k]));
	}
}

void lint_all(struct linter *l)
{
	struct walk w = {.l = l};
	scoped(strv) struct strv defaults = STRV_INIT;
	begin_walk(&w, &defaults);
	check_written(l);
	for (size_t k = 0; k < l->d->n; k++) {
		const struct df_instruction *i = &l->d->v[k];
		if (i->kind == DF_FROM) {
			check_default_base(&w, &defaults, i);
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
