/* compose/variables.h - the variables that a document asks for: `config --variables`. */
#pragma once
#include "compose/tree.h"

struct variable {
	const char *name;
	const char *fallback;  /* of ${name:-fallback}; "" */
	const char *alternate; /* of ${name:+alternate}; "" */
	bool required;         /* ${name:?} */
};

struct variable_list {
	struct variable *v; /* sorted by name */
	size_t n;
};

/* Those in any string of root, which was loaded without interpolation; the tree's. */
struct variable_list variables_collect(struct tree *t, const struct node *root);
