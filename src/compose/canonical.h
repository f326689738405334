/* compose/canonical.h - one form for everything the specification lets a file write in several.
 *
 * Lists of "K=V" become mappings, strings become lists or mappings, short ports and mounts become
 * long ones. Merging and the model read only this form. The document must have passed the schema.
 */
#pragma once
#include "compose/tree.h"

int canonical_project(struct tree *t, struct node *root, struct err *e);
