/* compose/scalar.h - what a plain YAML scalar means, as Go's yaml.v3 (which every compose file was
 * tried with) reads it.
 *
 * yes, no, on and off are strings; 010 is 8; 1_000 is 1000; 08 is 8; 12:30 and dates are strings.
 */
#pragma once
#include "compose/tree.h"

/* NODE_NULL, NODE_BOOL, NODE_INT, NODE_FLOAT or NODE_STR. */
enum node_kind scalar_kind(const char *text);

/* Sets kind and text of n from the plain text. */
void scalar_resolve(struct tree *t, struct node *n, const char *text);

/* A double as Go's strconv.FormatFloat(f, 'g', -1, 64): "1.1", "1e+06". Returns text. */
const char *scalar_format_float(double value, char text[static 40]);
