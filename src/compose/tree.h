/* compose/tree.h - a document as nodes that know where they were written, and the arena they live
 * in.
 *
 * Everything the loader makes (nodes, strings, the typed model) is allocated from one tree and
 * freed with it, so a node may be linked from several places and nothing is freed one by one. A
 * tree counts its nodes and its bytes: what a file can make us build is bounded (aliases, extends
 * and interpolation multiply), see tree_check.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/scoped.h"

enum node_kind { NODE_NULL, NODE_BOOL, NODE_INT, NODE_FLOAT, NODE_STR, NODE_MAP, NODE_LIST };

/* Compose specification, "Merge and override": what an override file may say about a key of an
 * earlier file. */
enum node_tag { TAG_NONE, TAG_RESET, TAG_OVERRIDE };

struct node;

struct member {
	const char *key; /* NULL in a list */
	uint32_t hash;
	int line, column; /* of the key */
	struct node *value;
};

struct node {
	enum node_kind kind;
	enum node_tag tag;
	const char *file; /* as errors name it */
	int line, column; /* from 1; 0: made by us */
	const char *text; /* scalars: numbers as Go prints them, "true", "false"; "" for null */
	struct member *members;
	size_t n, cap;
	/* of a large mapping: where in members to look for a hash, see node_member */
	uint32_t *index;
	size_t indexed, slots;
	size_t weight; /* of a parsed container: its nodes, itself included */
};

struct tree;

#define TREE_NODES_MAX 200000u
#define TREE_BYTES_MAX (64u << 20)

struct tree *tree_new(void);
void tree_free(struct tree *t); /* NULL is fine */
SCOPED(struct tree *, tree_free)

void *tree_alloc(struct tree *t, size_t n); /* zeroed, aligned */
#define tree_new_array(t, T, n) ((T *)tree_alloc((t), sizeof(T) * (n)))
char *tree_strdup(struct tree *t, const char *s); /* NULL gives NULL */
char *tree_strndup(struct tree *t, const char *s, size_t n);
char *tree_printf(struct tree *t, const char *fmt, ...) PRINTF(2, 3);
/* Strings may still hold variables: the forms inside of those with a `$` are not looked at. */
void tree_keep_variables(struct tree *t);
bool tree_keeps_variables(const struct tree *t);
bool tree_is_variable(const struct tree *t, const struct node *n);
size_t tree_nodes(const struct tree *t);
/* ERR_INVALID at `at` when adding that many nodes would pass the limit. */
int tree_check(struct tree *t, const struct node *at, size_t more, struct err *e);

/* New nodes take their position from at (which may be NULL). */
struct node *node_new(struct tree *t, enum node_kind kind, const struct node *at);
struct node *node_str(struct tree *t, const char *text, const struct node *at);
struct node *node_bool(struct tree *t, bool value, const struct node *at);
struct node *node_int(struct tree *t, int64_t value, const struct node *at);
struct node *node_copy(struct tree *t, const struct node *n); /* deep */
size_t node_count(const struct node *n);

struct node *node_get(const struct node *map,
	const char *key); /* NULL when absent, or when map is NULL or no map */
struct member *node_member(const struct node *map, const char *key);
uint32_t node_hash(const char *text);
/* Replaces or appends. The new member's position is the value's. */
struct member *node_put(struct tree *t, struct node *map, const char *key, struct node *value);
void node_remove(struct node *map, const char *key);
/* After the members that stay were moved to the front. */
void node_truncate(struct node *n, size_t kept);
void node_append(struct tree *t, struct node *list, struct node *value);
/* A string member, or NULL when absent or null. */
const char *node_text(const struct node *map, const char *key);
bool node_is_scalar(const struct node *n);
bool node_is_true(const struct node *map, const char *key);
bool node_equal(const struct node *a, const struct node *b);

/* "a string", "a list", ... for sentences. */
const char *node_kind_word(enum node_kind kind);

/* "FILE:LINE:COLUMN: sentence" with ERR_INVALID; -1. */
void node_err_(struct err *e, const struct node *at, const char *fmt, ...) PRINTF(3, 4);
#define node_err(...) (node_err_(__VA_ARGS__), err_failed())
/* The same at the key of a member of map. */
void member_err_(struct err *e, const struct node *map, const struct member *m, const char *fmt,
	...) PRINTF(4, 5);
#define member_err(...) (member_err_(__VA_ARGS__), err_failed())

/* A new document: numbers as numbers, members in their order. */
json_t *node_json(const struct node *n);

#define node_each(m, node)                                       \
	for (struct member *m = (node) ? (node)->members : NULL, \
			   *m##_end = m ? m + (node)->n : NULL;  \
		m < m##_end; m++)
