/* The words of an instruction, cut as its kind wants it. */
#include <jansson.h>
#include <string.h>

#include "base/json.h"
#include "base/scoped.h"
#include "build/dockerfile_parts.h"

enum form {
	FORM_TEXT,   /* not cut at all */
	FORM_BLANKS, /* between blanks */
	FORM_WORDS,  /* between blanks, or a JSON array */
	FORM_JSON,   /* a JSON array, else text */
	FORM_HEALTH, /* the same behind a word */
	FORM_PAIRS,  /* name=value ..., or the old "name value" */
	FORM_NAMES,  /* name or name=value ... */
};

static const enum form forms[DF_KINDS] = {
	[DF_ADD] = FORM_WORDS,
	[DF_ARG] = FORM_NAMES,
	[DF_CMD] = FORM_JSON,
	[DF_COPY] = FORM_WORDS,
	[DF_ENTRYPOINT] = FORM_JSON,
	[DF_ENV] = FORM_PAIRS,
	[DF_EXPOSE] = FORM_BLANKS,
	[DF_FROM] = FORM_BLANKS,
	[DF_HEALTHCHECK] = FORM_HEALTH,
	[DF_LABEL] = FORM_PAIRS,
	[DF_RUN] = FORM_JSON,
	[DF_SHELL] = FORM_JSON,
	[DF_VOLUME] = FORM_WORDS,
};

/* Words between blanks; quotes and escapes guard blanks and stay in the word. */
void part_split_quoted(struct strv *ret, const char *p, char escape)
{
	for (p = part_skip_blanks(p); *p; p = part_skip_blanks(p)) {
		const char *begin = p;
		char quote = 0;
		while (*p && (quote || !part_is_blank(*p))) {
			if (*p == escape && p[1] && quote != '\'') {
				p++;
			} else if (quote ? *p == quote : (*p == '"' || *p == '\'')) {
				quote = quote ? 0 : *p;
			}
			p++;
		}
		strv_addn(ret, begin, (size_t)(p - begin));
	}
}

static void split_blanks(struct strv *ret, const char *p)
{
	for (p = part_skip_blanks(p); *p; p = part_skip_blanks(p)) {
		const char *begin = p;
		while (*p && !part_is_blank(*p)) {
			p++;
		}
		strv_addn(ret, begin, (size_t)(p - begin));
	}
}

/* A JSON array of strings. What is no JSON is not an error but the shell form; an array of
 * something else is one, as BuildKit says. */
static int parse_json_words(const struct dockerfile *d, struct df_instruction *i, struct err *e)
{
	if (*i->args != '[') {
		return 0;
	}
	scoped(json) json_t *doc = json_loads(i->args, 0, NULL);
	size_t k;
	json_t *item;
	json_array_foreach (doc, k, item) {
		if (!json_is_string(item)) {
			return df_error(d, i->line, e,
				"when using JSON array syntax, arrays must be comprised of strings only");
		}
		strv_add(&i->words, json_string_value(item));
	}
	i->json = json_is_array(doc);
	return 0;
}

/* ['a', 'b'] and ["a" "b"] were meant to be JSON; [ -f x ] is the shell's test. */
static bool is_broken_json(const struct df_instruction *i)
{
	const char *p = i->args;
	if (i->json || *p != '[' || p[strlen(p) - 1] != ']') {
		return false;
	}
	return p[1] == '"' || p[1] == '\'' || (strchr(p, ',') && strpbrk(p, "\"'"));
}

static int parse_pairs(const struct dockerfile *d, struct df_instruction *i, struct err *e)
{
	const char *keyword = df_keyword(i->kind);
	scoped(strv) struct strv raw = STRV_INIT;
	part_split_quoted(&raw, i->args, d->escape);
	if (raw.n == 0) {
		return df_error(d, i->line, e, "%s requires at least one argument", keyword);
	}
	if (!strchr(raw.v[0], '=')) {
		const char *p = i->args;
		while (*p && !part_is_blank(*p)) {
			p++;
		}
		const char *value = part_skip_blanks(p);
		if (!*value) {
			return df_error(d, i->line, e, "%s must have two arguments: %s name=value",
				keyword, keyword);
		}
		strv_addn(&i->words, i->args, (size_t)(p - i->args));
		strv_add(&i->words, value);
		i->legacy_pair = true;
		return 0;
	}
	for (size_t k = 0; k < raw.n; k++) {
		const char *equals = strchr(raw.v[k], '=');
		if (!equals) {
			return df_error(d, i->line, e,
				"syntax error - can't find = in \"%.100s\"; %s takes name=value",
				raw.v[k], keyword);
		}
		if (equals == raw.v[k]) {
			return df_error(d, i->line, e, "%s names can not be blank", keyword);
		}
		strv_addn(&i->words, raw.v[k], (size_t)(equals - raw.v[k]));
		strv_add(&i->words, equals + 1);
	}
	return 0;
}

static int parse_names(const struct dockerfile *d, struct df_instruction *i, struct err *e)
{
	part_split_quoted(&i->words, i->args, d->escape);
	if (i->words.n == 0) {
		return df_error(d, i->line, e, "ARG requires at least one argument");
	}
	for (size_t k = 0; k < i->words.n; k++) {
		if (*i->words.v[k] == '=') {
			return df_error(d, i->line, e, "ARG names can not be blank");
		}
	}
	return 0;
}

static int parse_health(const struct dockerfile *d, struct df_instruction *i, struct err *e)
{
	const char *p = i->args + strcspn(i->args, " \t");
	struct df_instruction command = {
		.kind = DF_CMD, .line = i->line, .args = (char *)part_skip_blanks(p)};
	int r = parse_json_words(d, &command, e);
	i->json = command.json;
	i->words = command.words;
	i->broken_json = is_broken_json(&command);
	return r;
}

int part_words(const struct dockerfile *d, struct df_instruction *i, struct err *e)
{
	switch (forms[i->kind]) {
	case FORM_TEXT:
		return 0;
	case FORM_BLANKS:
		split_blanks(&i->words, i->args);
		return 0;
	case FORM_WORDS:
	case FORM_JSON:
		if (parse_json_words(d, i, e) < 0) {
			return -1;
		}
		i->broken_json = is_broken_json(i);
		if (!i->json && forms[i->kind] == FORM_WORDS) {
			split_blanks(&i->words, i->args);
		}
		return 0;
	case FORM_HEALTH:
		return parse_health(d, i, e);
	case FORM_PAIRS:
		return parse_pairs(d, i, e);
	case FORM_NAMES:
		return parse_names(d, i, e);
	}
	return 0;
}
