#include "compose/tree.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define CHUNK_BYTES (64u << 10)

struct chunk {
	struct chunk *next;
	size_t used, size;
	_Alignas(16) char data[];
};

struct tree {
	struct chunk *chunks;
	size_t nodes, bytes;
	bool keep_variables;
};

struct tree *tree_new(void)
{
	return xnew(struct tree);
}

void tree_free(struct tree *t)
{
	if (!t) {
		return;
	}
	for (struct chunk *c = t->chunks, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	free(t);
}

void *tree_alloc(struct tree *t, size_t n)
{
	n = (n + 15) & ~(size_t)15;
	if (!t->chunks || t->chunks->size - t->chunks->used < n) {
		size_t size = n > CHUNK_BYTES ? n : CHUNK_BYTES;
		struct chunk *c = xcalloc(1, sizeof(*c) + size);
		c->size = size;
		c->next = t->chunks;
		t->chunks = c;
	}
	void *p = t->chunks->data + t->chunks->used;
	t->chunks->used += n;
	t->bytes += n;
	return p;
}

char *tree_strndup(struct tree *t, const char *s, size_t n)
{
	n = strnlen(s, n);
	char *copy = tree_alloc(t, n + 1);
	memcpy(copy, s, n);
	return copy;
}

char *tree_strdup(struct tree *t, const char *s)
{
	return s ? tree_strndup(t, s, strlen(s)) : NULL;
}

char *tree_printf(struct tree *t, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	scoped(free) char *text = xvasprintf(fmt, args);
	va_end(args);
	return tree_strdup(t, text);
}

void tree_keep_variables(struct tree *t)
{
	t->keep_variables = true;
}

bool tree_keeps_variables(const struct tree *t)
{
	return t->keep_variables;
}

bool tree_is_variable(const struct tree *t, const struct node *n)
{
	return t->keep_variables && n->kind == NODE_STR && strchr(n->text, '$');
}

size_t tree_nodes(const struct tree *t)
{
	return t->nodes;
}

int tree_check(struct tree *t, const struct node *at, size_t more, struct err *e)
{
	if (t->nodes + more > TREE_NODES_MAX || t->bytes > TREE_BYTES_MAX) {
		return node_err(e, at,
			"the project grows beyond %u values here: fewer aliases, extends or files are expected",
			TREE_NODES_MAX);
	}
	return 0;
}

struct node *node_new(struct tree *t, enum node_kind kind, const struct node *at)
{
	struct node *n = tree_alloc(t, sizeof(*n));
	n->kind = kind;
	n->text = "";
	n->weight = 1;
	if (at) {
		n->file = at->file;
		n->line = at->line;
		n->column = at->column;
	}
	t->nodes++;
	return n;
}

struct node *node_str(struct tree *t, const char *text, const struct node *at)
{
	struct node *n = node_new(t, NODE_STR, at);
	n->text = tree_strdup(t, text);
	return n;
}

struct node *node_bool(struct tree *t, bool value, const struct node *at)
{
	struct node *n = node_new(t, NODE_BOOL, at);
	n->text = value ? "true" : "false";
	return n;
}

struct node *node_int(struct tree *t, int64_t value, const struct node *at)
{
	struct node *n = node_new(t, NODE_INT, at);
	n->text = tree_printf(t, "%lld", (long long)value);
	return n;
}

struct node *node_copy(struct tree *t, const struct node *n)
{
	struct node *copy = node_new(t, n->kind, n);
	copy->tag = n->tag;
	copy->text = n->text;
	copy->weight = n->weight;
	copy->n = copy->cap = n->n;
	if (n->n > 0) {
		copy->members = tree_new_array(t, struct member, n->n);
	}
	for (size_t i = 0; i < n->n; i++) {
		copy->members[i] = n->members[i];
		copy->members[i].value = node_copy(t, n->members[i].value);
	}
	return copy;
}

size_t node_count(const struct node *n)
{
	size_t count = 1;
	for (size_t i = 0; i < n->n; i++) {
		count += node_count(n->members[i].value);
	}
	return count;
}

/* FNV-1a: only saves comparisons; the number of members is bounded, so chosen collisions cost
 * little. */
uint32_t node_hash(const char *text)
{
	uint32_t h = 2166136261u;
	for (; *text; text++) {
		h = (h ^ (unsigned char)*text) * 16777619u;
	}
	return h;
}

static bool is_member(const struct member *m, uint32_t hash, const char *key)
{
	return m->hash == hash && strcmp(m->key, key) == 0;
}

struct member *node_member(const struct node *map, const char *key)
{
	if (!map || map->kind != NODE_MAP) {
		return NULL;
	}
	uint32_t hash = node_hash(key);
	if (map->indexed != map->n || map->n == 0) {
		for (size_t i = 0; i < map->n; i++) {
			if (is_member(&map->members[i], hash, key)) {
				return &map->members[i];
			}
		}
		return NULL;
	}
	for (size_t slot = hash & (map->slots - 1); map->index[slot];
		slot = (slot + 1) & (map->slots - 1)) {
		struct member *m = &map->members[map->index[slot] - 1];
		if (is_member(m, hash, key)) {
			return m;
		}
	}
	return NULL;
}

/* Members of a mapping are added one by one and looked for before: from INDEX_MIN on an index keeps
 * that from being quadratic. It is that of all members or, once members were taken out, of none. */
#define INDEX_MIN 64u

static void put_index(struct node *map, size_t i)
{
	size_t slot = map->members[i].hash & (map->slots - 1);
	while (map->index[slot]) {
		slot = (slot + 1) & (map->slots - 1);
	}
	map->index[slot] = (uint32_t)i + 1;
}

static void index_last(struct tree *t, struct node *map)
{
	bool was_whole = map->indexed == map->n - 1 && map->indexed > 0;
	if (was_whole && map->n * 2 <= map->slots) {
		put_index(map, map->n - 1);
		map->indexed = map->n;
	} else if (map->n >= INDEX_MIN && (was_whole || map->n % INDEX_MIN == 0)) {
		map->slots = INDEX_MIN;
		while (map->slots < map->n * 4) {
			map->slots *= 2;
		}
		map->index = tree_new_array(t, uint32_t, map->slots);
		for (size_t i = 0; i < map->n; i++) {
			put_index(map, i);
		}
		map->indexed = map->n;
	}
}

struct node *node_get(const struct node *map, const char *key)
{
	struct member *m = node_member(map, key);
	return m ? m->value : NULL;
}

static struct member *add_member(struct tree *t, struct node *n)
{
	if (n->n == n->cap) {
		size_t cap = n->cap ? n->cap * 2 : 4;
		struct member *grown = tree_new_array(t, struct member, cap);
		if (n->n > 0) {
			memcpy(grown, n->members, n->n * sizeof(*grown));
		}
		n->members = grown;
		n->cap = cap;
	}
	return &n->members[n->n++];
}

struct member *node_put(struct tree *t, struct node *map, const char *key, struct node *value)
{
	struct member *m = node_member(map, key);
	if (!m) {
		m = add_member(t, map);
		m->key = tree_strdup(t, key);
		m->hash = node_hash(key);
		m->line = value->line;
		m->column = value->column;
		index_last(t, map);
	}
	m->value = value;
	return m;
}

void node_remove(struct node *map, const char *key)
{
	struct member *m = node_member(map, key);
	if (m) {
		size_t i = (size_t)(m - map->members);
		memmove(m, m + 1, (map->n - i - 1) * sizeof(*m));
		node_truncate(map, map->n - 1);
	}
}

void node_truncate(struct node *n, size_t kept)
{
	n->n = kept;
	n->indexed = 0;
}

void node_append(struct tree *t, struct node *list, struct node *value)
{
	struct member *m = add_member(t, list);
	*m = (struct member){.value = value, .line = value->line, .column = value->column};
}

bool node_is_scalar(const struct node *n)
{
	return n->kind != NODE_MAP && n->kind != NODE_LIST;
}

const char *node_text(const struct node *map, const char *key)
{
	const struct node *n = node_get(map, key);
	return n && node_is_scalar(n) && n->kind != NODE_NULL ? n->text : NULL;
}

bool node_is_true(const struct node *map, const char *key)
{
	const char *text = node_text(map, key);
	return text && strcmp(text, "true") == 0;
}

bool node_equal(const struct node *a, const struct node *b)
{
	if (a->kind != b->kind || a->n != b->n || strcmp(a->text, b->text) != 0) {
		return false;
	}
	for (size_t i = 0; i < a->n; i++) {
		const struct node *other =
			a->kind == NODE_LIST ? b->members[i].value : node_get(b, a->members[i].key);
		if (!other || !node_equal(a->members[i].value, other)) {
			return false;
		}
	}
	return true;
}

const char *node_kind_word(enum node_kind kind)
{
	static const char *const words[] = {
		[NODE_NULL] = "nothing",
		[NODE_BOOL] = "a boolean",
		[NODE_INT] = "a number",
		[NODE_FLOAT] = "a number",
		[NODE_STR] = "a string",
		[NODE_MAP] = "a mapping",
		[NODE_LIST] = "a list",
	};
	return words[kind];
}

PRINTF(5, 0)
static void positioned(
	struct err *e, const char *file, int line, int column, const char *fmt, va_list args)
{
	scoped(free) char *text = xvasprintf(fmt, args);
	if (line > 0) {
		err_set_(e, ERR_INVALID, "%s:%d:%d: %s", file ? file : "compose", line, column,
			text);
	} else {
		err_set_(e, ERR_INVALID, "%s: %s", file ? file : "compose", text);
	}
}

void node_err_(struct err *e, const struct node *at, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	positioned(e, at ? at->file : NULL, at ? at->line : 0, at ? at->column : 0, fmt, args);
	va_end(args);
}

void member_err_(
	struct err *e, const struct node *map, const struct member *m, const char *fmt, ...)
{
	const char *file = m->value->file ? m->value->file : map->file;
	va_list args;
	va_start(args, fmt);
	positioned(e, file, m->line, m->column, fmt, args);
	va_end(args);
}

static json_t *scalar_json(const struct node *n)
{
	switch (n->kind) {
	case NODE_BOOL:
		return json_boolean(n->text[0] == 't');
	case NODE_INT:
		return json_integer(strtoll(n->text, NULL, 10));
	case NODE_FLOAT:
		if (fabs(strtod(n->text, NULL)) < 1e15 &&
			strtod(n->text, NULL) == (double)(int64_t)strtod(n->text, NULL)) {
			return json_integer(
				(int64_t)strtod(n->text, NULL)); /* Go prints 2.0 as 2 */
		}
		return json_real(strtod(n->text, NULL));
	case NODE_STR:
		return json_string(n->text);
	default:
		return json_null();
	}
}

json_t *node_json(const struct node *n)
{
	if (node_is_scalar(n)) {
		json_t *scalar = scalar_json(n);
		return scalar ? scalar : json_null(); /* infinities and broken UTF-8 have no JSON */
	}
	json_t *doc = n->kind == NODE_MAP ? json_object() : json_array();
	for (size_t i = 0; i < n->n; i++) {
		json_t *value = node_json(n->members[i].value);
		if (n->kind == NODE_MAP) {
			json_object_set_new(doc, n->members[i].key, value);
		} else {
			json_array_append_new(doc, value);
		}
	}
	return doc;
}
