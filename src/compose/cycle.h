/* compose/cycle.h - what leads back to where it began, told with every place on the way. */
#pragma once
#include <stddef.h>

#include "compose/tree.h"

/* One step of a walk; they live on the stack of whoever walks. */
struct way {
	const struct way *before; /* NULL: the walk began here */
	const char *name;
	const struct node *at; /* where the one before names it; NULL: nowhere */
};

/* "AT: WHAT cycle detected: a -> b (FILE:LINE:COLUMN) -> a (FILE:LINE:COLUMN)", at the last step.
 * first: where to begin (NULL: with the whole way). A long way is told without its middle. */
void cycle_err_(struct err *e, const char *what, const struct way *first, const struct way *last);
#define cycle_err(...) (cycle_err_(__VA_ARGS__), err_failed())
