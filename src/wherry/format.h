/* wherry/format.h - --format: Go's text/template as far as people use it on Docker's output, over
 * JSON documents.
 *
 * Fields, variables ($x := .A, $x = .B), pipelines, parentheses, if / else if / else, range with
 * index and else, break, continue, with, comments, {{- -}}. Functions: and or not eq ne lt le gt ge
 * len index slice print printf println json split join title lower upper pad truncate. Left out:
 * define, template, block, call, html, js, urlquery. Sentences are those of Go's packages: scripts
 * and people search for them. A template is the user's own; still its depth, its steps and its
 * output are bounded.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

struct format; /* a parsed template */

#define STATUS_BAD_FORMAT                                                                  \
	64 /* docker's exit status for a template that cannot be parsed, of info, inspect, \
	      version, events */

/* How documents appear to the template. */
struct format_style {
	const char *name; /* of the template, in sentences: "" for most; NULL is "" */
	const char *type; /* rows: the Go type in "can't evaluate field X in type T"; NULL: a JSON
			     document */
	bool is_row;      /* doc is a row of a table: texts, and .Label */
	bool is_titles;   /* doc holds the titles of a table: functions hand them through */
};

/* NULL with "template: NAME:1: unclosed action"; name is borrowed for the life of the result. */
struct format *format_new(const char *name, const char *text, struct err *e);
void format_free(struct format *f); /* NULL is fine */
static inline void scoped_format(struct format **f)
{
	format_free(*f);
}

/* Appends doc as the template prints it. A key is looked for exactly, then, when it begins with a
 * capital, without case: .ID finds "Id". What was appended before an error stays. */
int format_run(const struct format *f, const json_t *doc, const struct format_style *style,
	struct buf *ret, struct err *e);

/* Both at once, with the words "template parsing error: " in front of what fails. */
int format_print(const char *text, const json_t *doc, struct buf *ret, struct err *e);
/* Parses only. */
int format_check(const char *text, struct err *e);
/* "\t" and "\n" as two characters become one: lists understand them, inspect does not. The
 * caller's. */
char *format_unescape(const char *text);
/* One of many to the standard output, as a line; type: what template errors call it. */
int format_put_line(const struct format *f, const json_t *doc, const char *type, struct err *e);
