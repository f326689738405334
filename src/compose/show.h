/* compose/show.h - the canonical document as docker compose's Go types would print it.
 *
 * JSON has null for a command that is left to the image and {} for some structures that are empty,
 * and knows `x-` keys only at the top; YAML leaves the first out and keeps the second.
 */
#pragma once
#include "compose/tree.h"

/* A copy of root in t for emit_json or emit_yaml. */
struct node *show_project(struct tree *t, const struct node *root, bool json);
/* Of one service, as JSON. */
struct node *show_service(struct tree *t, const struct node *service);
