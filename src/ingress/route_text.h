/* ingress/route_text.h - the texts in labels that have a form of their own. Pure.
 *
 * What comes out is UTF-8 without control characters; that a quotation mark, a brace, a semicolon
 * or a dollar is in it means nothing here: conf_text.h quotes it.
 */
#pragma once
#include "ingress/route.h"

/* Words with commas or line ends between, without blanks around, empty ones left out. */
void route_text_list(const char *text, struct strv *ret);
/* An absolute path, clean. *ret is the caller's. */
int route_text_path(const char *text, char **ret, struct err *e);
/* A JSON object, lines, or "Name: value; Name: value" into r->headers. */
int route_text_headers(const char *text, struct route *r, struct err *e);
/* "https://example.org/x", "/new, 301", "http://{host}:3000/" into r->redirect. */
int route_text_redirect(const char *text, struct route *r, struct err *e);
/* Whether it can be an argument of nginx's with all that its quotation adds. */
bool route_text_fits(const char *text);
/* Valid UTF-8, no control characters (RFC 3629; C0, DEL, C1). */
bool route_text_is_plain(const char *text);
