/* ingress/conf_text.h - nginx's syntax, a directive at a time. Pure.
 *
 * Nothing else puts a ';', '{' or '}' into the configuration. An argument is either ours, from
 * literals of this program, numbers and the alphabets of table.h (conf_raw checks them), or it is
 * quoted. In double quotes nginx reads \" and \\ (ngx_conf_read_token); in arguments that may have
 * variables a '$' has no escape: there it is ${wherry_dollar}, which conf.c declares.
 */
#pragma once
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

struct conf {
	struct buf text;
	int depth;
	struct err *e;
	bool failed; /* e says why; nothing is added any more */
};

/* Begins a line with the name of a directive. */
void conf_name(struct conf *c, const char *name);
/* An argument of our own: letters, digits, "-_./:[]*@=~^$,", and no blanks. */
void conf_raw(struct conf *c, const char *fmt, ...) PRINTF(2, 3);
/* Quoted; '$' is a dollar: where nginx looks for no variables. */
void conf_plain(struct conf *c, const char *text);
/* Quoted; where it looks for them. */
void conf_value(struct conf *c, const char *text);
/* Quoted, of our own text (with variables) and a stranger's in turn; NULL ends it. */
void conf_mixed(struct conf *c, const char *ours, const char *theirs, ...)
	__attribute__((sentinel));
/* Quoted: a path of the machine's, a before b. It cannot have a '$'. */
void conf_path(struct conf *c, const char *a, const char *b);
void conf_end(struct conf *c);   /* ';' */
void conf_open(struct conf *c);  /* '{' */
void conf_close(struct conf *c); /* '}' on a line of its own */
/* A whole directive that is a literal, without its ';'. */
void conf_line(struct conf *c, const char *literal);
/* The head of a block that is a literal, without its '{'. */
void conf_block(struct conf *c, const char *literal);
