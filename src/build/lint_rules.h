/* build/lint_rules.h - between lint.c (what is wanted, how it is shown) and lint_rules.c (what is
 * looked for). Nobody else includes it. */
#pragma once
#include "build/lint.h"

enum rule_id {
	RULE_CONSISTENT_INSTRUCTION_CASING,
	RULE_COPY_IGNORED_FILE,
	RULE_DUPLICATE_STAGE_NAME,
	RULE_EXPOSE_INVALID_FORMAT,
	RULE_EXPOSE_PROTO_CASING,
	RULE_FROM_AS_CASING,
	RULE_FROM_PLATFORM_CONST,
	RULE_INVALID_BASE_PLATFORM,
	RULE_INVALID_DEFAULT_ARG,
	RULE_INVALID_DESCRIPTION,
	RULE_INVALID_JSON,
	RULE_JSON_ARGS,
	RULE_LEGACY_KEY_VALUE,
	RULE_MAINTAINER,
	RULE_MULTIPLE_INSTRUCTIONS,
	RULE_NO_EMPTY_CONTINUATION,
	RULE_REDUNDANT_PLATFORM,
	RULE_RESERVED_STAGE_NAME,
	RULE_SECRETS,
	RULE_STAGE_NAME_CASING,
	RULE_UNDEFINED_ARG_IN_FROM,
	RULE_UNDEFINED_VAR,
	RULE_WORKDIR_RELATIVE,
	RULES
};

/* Which rules are wanted. */
struct lint_choice {
	bool skip_all, experimental_all, error;
	struct strv skip, experimental;
};

struct linter {
	const struct dockerfile *d;
	const struct lint_options *o;
	const struct lint_choice *choice;
	struct lint *ret;
};

/* Notes that the rule is broken at i, unless it is not wanted there. */
void lint_note(struct linter *l, enum rule_id id, const struct df_instruction *i, const char *fmt,
	...) PRINTF(4, 5);
void lint_all(struct linter *l);
