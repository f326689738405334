/* compose/schema_form.h - the forms within scalars that a rule asks for; for schema.c. */
#pragma once
#include "compose/schema.h"

/* Gives durations, sizes, whole numbers and texts their one spelling, so that another one is no
 * change of the service. ERR_INVALID at n. */
int schema_form(
	struct tree *t, struct node *n, const struct rule *rule, const char *path, struct err *e);
