#include "wherry/format_node.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"

struct format_node *format_node_new(enum format_node_kind kind, size_t pos)
{
	struct format_node *n = xnew(struct format_node);
	n->kind = kind;
	n->pos = pos;
	return n;
}

void format_node_free(struct format_node *n)
{
	if (!n) {
		return;
	}
	for (size_t i = 0; i < n->n_kids; i++) {
		format_node_free(n->kids[i]);
	}
	free(n->kids);
	free(n->text);
	strv_deinit(&n->names);
	json_decref(n->value);
	format_node_free(n->pipe);
	format_node_free(n->list);
	format_node_free(n->else_list);
	free(n);
}

void format_node_add(struct format_node *parent, struct format_node *take_kid)
{
	parent->kids = xrealloc(parent->kids, parent->n_kids + 1, sizeof(void *));
	parent->kids[parent->n_kids++] = take_kid;
}

static void put_names(
	const struct format_node *n, const char *sep, const char *first, struct buf *ret)
{
	for (size_t i = 0; i < n->names.n; i++) {
		buf_puts(ret, i ? sep : first);
		buf_puts(ret, n->names.v[i]);
	}
}

static void put_kids(const struct format_node *n, const char *sep, struct buf *ret)
{
	for (size_t i = 0; i < n->n_kids; i++) {
		bool nested = n->kind == NODE_COMMAND && n->kids[i]->kind == NODE_PIPE;
		buf_puts(ret, i ? sep : "");
		buf_puts(ret, nested ? "(" : "");
		format_node_put(n->kids[i], ret);
		buf_puts(ret, nested ? ")" : "");
	}
}

void format_node_put(const struct format_node *n, struct buf *ret)
{
	switch (n->kind) {
	case NODE_PIPE:
		put_names(n, ", ", "", ret);
		buf_puts(ret, !n->names.n ? "" : n->assigns ? " = " : " := ");
		put_kids(n, " | ", ret);
		break;
	case NODE_COMMAND:
		put_kids(n, " ", ret);
		break;
	case NODE_CHAIN:
		buf_puts(ret, n->kids[0]->kind == NODE_PIPE ? "(" : "");
		format_node_put(n->kids[0], ret);
		buf_puts(ret, n->kids[0]->kind == NODE_PIPE ? ")" : "");
		put_names(n, ".", ".", ret);
		break;
	case NODE_FIELD:
		put_names(n, ".", ".", ret);
		break;
	case NODE_VARIABLE:
		put_names(n, ".", "", ret);
		break;
	case NODE_DOT:
		buf_putc(ret, '.');
		break;
	case NODE_NIL:
		buf_puts(ret, "nil");
		break;
	default:
		buf_puts(ret, n->text ? n->text : "");
		break;
	}
}
