/* wherry/table.h - lists of objects: the columns of the docker CLI, --format, --quiet.
 *
 * A row is an object of strings under the names that Docker's templates use ({{.ID}}). "_labels"
 * holds what .Label reads and is never printed.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

struct column {
	const char *field;
	const char *title;
};

struct table {
	const struct column *columns; /* every field with its title; ends with {0} */
	const char *dflt;             /* "{{.ID}}\t{{.Image}}" */
	const char *quiet_field;      /* --quiet prints only this */
	const char *format; /* --format: "", "table", "table TEMPLATE", "json", "TEMPLATE"; NULL as
			       "" */
	bool quiet;
};

/* Checks the format before anything is asked of the engine. */
int table_check(const struct table *t, struct err *e);
/* Prints the rows on stdout. */
int table_print(const struct table *t, const json_t *rows, struct err *e);

/* Lines of cells separated by tabs, aligned as Go's text/tabwriter(minwidth, 1, 3, ' ') does;
 * NULL-terminated text. */
void table_align(const char *text, size_t min_width, struct buf *ret);
