#include "compose/merge.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum strategy {
	DEEP,          /* mappings member by member, lists of different entries joined, scalars replaced */
	REPLACE,
	BY_KEY,        /* lists: an entry with the same key replaces the earlier one */
	LOGGING,       /* options of another driver are not kept */
	REPLACE_EACH,  /* mappings: each member is replaced whole */
};

struct place {
	const char *path; /* '*' stands for one name */
	enum strategy strategy;
	const char *keys[4]; /* BY_KEY: what must be equal; the first present alone when any is set */
	bool any;
};

static const struct place places[] = {
	{"services.*.command", REPLACE, {0}, false},
	{"services.*.entrypoint", REPLACE, {0}, false},
	{"services.*.healthcheck.test", REPLACE, {0}, false},
	{"services.*.logging", LOGGING, {0}, false},
	{"services.*.ulimits", REPLACE_EACH, {0}, false},
	{"services.*.ports", BY_KEY, {"host_ip", "published", "target", "protocol"}, false},
	{"services.*.volumes", BY_KEY, {"target"}, false},
	{"services.*.devices", BY_KEY, {"target"}, false},
	{"services.*.env_file", BY_KEY, {"path"}, false},
	{"services.*.secrets", BY_KEY, {"target", "source"}, true},
	{"services.*.configs", BY_KEY, {"target", "source"}, true},
	{"networks.*.ipam.config", BY_KEY, {"subnet"}, false},
};

static struct node *merge(struct tree *t, struct node *base, struct node *over, const char *path);

static const struct place *find_place(const char *path)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		if (strcmp(places[i].path, path) == 0) {
			return &places[i];
		}
	}
	return NULL;
}

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_entry(const struct node *a, const struct node *b, const struct place *place)
{
	if (place->any) {
		const char *key_a = node_text(a, place->keys[0]);
		const char *key_b = node_text(b, place->keys[0]);
		return same_text(key_a ? key_a : node_text(a, place->keys[1]), key_b ? key_b : node_text(b, place->keys[1]));
	}
	for (size_t i = 0; i < 4 && place->keys[i]; i++) {
		if (!same_text(node_text(a, place->keys[i]), node_text(b, place->keys[i]))) {
			return false;
		}
	}
	return true;
}

static struct node *merge_lists(struct tree *t, struct node *base, struct node *over, const struct place *place)
{
	node_each(m, over)
	{
		struct member *same = NULL;
		node_each(b, base)
		{
			bool equal = place ? same_entry(b->value, m->value, place) : node_equal(b->value, m->value);
			same = equal ? b : same;
		}
		if (!same) {
			node_append(t, base, m->value);
		} else if (place) {
			same->value = m->value;
		}
	}
	return base;
}

/* "services.*" for the name of a service; other names stand for themselves. */
static char *path_below(const char *path, const char *key)
{
	bool names = strcmp(path, "services") == 0 || strcmp(path, "networks") == 0 || strcmp(path, "volumes") == 0;
	return xasprintf("%s%s%s", path, *path ? "." : "", names ? "*" : key);
}

static void merge_member(struct tree *t, struct node *base, struct member *m, const char *path, enum strategy strategy)
{
	struct member *before = node_member(base, m->key);
	scoped(free) char *below = path_below(path, m->key);
	if (m->value->tag == TAG_RESET) {
		node_remove(base, m->key);
		return;
	}
	bool whole = !before || m->value->tag == TAG_OVERRIDE || strategy == REPLACE_EACH;
	struct node *value = whole ? m->value : merge(t, before->value, m->value, below);
	struct member *merged = node_put(t, base, m->key, value);
	if (value == m->value) {
		merged->line = m->line;
		merged->column = m->column;
	}
}

static bool null_counts(const char *path)
{
	return strcmp(path, "services.*.command") == 0 || strcmp(path, "services.*.entrypoint") == 0 ||
		strncmp(path, "services.*.environment.", 23) == 0;
}

static struct node *merge(struct tree *t, struct node *base, struct node *over, const char *path)
{
	const struct place *place = find_place(path);
	enum strategy strategy = place ? place->strategy : DEEP;
	if (over->kind == NODE_NULL) {
		return null_counts(path) ? over : base;
	}
	if (base->kind != over->kind || node_is_scalar(over) || strategy == REPLACE) {
		return over;
	}
	if (over->kind == NODE_LIST) {
		return merge_lists(t, base, over, place);
	}
	if (strategy == LOGGING && node_text(over, "driver") && node_text(base, "driver") &&
		!same_text(node_text(over, "driver"), node_text(base, "driver"))) {
		return over;
	}
	node_each(m, over)
	{
		merge_member(t, base, m, path, strategy);
	}
	return base;
}

struct node *merge_project(struct tree *t, struct node *base, struct node *over)
{
	return base ? merge(t, base, over, "") : over;
}

struct node *merge_service(struct tree *t, struct node *base, struct node *over)
{
	return merge(t, base, over, "services.*");
}

void merge_finish(struct node *n)
{
	size_t kept = 0;
	for (size_t i = 0; i < n->n; i++) {
		if (n->members[i].value->tag == TAG_RESET) {
			continue;
		}
		n->members[i].value->tag = TAG_NONE;
		merge_finish(n->members[i].value);
		n->members[kept++] = n->members[i];
	}
	n->n = kept;
}
