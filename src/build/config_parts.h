/* build/config_parts.h - what the files config*.c share: one instruction that is being applied.
 * Nobody else includes it. */
#pragma once
#include "build/config.h"

/* What an apply function works with. */
struct config_change {
	struct build_config *c;
	json_t *config; /* c->image's member "config" */
	const struct dockerfile *d;
	const struct df_instruction *i;
	const struct config_args *a;
	struct expander x;
	struct err *e;
};

/* "FILE:LINE: KEYWORD: why"; -1. */
int config_fail(struct config_change *ch, const char *why);
int config_expand_all(struct config_change *ch, const char *text, struct strv *ret);
/* Appended to what history says of the instruction. */
void config_say(struct config_change *ch, const char *fmt, ...) PRINTF(2, 3);
/* The member, which is made if need be; borrowed. */
json_t *config_object(json_t *o, const char *key);

int config_apply_expose(struct config_change *ch);      /* config_expose.c */
int config_apply_healthcheck(struct config_change *ch); /* config_health.c */
