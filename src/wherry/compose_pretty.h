/* wherry/compose_pretty.h - the lists of `compose images` and `compose ls`: a table or JSON. */
#pragma once
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

/* --format: "table", "json", in any case; NULL is a table. */
int compose_format(const char *format, bool *ret_json, struct err *e);
/* Prints lines of cells separated by tabs. */
void compose_pretty(const struct buf *text);
