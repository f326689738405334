#include "build/usage.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/regex.h"
#include "base/scoped.h"
#include "base/text.h"
#include "build/builder.h"
#include "image/image.h"
#include "job/job.h"

#define ID_SHOWN 25 /* characters, as BuildKit's */

struct usage_work {
	struct builder *builder;
	build_usage_fn *fn;
	void *owner;
	json_t *filter;
	bool prune;
	struct build_prune_query query; /* its filter is the one above */
	json_t *gone;                   /* records */
};

/* --- records --- */

static json_t *short_key(const char *key)
{
	return json_stringn(key, strnlen(key, ID_SHOWN));
}

/* Of the keys that lead to one layer the one that was used last. */
static bool is_first(const struct builder *b, const char *key, const struct cache_entry *c,
	const struct map *seen)
{
	const char *best = map_get(seen, c->diff_id);
	return best && strcmp(best, key) == 0;
}

static struct map *best_keys(const struct builder *b)
{
	struct map *best = map_new();
	size_t pos = 0;
	const char *key;
	const struct cache_entry *c;
	while ((c = map_next(b->cache, &pos, &key))) {
		const char *other = *c->diff_id ? map_get(best, c->diff_id) : NULL;
		const struct cache_entry *than = other ? map_get(b->cache, other) : NULL;
		if (*c->diff_id && (!than || c->used_ns > than->used_ns)) {
			map_put(best, c->diff_id, (void *)key);
		}
	}
	return best;
}

static int64_t uses_of(const struct builder *b, const char *diff_id)
{
	int64_t uses = 0;
	map_each (b->cache, struct cache_entry, c) {
		uses += strcmp(c->diff_id, diff_id) == 0 ? c->uses : 0;
	}
	return uses;
}

static void pin(void *arg, const char *diff_id)
{
	map_put(arg, diff_id, arg);
}

static json_t *step_record(const struct builder *b, const char *key, const struct cache_entry *c,
	const struct map *best, const struct map *used, const struct map *shared)
{
	int64_t bytes = 0;
	const struct cache_entry *parent = *c->parent ? map_get(b->cache, c->parent) : NULL;
	(void)image_has_layer(b->d.images, c->diff_id, &bytes);
	json_t *r = json_pack("{so ss so ss sb sb sb sI sI sI sI}", "id", short_key(key), "type",
		"regular", "parents", json_array(), "description", c->text ? c->text : "", "in_use",
		map_get(used, c->diff_id) != NULL, "shared", map_get(shared, c->diff_id) != NULL,
		"mutable", false, "size", (json_int_t)bytes, "created", (json_int_t)c->made_ns,
		"used", (json_int_t)c->used_ns, "uses", (json_int_t)uses_of(b, c->diff_id));
	const char *shown = parent ? map_get(best, parent->diff_id) : NULL;
	if (shown) {
		json_array_append_new(json_object_get(r, "parents"), short_key(shown));
	}
	json_put_str(r, "layer", c->diff_id);
	return r;
}

static void add_steps(const struct builder *b, json_t *records)
{
	struct map *best = best_keys(b);
	struct map *used = map_new();
	struct map *shared = builder_image_layers(b);
	size_t pos = 0;
	const char *key;
	const struct cache_entry *c;
	session_pin_layers(b, pin, used);
	while ((c = map_next(b->cache, &pos, &key))) {
		if (*c->diff_id && is_first(b, key, c, best) &&
			image_has_layer(b->d.images, c->diff_id, NULL)) {
			json_array_append_new(records, step_record(b, key, c, best, used, shared));
		}
	}
	map_free(best);
	map_free(used);
	map_free(shared);
}

static json_t *mount_record(const json_t *m)
{
	scoped(free) char *text = xasprintf(
		"cached mount %s with id \"%s\"", json_str(m, "target"), json_str(m, "id"));
	return json_pack("{so ss s[] ss sb sb sb sI sI sI sI ss}", "id",
		short_key(json_str(m, "name")), "type", "exec.cachemount", "parents", "description",
		text, "in_use", json_bool(m, "in_use"), "shared", false, "mutable", true, "size",
		(json_int_t)json_i64(m, "bytes", 0), "created",
		(json_int_t)json_i64(m, "created", 0), "used", (json_int_t)json_i64(m, "used", 0),
		"uses", (json_int_t)1, "mount", json_str(m, "name"));
}

static json_t *context_record(const json_t *m)
{
	const json_int_t used = json_i64(m, "used", 0);
	return json_pack("{so ss s[] ss sb sb sb sI sI sI sI ss}", "id",
		short_key(json_str(m, "name")), "type", "source.local", "parents", "description",
		"local source for context", "in_use", json_bool(m, "in_use"), "shared", false,
		"mutable", true, "size", (json_int_t)json_i64(m, "bytes", 0), "created", used,
		"used", used, "uses", (json_int_t)1, "context", json_str(m, "name"));
}

static void add_trees(const json_t *result, json_t *records)
{
	size_t i;
	json_t *one;
	json_array_foreach (json_object_get(result, "mounts"), i, one) {
		json_array_append_new(records, mount_record(one));
	}
	json_array_foreach (json_object_get(result, "contexts"), i, one) {
		json_array_append_new(records, context_record(one));
	}
}

/* --- filters --- */

static bool compare(const char *op, const char *have, const char *value)
{
	if (strcmp(op, "~=") != 0) {
		return !*op ? *have != '\0' : (strcmp(have, value) == 0) == (strcmp(op, "==") == 0);
	}
	regex_t re;
	if (regex_is_costly(value) || regcomp(&re, value, REG_EXTENDED | REG_NOSUB) != 0) {
		return false;
	}
	bool found = regexec(&re, have, 0, NULL, 0) == 0;
	regfree(&re);
	return found;
}

static bool is_true(const json_t *record, const char *field, bool *ret)
{
	static const struct {
		const char *field, *key;
		bool value;
	} flags[] = {
		{"inuse", "in_use", true},
		{"shared", "shared", true},
		{"private", "shared", false},
		{"mutable", "mutable", true},
		{"immutable", "mutable", false},
	};
	for (size_t k = 0; k < sizeof(flags) / sizeof(*flags); k++) {
		if (strcmp(flags[k].field, field) == 0) {
			*ret = json_bool(record, flags[k].key) == flags[k].value;
			return true;
		}
	}
	return false;
}

static bool condition_holds(const json_t *record, const json_t *condition)
{
	const char *field = json_str(condition, "field");
	const char *op = json_str(condition, "op");
	const char *value = json_str(condition, "value");
	bool flag;
	if (is_true(record, field, &flag)) {
		return *op ? compare(op, flag ? "true" : "false", value) : flag;
	}
	if (strcmp(field, "parent") == 0 || strcmp(field, "parents") == 0) {
		const char *parent =
			json_string_value(json_array_get(json_object_get(record, "parents"), 0));
		return compare(op, parent ? parent : "", value);
	}
	bool text = strcmp(field, "id") == 0 || strcmp(field, "type") == 0 ||
		    strcmp(field, "description") == 0;
	return text && compare(op, json_str(record, field), value);
}

static bool is_wanted(const json_t *record, const json_t *filter)
{
	size_t i, k;
	json_t *all, *one;
	bool any = json_array_size(filter) == 0;
	json_array_foreach (filter, i, all) {
		bool holds = true;
		json_array_foreach (all, k, one) {
			holds = holds && condition_holds(record, one);
		}
		any = any || holds;
	}
	return any;
}

static void keep_wanted(json_t *records, const json_t *filter)
{
	for (size_t i = json_array_size(records); i > 0; i--) {
		if (!is_wanted(json_array_get(records, i - 1), filter)) {
			json_array_remove(records, i - 1);
		}
	}
}

/* "type==regular", "inuse", "description~=/apt/" up to a comma outside of quotes. */
static const char *read_condition(const char *p, json_t *all, struct err *e)
{
	static const char *const ops[] = {"==", "!=", "~="};
	size_t n = strcspn(p, "=!~,");
	scoped(free) char *field = xstrndup(p, n);
	scoped(buf) struct buf value = BUF_INIT;
	const char *op = "";
	p += n;
	for (size_t k = 0; k < sizeof(ops) / sizeof(*ops); k++) {
		if (strncmp(p, ops[k], 2) == 0) {
			op = ops[k];
			p += 2;
			break;
		}
	}
	char quote = *op && (*p == '"' || (*p == '/' && *op == '~')) ? *p++ : '\0';
	while (*p && (quote ? *p != quote : *p != ',')) {
		p += quote && *p == '\\' && p[1] ? 1 : 0;
		buf_putc(&value, *p++);
	}
	p += quote && *p == quote;
	if (!*field || (*p && *p != ',')) {
		(void)err_set(e, ERR_INVALID, "failed to parse prune filters: at %.60s", p);
		return NULL;
	}
	json_array_append_new(
		all, json_pack("{ss ss ss}", "field", field, "op", op, "value", buf_str(&value)));
	return *p ? p + 1 : p;
}

json_t *build_usage_filter(const json_t *texts, struct err *e)
{
	scoped(json) json_t *filter = json_array();
	size_t i;
	json_t *item;
	json_array_foreach (texts, i, item) {
		json_t *all = json_array();
		json_array_append_new(filter, all);
		const char *p = json_string_value(item);
		while (p && *p) {
			p = read_condition(p, all, e);
		}
		if (!p) {
			return json_is_string(item)
				       ? NULL
				       : (err_set(e, ERR_INVALID, "a filter must be text"), NULL);
		}
	}
	return TAKE(filter);
}

/* --- what goes --- */

static int oldest_first(const void *a, const void *b)
{
	int64_t x = json_i64(*(json_t *const *)a, "used", 0);
	int64_t y = json_i64(*(json_t *const *)b, "used", 0);
	return x < y ? -1 : x > y ? 1 : 0;
}

/* How many bytes must go; INT64_MAX without a bound. */
static int64_t surplus(const struct usage_work *w, int64_t total)
{
	const struct build_prune_query *q = &w->query;
	struct statvfs fs;
	if (q->reserved <= 0 && q->max_used <= 0 && q->min_free <= 0) {
		return INT64_MAX;
	}
	int64_t bound = q->max_used > 0 ? q->max_used : q->min_free > 0 ? INT64_MAX : q->reserved;
	int64_t over = total > bound ? total - bound : 0;
	if (q->min_free > 0 && statvfs(image_layers_dir(w->builder->d.images), &fs) == 0) {
		int64_t left = (int64_t)((uint64_t)fs.f_bavail * fs.f_frsize);
		int64_t missing = q->min_free - left;
		over = missing > over ? missing : over;
	}
	int64_t most = total > q->reserved ? total - q->reserved : 0;
	return over < most ? over : most;
}

static bool may_go(const struct usage_work *w, const json_t *record)
{
	return !json_bool(record, "in_use") && (w->query.all || !json_bool(record, "shared")) &&
	       json_i64(record, "used", 0) <= w->query.before_ns && is_wanted(record, w->filter);
}

/* The records that go, into w->gone. */
static void choose(struct usage_work *w, json_t *records)
{
	size_t n = json_array_size(records);
	scoped(free) json_t **v = xnew_array(json_t *, n + 1);
	int64_t total = 0;
	for (size_t i = 0; i < n; i++) {
		v[i] = json_array_get(records, i);
		total += json_i64(v[i], "size", 0);
	}
	qsort(v, n, sizeof(json_t *), oldest_first);
	int64_t left = surplus(w, total);
	for (size_t i = 0; i < n && left > 0; i++) {
		if (may_go(w, v[i])) {
			left -= left == INT64_MAX ? 0 : json_i64(v[i], "size", 0);
			json_array_append(w->gone, v[i]);
		}
	}
}

static void drop_layers(struct usage_work *w)
{
	struct map *layers = map_new();
	scoped(strv) struct strv keys = STRV_INIT;
	size_t i;
	json_t *record;
	json_array_foreach (w->gone, i, record) {
		if (*json_str(record, "layer")) {
			map_put(layers, json_str(record, "layer"), w);
		}
	}
	size_t pos = 0;
	const char *key;
	const struct cache_entry *c;
	struct err ignored;
	while ((c = map_next(w->builder->cache, &pos, &key))) {
		/* one of an image that has gone is of no use */
		bool stale = *c->image && !image_find(w->builder->d.images, c->image, &ignored);
		if (stale || (*c->diff_id && map_get(layers, c->diff_id))) {
			strv_add(&keys, key);
		}
	}
	for (size_t k = 0; k < keys.n; k++) {
		builder_cache_drop(w->builder, keys.v[k]);
	}
	map_free(layers);
	image_collect(w->builder->d.images);
}

/* --- the jobs --- */

static void finish(struct usage_work *w, const json_t *records, const struct err *e)
{
	w->fn(w->owner, records, e);
	json_decref(w->filter);
	json_decref(w->gone);
	free(w);
}

static json_t *names_of(const json_t *records, const char *member)
{
	json_t *names = json_array();
	size_t i;
	json_t *record;
	json_array_foreach (records, i, record) {
		if (*json_str(record, member)) {
			json_array_append_new(names, json_string(json_str(record, member)));
		}
	}
	return names;
}

/* What came into use meanwhile has stayed. */
static void drop_kept(json_t *records, const json_t *result, const char *member, const char *list)
{
	struct map *removed = map_new();
	size_t i;
	json_t *one;
	json_array_foreach (json_object_get(result, list), i, one) {
		map_put(removed, json_str(one, "name"), removed);
	}
	for (i = json_array_size(records); i > 0; i--) {
		const char *name = json_str(json_array_get(records, i - 1), member);
		if (*name && !map_get(removed, name)) {
			json_array_remove(records, i - 1);
		}
	}
	map_free(removed);
}

static void removed(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct usage_work *w = owner;
	if (result) {
		drop_kept(w->gone, result, "mount", "removed");
		drop_kept(w->gone, result, "context", "removed_contexts");
	}
	finish(w, result ? w->gone : NULL, e);
}

static void remove_chosen(struct usage_work *w)
{
	static const struct job_handlers handlers = {.done = removed};
	struct err e;
	drop_layers(w);
	json_t *mounts = names_of(w->gone, "mount");
	json_t *contexts = names_of(w->gone, "context");
	if (json_array_size(mounts) + json_array_size(contexts) == 0) {
		json_decref(mounts);
		json_decref(contexts);
		finish(w, w->gone, NULL);
		return;
	}
	json_t *request = json_pack("{ss so so}", "dir", w->builder->cache_dir, "remove", mounts,
		"remove_contexts", contexts);
	if (!job_start(w->builder->d.jobs, "cache-mounts", request, -1, false, &handlers, w, &e)) {
		finish(w, NULL, &e);
	}
}

static void listed(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct usage_work *w = owner;
	if (!result) {
		finish(w, NULL, e);
		return;
	}
	scoped(json) json_t *records = json_array();
	add_steps(w->builder, records);
	add_trees(result, records);
	if (w->prune) {
		choose(w, records);
		remove_chosen(w);
	} else {
		keep_wanted(records, w->filter);
		finish(w, records, NULL);
	}
}

static void start(struct usage_work *w)
{
	static const struct job_handlers handlers = {.done = listed};
	struct err e;
	json_t *request = json_pack("{ss}", "dir", w->builder->cache_dir);
	if (!job_start(w->builder->d.jobs, "cache-mounts", request, -1, false, &handlers, w, &e)) {
		finish(w, NULL, &e);
	}
}

static struct usage_work *new_work(
	struct builder *b, const json_t *filter, build_usage_fn *fn, void *owner)
{
	struct usage_work *w = xnew(struct usage_work);
	w->builder = b;
	w->fn = fn;
	w->owner = owner;
	w->filter = json_incref((json_t *)filter);
	w->gone = json_array();
	return w;
}

void build_usage(struct builder *b, const json_t *filter, build_usage_fn *fn, void *owner)
{
	start(new_work(b, filter, fn, owner));
}

void build_prune(
	struct builder *b, const struct build_prune_query *q, build_usage_fn *fn, void *owner)
{
	struct usage_work *w = new_work(b, q->filter, fn, owner);
	w->prune = true;
	w->query = *q;
	start(w);
}
