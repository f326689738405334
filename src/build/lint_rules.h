/* build/lint_rules.h - between lint.c (what is wanted, how it is shown) and what is looked for:
 * lint_rules.c (from stage to stage), lint_written.c, lint_from.c, lint_stage.c. Nobody else
 * includes it. */
#pragma once
#include "build/config.h"
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

/* A stage as it grows. */
struct lint_stage {
	char *name; /* as written, or NULL */
	struct build_config c;
	bool known;                                  /* its base is: what is not set is not set */
	bool workdir_set;                            /* by this file */
	const struct df_instruction *last[DF_KINDS]; /* of a kind, in this stage */
};

struct lint_walk {
	struct linter *l;
	struct lint_stage *v;
	size_t n;
	struct strv global_args; /* as plan.h */
	struct strv global_names;
};

/* --- lint_rules.c --- */
bool lint_has_upper(const char *s);
bool lint_has_lower(const char *s);
/* A look-up of expand.h; owner is a struct strv of NAME=value. */
const char *lint_lookup_env(void *owner, const char *name, size_t n);
char *lint_env_name(const char *assignment);                               /* NAME of NAME=value */
struct lint_stage *lint_find_stage(struct lint_walk *w, const char *name); /* or NULL */

/* --- lint_written.c --- */
void lint_written(struct linter *l);

/* --- lint_from.c --- */
void lint_platform(struct lint_walk *w, const struct df_instruction *i);
/* Whether the name would be a reference without any build argument. */
void lint_default_base(
	struct lint_walk *w, const struct strv *defaults, const struct df_instruction *i);
/* What the stage begins with. */
void lint_begin_stage(struct lint_walk *w, struct lint_stage *s, const struct df_instruction *i);

/* --- lint_stage.c --- */
void lint_variables(struct lint_walk *w, struct lint_stage *s, const struct df_instruction *i);
void lint_instruction(struct lint_walk *w, struct lint_stage *s, const struct df_instruction *i);
