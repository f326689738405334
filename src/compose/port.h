/* compose/port.h - `ports:` entries in the short form, "[IP:][HOST:]CONTAINER[/PROTOCOL]" with
 * ranges, to the long form. */
#pragma once
#include "compose/tree.h"

/* Appends mappings {mode, host_ip, target, published, protocol} to list; ranges of equal length
 * become one each. */
int port_expand(struct tree *t, const struct node *entry, struct node *list, struct err *e);
/* Checks and completes a long entry. */
int port_complete(struct tree *t, struct node *entry, struct err *e);
/* "80" or "80-90". */
int port_range(const char *text, int *ret_first, int *ret_last);
