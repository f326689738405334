/* wherry/format.h - --format: the part of Go's text/template that people use on Docker's output,
 * over JSON documents.
 *
 *   {{.A.B}} {{json .A}} {{index .A "k"}} {{range $k, $v := .A}}..{{end}} {{if eq .A
 * "x"}}..{{else}}..{{end}} {{with .A}} functions: json index len join split upper lower title
 * println print truncate pad not and or eq ne lt le gt ge
 * "\t" and "\n" are understood in the text, as the docker CLI does. Anything else is an error with
 * a sentence.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

/* ERR_INVALID "template parsing error: ..."; evaluates nothing. */
int format_check(const char *text, struct err *e);
/* Appends the document as the template prints it. Keys are compared exactly, then without case (.ID
 * finds "Id"). */
int format_print(const char *text, const json_t *doc, struct buf *ret, struct err *e);
/* The table's titles of a template: unknown fields print as "<no value>". */
int format_print_titles(const char *text, const json_t *titles, struct buf *ret, struct err *e);
