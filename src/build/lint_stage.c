/* Instructions of a stage, with the configuration that it has so far. */
#include "build/lint_rules.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "build/hint.h"

struct unset {
	struct lint_walk *w;
	struct lint_stage *s;
	const struct df_instruction *i;
	struct strv told;
};

static const char *lookup_stage(void *owner, const char *name, size_t n)
{
	const struct unset *u = owner;
	return lint_lookup_env(&u->s->c.env, name, n);
}

/* ARG A B=$A: A is there, if without a value. */
static bool declares(const struct df_instruction *i, const char *name)
{
	for (size_t k = 0; i->kind == DF_ARG && k < i->words.n; k++) {
		scoped(free) char *own = lint_env_name(i->words.v[k]);
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
		strv_take(&names, lint_env_name(u->s->c.env.v[k]));
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

void lint_variables(struct lint_walk *w, struct lint_stage *s, const struct df_instruction *i)
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

static void check_secrets(struct lint_walk *w, const struct df_instruction *i)
{
	static const char *const secrets[] = {"apikey", "auth", "credential", "credentials", "key",
		"password", "pword", "passwd", "secret", "token", NULL};
	static const char *const fine[] = {"public", "file", "version", NULL};
	for (size_t k = 0; k < i->words.n; k += i->kind == DF_ENV ? 2 : 1) {
		scoped(free) char *name = lint_env_name(i->words.v[k]);
		if (has_part(name, secrets) && !has_part(name, fine)) {
			lint_note(w->l, RULE_SECRETS, i,
				"Do not use ARG or ENV instructions for sensitive data (%s \"%s\")",
				df_keyword(i->kind), name);
		}
	}
}

static void check_only_one(
	struct lint_walk *w, struct lint_stage *s, const struct df_instruction *i)
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

static void check_command(struct lint_walk *w, struct lint_stage *s, const struct df_instruction *i)
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

static void check_ports(struct lint_walk *w, const struct df_instruction *i)
{
	for (size_t k = 0; k < i->words.n; k++) {
		const char *word = i->words.v[k];
		const char *proto = strrchr(word, '/');
		if (strchr(word, '$')) {
			continue;
		}
		if (proto && lint_has_upper(proto)) {
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

static void check_workdir(struct lint_walk *w, struct lint_stage *s, const struct df_instruction *i)
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
static void check_sources(struct lint_walk *w, struct lint_stage *s, const struct df_instruction *i)
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

static void check_pairs(struct lint_walk *w, const struct df_instruction *i)
{
	if (i->legacy_pair) {
		scoped(free) char *word = df_written_keyword(i);
		lint_note(w->l, RULE_LEGACY_KEY_VALUE, i,
			"\"%s key=value\" should be used instead of legacy \"%s key value\" format",
			word, word);
	}
}

void lint_instruction(struct lint_walk *w, struct lint_stage *s, const struct df_instruction *i)
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
