/* The file as it is written. */
#include "build/lint_rules.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/scoped.h"

static void check_casing(struct linter *l)
{
	size_t lower = 0, upper = 0;
	bool in_stage = false;
	for (size_t k = 0; k < l->d->n; k++) {
		scoped(free) char *word = df_written_keyword(&l->d->v[k]);
		in_stage = in_stage || l->d->v[k].kind == DF_FROM;
		lower += in_stage && !lint_has_upper(word);
		upper += in_stage && !lint_has_lower(word);
	}
	in_stage = false;
	for (size_t k = 0; k < l->d->n; k++) {
		scoped(free) char *word = df_written_keyword(&l->d->v[k]);
		in_stage = in_stage || l->d->v[k].kind == DF_FROM;
		if (in_stage && (lower > upper ? lint_has_upper(word) : lint_has_lower(word))) {
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
			strv_take(&names, lint_env_name(i->words.v[k]));
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
	if (lint_has_upper(name)) {
		lint_note(
			l, RULE_STAGE_NAME_CASING, i, "Stage name '%s' should be lowercase", name);
	}
	bool wrong = !lint_has_upper(from) ? lint_has_upper(as)
					   : !lint_has_lower(from) && lint_has_lower(as);
	if (wrong) {
		lint_note(l, RULE_FROM_AS_CASING, i, "'%s' and '%s' keywords' casing do not match",
			as, from);
	}
	if (strcasecmp(name, "scratch") == 0 || strcasecmp(name, "context") == 0) {
		lint_note(l, RULE_RESERVED_STAGE_NAME, i,
			"Stage name should not use the same name as reserved stage \"%s\"", name);
	}
}

void lint_written(struct linter *l)
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
