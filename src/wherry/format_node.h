/* wherry/format_node.h - a template as a tree. Go text/template/parse/node.go has the same nodes.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/strv.h"

enum format_node_kind {
	NODE_LIST,   /* kids */
	NODE_TEXT,   /* text */
	NODE_ACTION, /* pipe */
	NODE_IF,     /* pipe, list, else_list */
	NODE_RANGE,  /* the same */
	NODE_WITH,   /* the same */
	NODE_BREAK,
	NODE_CONTINUE,
	NODE_PIPE,     /* names are set to what the kids, commands, give */
	NODE_COMMAND,  /* kids: what is called, or the only operand, then arguments */
	NODE_FIELD,    /* names: .A.B */
	NODE_VARIABLE, /* names: $x.A.B, "$x" the first */
	NODE_CHAIN,    /* kids[0], then names: (pipe).A.B */
	NODE_DOT,
	NODE_NIL,
	NODE_CONSTANT,   /* value; text as it was written */
	NODE_IDENTIFIER, /* text: a function */
};

struct format_node {
	enum format_node_kind kind;
	size_t pos;
	char *text;
	struct strv names;
	json_t *value;
	bool assigns; /* of a pipe: = instead of := */
	struct format_node **kids;
	size_t n_kids;
	struct format_node *pipe, *list, *else_list;
};

struct format_node *format_node_new(enum format_node_kind kind, size_t pos);
void format_node_free(struct format_node *n); /* NULL is fine */
static inline void scoped_format_node(struct format_node **n)
{
	format_node_free(*n);
}
void format_node_add(struct format_node *parent, struct format_node *take_kid);
/* Operands and pipes as they were written, for sentences. */
void format_node_put(const struct format_node *n, struct buf *ret);

/* wherry/format_parse.c: the tree of a template; NULL with "template: NAME:1: ...". */
struct err;
struct format_node *format_parse(const char *name, const char *text, struct err *e);
/* The index of a function, or -1 (wherry/format_call.c). */
int format_function(const char *name);
