#include "compose/variables.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define DEPTH_MAX 64

struct collector {
	struct tree *t;
	struct variable *v;
	size_t n, cap;
};

static void scan(struct collector *c, const char *text, size_t n, int depth);

static bool is_name_byte(char ch, bool first)
{
	return isalpha((unsigned char)ch) || ch == '_' || (!first && isdigit((unsigned char)ch));
}

/* The last place where a variable is used tells what is known of it. */
static struct variable *add(struct collector *c, const char *name, size_t n)
{
	for (size_t i = 0; i < c->n; i++) {
		if (strlen(c->v[i].name) == n && memcmp(c->v[i].name, name, n) == 0) {
			return &c->v[i];
		}
	}
	if (c->n == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 16;
		c->v = xrealloc(c->v, c->cap, sizeof(*c->v));
	}
	c->v[c->n] = (struct variable){tree_strndup(c->t, name, n), "", "", false};
	return &c->v[c->n++];
}

/* What stands between the braces. */
static void scan_braced(struct collector *c, const char *text, size_t n, int depth)
{
	size_t name = 0;
	while (name < n && is_name_byte(text[name], name == 0)) {
		name++;
	}
	if (name == 0) {
		return;
	}
	struct variable *v = add(c, text, name);
	size_t sign = name + (name < n && text[name] == ':');
	if (sign >= n) {
		return;
	}
	const char *rest = tree_strndup(c->t, text + sign + 1, n - sign - 1);
	v->required = text[sign] == '?';
	v->fallback = text[sign] == '-' ? rest : v->fallback;
	v->alternate = text[sign] == '+' ? rest : v->alternate;
	if (text[sign] != '?') {
		scan(c, rest, strlen(rest), depth + 1);
	}
}

static size_t closing_brace(const char *text, size_t n)
{
	size_t depth = 0;
	for (size_t i = 0; i < n; i++) {
		depth += text[i] == '{';
		if (text[i] == '}' && --depth == 0) {
			return i;
		}
	}
	return n;
}

static void scan(struct collector *c, const char *text, size_t n, int depth)
{
	for (size_t i = 0; depth < DEPTH_MAX && i + 1 < n; i++) {
		if (text[i] != '$') {
			continue;
		}
		if (text[i + 1] == '{') {
			size_t end = closing_brace(text + i + 1, n - i - 1);
			if (end < n - i - 1) {
				scan_braced(c, text + i + 2, end - 1, depth);
				i += end + 1;
			}
			continue;
		}
		size_t name = 0;
		while (i + 1 + name < n && is_name_byte(text[i + 1 + name], name == 0)) {
			name++;
		}
		if (name > 0) {
			add(c, text + i + 1, name);
		}
		i += name > 0 ? name : text[i + 1] == '$';
	}
}

static void walk(struct collector *c, const struct node *n)
{
	if (n->kind == NODE_STR) {
		scan(c, n->text, strlen(n->text), 0);
	}
	node_each (m, n) {
		walk(c, m->value);
	}
}

static int compare_variables(const void *a, const void *b)
{
	return strcmp(((const struct variable *)a)->name, ((const struct variable *)b)->name);
}

struct variable_list variables_collect(struct tree *t, const struct node *root)
{
	struct collector c = {.t = t};
	walk(&c, root);
	struct variable_list list = {tree_new_array(t, struct variable, c.n + 1), c.n};
	if (c.n > 0) {
		memcpy(list.v, c.v, c.n * sizeof(*c.v));
		qsort(list.v, c.n, sizeof(*list.v), compare_variables);
	}
	free(c.v);
	return list;
}
