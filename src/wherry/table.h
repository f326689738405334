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
	const char *format; /* --format: "", "table", "table TEMPLATE", "json", "raw", "TEMPLATE";
			       NULL as
			       "" */
	bool quiet;
	const char *type; /* of the rows, for sentences: "*formatter.imageContext" */
	const char *raw;  /* the template of "raw"; NULL: no such format */
};

/* Docker's words for --format. */
#define TABLE_FORMAT_HELP                                                                  \
	"Format output using a custom template:\n"                                         \
	"'table':            Print output in table format with column headers (default)\n" \
	"'table TEMPLATE':   Print output in table format using the given Go template\n"   \
	"'json':             Print in JSON format\n"                                       \
	"'TEMPLATE':         Print output using the given Go template.\n"                  \
	"Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates"
#define INSPECT_FORMAT_HELP                                               \
	"Format output using a custom template:\n"                        \
	"'json':             Print in JSON format\n"                      \
	"'TEMPLATE':         Print output using the given Go template.\n" \
	"Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates"

/* The format to use: the one given, or the member of config.json (psFormat ...) where only names
 * were not asked for. The caller's. */
char *table_format(const json_t *config, const char *key, const char *given, bool quiet);

/* Checks the format before anything is asked of the engine. */
int table_check(const struct table *t, struct err *e);
/* Appends what table_print prints. */
int table_text(const struct table *t, const json_t *rows, struct buf *ret, struct err *e);
/* Prints the rows on stdout. */
int table_print(const struct table *t, const json_t *rows, struct err *e);

/* Lines of cells separated by tabs, aligned as Go's text/tabwriter(minwidth, 1, padding, ' ') does;
 * NULL-terminated text. */
void table_align_padded(const char *text, size_t min_width, size_t padding, struct buf *ret);
/* With a padding of 3, as most tables. */
void table_align(const char *text, size_t min_width, struct buf *ret);
