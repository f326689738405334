/* compose/mount.h - service `volumes:` entries in the short form, "[SOURCE:]TARGET[:OPTIONS]", to
 * the long form. */
#pragma once
#include "compose/tree.h"

/* A new mapping {type, source, target, read_only, bind, volume}; NULL with *e. */
struct node *mount_expand(struct tree *t, const struct node *entry, struct err *e);
/* Checks and completes a long entry. */
int mount_complete(struct tree *t, struct node *entry, struct err *e);
