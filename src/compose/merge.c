#include "compose/merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum strategy {
	DEEP, /* mappings member by member, lists of different entries joined, scalars replaced */
	REPLACE,
	BY_KEY,       /* lists: an entry with the same key replaces the earlier one */
	LOGGING,      /* options of another driver are not kept */
	REPLACE_EACH, /* mappings: each member is replaced whole */
	PAIRS,        /* of a document that keeps its variables: both as lists of "KEY=VALUE" */
};

struct place {
	const char *path; /* '*' stands for one name */
	enum strategy strategy;
	bool any;            /* the first present key alone decides */
	const char *keys[4]; /* BY_KEY: what must be equal */
};

static const struct place places[] = {
	{"services.*.command", REPLACE, false, {0}},
	{"services.*.entrypoint", REPLACE, false, {0}},
	{"services.*.healthcheck.test", REPLACE, false, {0}},
	{"services.*.logging", LOGGING, false, {0}},
	{"services.*.ulimits", REPLACE_EACH, false, {0}},
	{"services.*.ports", BY_KEY, false, {"host_ip", "published", "target", "protocol"}},
	{"services.*.volumes", BY_KEY, false, {"target"}},
	{"services.*.devices", BY_KEY, false, {"target"}},
	{"services.*.x-wherry.devices", BY_KEY, true, {"name", "as"}},
	{"services.*.x-wherry.storage", BY_KEY, true, {"name", "at"}},
	{"services.*.env_file", BY_KEY, false, {"path"}},
	{"services.*.secrets", BY_KEY, true, {"target", "source"}},
	{"services.*.configs", BY_KEY, true, {"target", "source"}},
	{"networks.*.ipam.config", BY_KEY, false, {"subnet"}},
	{"services.*.annotations", PAIRS, false, {0}},
	{"services.*.build.additional_contexts", PAIRS, false, {0}},
	{"services.*.build.args", PAIRS, false, {0}},
	{"services.*.build.labels", PAIRS, false, {0}},
	{"services.*.deploy.labels", PAIRS, false, {0}},
	{"services.*.dns_opt", PAIRS, false, {0}},
	{"services.*.dns_search", PAIRS, false, {0}},
	{"services.*.environment", PAIRS, false, {0}},
	{"services.*.labels", PAIRS, false, {0}},
	{"services.*.sysctls", PAIRS, false, {0}},
	{"services.*.tmpfs", PAIRS, false, {0}},
	{"networks.*.labels", PAIRS, false, {0}},
	{"volumes.*.labels", PAIRS, false, {0}},
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

/* What makes two entries of a list the same, as a text; NULL when only comparing them whole can
 * tell. */
static const char *entry_key(struct tree *t, const struct node *entry, const struct place *place)
{
	if (!place || node_is_scalar(entry)) {
		return node_is_scalar(entry) ? entry->text : NULL;
	}
	if (place->any) {
		const char *first = node_text(entry, place->keys[0]);
		const char *second = node_text(entry, place->keys[1]);
		return first ? first : second ? second : "";
	}
	const char *key = node_text(entry, place->keys[0]);
	key = key ? key : "";
	for (size_t i = 1; i < 4 && place->keys[i]; i++) {
		const char *next = node_text(entry, place->keys[i]);
		key = tree_printf(t, "%s\n%s", key, next ? next : "");
	}
	return key;
}

/* A service may publish ten thousand ports: hashes keep the comparison of all with all short. */
struct keyed {
	const char *key;
	uint32_t hash;
};

static struct keyed key_of(struct tree *t, const struct node *entry, const struct place *place)
{
	struct keyed k = {entry_key(t, entry, place), 2166136261u};
	for (const char *p = k.key; p && *p; p++) {
		k.hash = (k.hash ^ (unsigned char)*p) * 16777619u;
	}
	return k;
}

static bool is_same(const struct keyed *a, const struct node *na, const struct keyed *b,
	const struct node *nb, const struct place *place)
{
	if (a->hash != b->hash || !a->key != !b->key || (a->key && strcmp(a->key, b->key) != 0)) {
		return false;
	}
	return place || node_equal(na, nb);
}

static struct node *merge_lists(
	struct tree *t, struct node *base, struct node *over, const struct place *place)
{
	scoped(free) struct keyed *keys = xnew_array(struct keyed, base->n + over->n + 1);
	for (size_t i = 0; i < base->n; i++) {
		keys[i] = key_of(t, base->members[i].value, place);
	}
	node_each (m, over) {
		struct keyed key = key_of(t, m->value, place);
		size_t same = 0;
		while (same < base->n &&
			!is_same(&keys[same], base->members[same].value, &key, m->value, place)) {
			same++;
		}
		if (same == base->n) {
			keys[base->n] = key;
			node_append(t, base, m->value);
		} else if (place) {
			base->members[same].value = m->value;
		}
	}
	return base;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(
		((const struct member *)a)->value->text, ((const struct member *)b)->value->text);
}

/* "KEY=VALUE" and "KEY" for a mapping, sorted; a list of one for a text. */
static struct node *as_list(struct tree *t, struct node *n)
{
	if (n->kind == NODE_LIST) {
		return n;
	}
	struct node *list = node_new(t, NODE_LIST, n);
	list->tag = n->tag;
	if (node_is_scalar(n)) {
		node_append(t, list, n);
		return list;
	}
	node_each (m, n) {
		const char *text = m->value->kind == NODE_NULL
					   ? m->key
					   : tree_printf(t, "%s=%s", m->key, m->value->text);
		node_append(t, list, node_str(t, text, m->value));
	}
	qsort(list->members, list->n, sizeof(*list->members), compare_texts);
	return list;
}

static struct node *join_lists(struct tree *t, struct node *base, struct node *over)
{
	struct node *list = as_list(t, base);
	node_each (m, as_list(t, over)) {
		node_append(t, list, m->value);
	}
	return list; /* merge_unique keeps the last of each key */
}

/* "services.*" for the name of a service; other names stand for themselves. */
static char *path_below(const char *path, const char *key)
{
	bool names = strcmp(path, "services") == 0 || strcmp(path, "networks") == 0 ||
		     strcmp(path, "volumes") == 0;
	return xasprintf("%s%s%s", path, *path ? "." : "", names ? "*" : key);
}

static void merge_member(struct tree *t, struct node *base, struct member *m, const char *path,
	enum strategy strategy)
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
	return strcmp(path, "services.*.command") == 0 ||
	       strcmp(path, "services.*.entrypoint") == 0 ||
	       strncmp(path, "services.*.environment.", 23) == 0;
}

static struct node *merge(struct tree *t, struct node *base, struct node *over, const char *path)
{
	const struct place *place = find_place(path);
	enum strategy strategy = place ? place->strategy : DEEP;
	if (over->kind == NODE_NULL) {
		return null_counts(path) ? over : base;
	}
	if (strategy == PAIRS && tree_keeps_variables(t)) {
		return join_lists(t, base, over);
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
	node_each (m, over) {
		merge_member(t, base, m, path, strategy);
	}
	return base;
}

struct node *merge_project(struct tree *t, struct node *base, struct node *over)
{
	return base ? merge(t, base, over, "") : over;
}

/* Of entries with the same text before "=" the last stays, in the place of the first. */
static void unique_texts(struct node *list)
{
	if (!list || list->kind != NODE_LIST) {
		return;
	}
	size_t kept = 0;
	for (size_t i = 0; i < list->n; i++) {
		const char *key = list->members[i].value->text;
		size_t n = strcspn(key, "=");
		size_t same = 0;
		for (; same < kept; same++) {
			const char *other = list->members[same].value->text;
			if (strcspn(other, "=") == n && memcmp(other, key, n) == 0) {
				break;
			}
		}
		list->members[same] = list->members[i];
		kept += same == kept;
	}
	node_truncate(list, kept);
}

static void unique_service_texts(struct node *service)
{
	/* the last four are lists only where variables are kept */
	static const char *const keys[] = {"cap_add", "cap_drop", "dns", "dns_opt", "dns_search",
		"expose", "links", "profiles", "tmpfs", "annotations", "environment", "labels",
		"sysctls"};
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		unique_texts(node_get(service, keys[i]));
	}
	unique_texts(node_get(node_get(service, "build"), "tags"));
	node_each (network, node_get(service, "networks")) {
		unique_texts(node_get(network->value, "aliases"));
		unique_texts(node_get(network->value, "link_local_ips"));
	}
}

void merge_unique(struct tree *t, struct node *root)
{
	node_each (service, node_get(root, "services")) {
		unique_service_texts(service->value);
	}
	const char *prefix = "services.*.";
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		if (places[i].strategy != BY_KEY ||
			strncmp(places[i].path, prefix, strlen(prefix)) != 0) {
			continue;
		}
		node_each (service, node_get(root, "services")) {
			struct member *m =
				node_member(service->value, places[i].path + strlen(prefix));
			if (m && m->value->kind == NODE_LIST && m->value->n > 1) {
				struct node *list = node_new(t, NODE_LIST, m->value);
				list->tag = m->value->tag;
				m->value = merge_lists(t, list, m->value, &places[i]);
			}
		}
	}
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
	node_truncate(n, kept);
}
