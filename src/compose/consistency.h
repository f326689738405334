/* compose/consistency.h - values of one service that must agree with each other; for normalise.c.
 */
#pragma once
#include "compose/loader.h"

/* ERR_INVALID at the value that does not. */
int check_service_values(struct loader *l, const struct node *service);
