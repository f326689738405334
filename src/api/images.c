/* Images: everything that answers with one document. Pull, import and load are in image_streams.c.
 */
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/filters.h"
#include "api/handlers.h"
#include "api/reference.h"
#include "api/shapes.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/glob.h"
#include "container/container.h"
#include "image/image.h"

static struct image *find(struct call *c)
{
	struct err e;
	struct image *i = image_find(c->api->d.images, c->args[0], &e);
	if (!i) {
		call_reply_error(c, &e);
	}
	return i;
}

static json_t *labels_of(const struct image *i)
{
	json_t *labels = json_object_get(json_object_get(i->config, "config"), "Labels");
	return json_is_object(labels) ? labels : NULL;
}

static int64_t created_ns(const struct image *i)
{
	int64_t ns = 0;
	const char *text = json_str(i->config, "created");
	return *text && clock_parse(text, &ns) == 0 ? ns : 0;
}

/* What a commit wrote down (worker/commit.c), while that image is here. */
static const char *parent_of(struct image_store *s, const struct image *i)
{
	struct err ignored;
	const char *parent = json_str(i->config, "parent");
	return *parent && image_find(s, parent, &ignored) ? parent : "";
}

static int count_users(const struct container_set *s, const struct image *i)
{
	int n = 0;
	size_t pos = 0;
	for (struct container *k; (k = container_next(s, &pos));) {
		n += strcmp(container_image_id(k), i->id) == 0;
	}
	return n;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names in dockerd's order: not as they came. */
static json_t *sorted_names(const struct strv *names)
{
	scoped(strv) struct strv sorted = STRV_INIT;
	strv_copy(&sorted, names);
	if (sorted.n > 0) {
		qsort(sorted.v, sorted.n, sizeof(char *), by_text);
	}
	return json_strv(&sorted);
}

json_t *shape_image_summary(struct image_store *s, const struct image *i,
	const struct container_set *containers, int api_version)
{
	json_t *o = json_object();
	json_t *labels = labels_of(i);
	json_put(o, "Containers", json_integer(containers ? count_users(containers, i) : -1));
	json_put(o, "Created", json_integer(created_ns(i) / NS_PER_SEC));
	json_put_str(o, "Id", i->id);
	json_put(o, "Labels", labels ? json_incref(labels) : json_null());
	json_put_str(o, "ParentId", parent_of(s, i));
	json_put(o, "RepoDigests", sorted_names(&i->digests));
	json_put(o, "RepoTags", sorted_names(&i->tags));
	json_put(o, "SharedSize", json_integer(-1));
	json_put(o, "Size", json_integer(i->size_bytes));
	if (api_version < 44) {
		json_put(o, "VirtualSize", json_integer(i->size_bytes));
	}
	return o;
}

/* As distribution/reference FamiliarMatch: the whole reference or its name alone. */
static bool match_name(const struct filters *f, const char *familiar)
{
	const char *slash = strrchr(familiar, '/');
	size_t n = (size_t)(strpbrk(slash ? slash : familiar, ":@") - familiar);
	scoped(free) char *name = xstrndup(familiar, n);
	const char *pattern;
	for (size_t p = 0; (pattern = filters_value(f, "reference", p)); p++) {
		if (glob_match(pattern, familiar) || glob_match(pattern, name)) {
			return true;
		}
	}
	return false;
}

static void keep_matches(json_t *names, const struct filters *f)
{
	for (size_t i = json_array_size(names); i > 0; i--) {
		if (!match_name(f, json_string_value(json_array_get(names, i - 1)))) {
			json_array_remove(names, i - 1);
		}
	}
}

/* With reference=, an image shows only the names that were asked for; without one of them it is not
 * in the list. */
static bool narrow_names(json_t *row, const struct filters *f)
{
	json_t *tags = json_object_get(row, "RepoTags");
	json_t *digests = json_object_get(row, "RepoDigests");
	if (!filters_has(f, "reference")) {
		return true;
	}
	keep_matches(tags, f);
	keep_matches(digests, f);
	return json_array_size(tags) + json_array_size(digests) > 0;
}

struct image_bounds {
	bool dangling;
	int64_t before_ns, since_ns; /* neither is in the list */
};

static int creation_bound(
	struct call *c, const struct filters *f, const char *key, int64_t *ret, struct err *e)
{
	const char *name;
	for (size_t k = 0; (name = filters_value(f, key, k)); k++) {
		const struct image *i = image_find(c->api->d.images, name, e);
		if (!i) {
			return -1;
		}
		int64_t ns = created_ns(i);
		bool narrower = *key == 'b' ? ns < *ret : ns > *ret;
		*ret = narrower ? ns : *ret;
	}
	return 0;
}

/* Of a list, unlike of a prune, there may be several. */
static int until_bound(const struct filters *f, int64_t *ret, struct err *e)
{
	int64_t ns;
	for (size_t k = 0; filters_value(f, "until", k); k++) {
		if (filters_until_nth(f, k, clock_real_ns(), &ns, e) < 0) {
			return -1;
		}
		*ret = ns < *ret ? ns : *ret;
	}
	return 0;
}

static int check_patterns(const struct filters *f, struct err *e)
{
	const char *pattern;
	for (size_t i = 0; (pattern = filters_value(f, "reference", i)); i++) {
		if (glob_check(pattern) < 0) {
			return err_set(e, ERR_INVALID, "syntax error in pattern");
		}
	}
	return 0;
}

static int read_bounds(
	struct call *c, const struct filters *f, struct image_bounds *b, struct err *e)
{
	*b = (struct image_bounds){.before_ns = INT64_MAX, .since_ns = -1};
	return filters_bool(f, "dangling", false, &b->dangling, e) < 0 ||
			       until_bound(f, &b->before_ns, e) < 0 || check_patterns(f, e) < 0 ||
			       creation_bound(c, f, "before", &b->before_ns, e) < 0 ||
			       creation_bound(c, f, "since", &b->since_ns, e) < 0
		       ? -1
		       : 0;
}

static bool matches(const struct filters *f, const struct image_bounds *b, const struct image *i)
{
	bool dangling = i->tags.n == 0;
	int64_t created = created_ns(i);
	return (!filters_has(f, "dangling") || dangling == b->dangling) &&
	       filters_match_labels(f, labels_of(i)) && created < b->before_ns &&
	       created > b->since_ns;
}

static int newest_first(const void *a, const void *b)
{
	int64_t x = created_ns(*(struct image *const *)a);
	int64_t y = created_ns(*(struct image *const *)b);
	return x < y ? 1 : x > y ? -1 : 0;
}

void images_sort(struct image **v, size_t n)
{
	if (n > 0) {
		qsort(v, n, sizeof(struct image *), newest_first);
	}
}

/* Before 1.43 an image without a name has the name "<none>:<none>", and an empty list is null. */
static void put_none_names(json_t *row)
{
	bool tags = json_array_size(json_object_get(row, "RepoTags")) > 0;
	bool digests = json_array_size(json_object_get(row, "RepoDigests")) > 0;
	if (!tags) {
		json_put(
			row, "RepoTags", digests ? json_null() : json_pack("[s]", "<none>:<none>"));
	}
	if (!digests) {
		json_put(
			row, "RepoDigests", tags ? json_null() : json_pack("[s]", "<none>@<none>"));
	}
}

static json_t *list_row(const struct call *c, const struct filters *f, const struct image *i)
{
	const struct api_deps *d = &c->api->d;
	json_t *row = shape_image_summary(d->images, i, NULL, c->version);
	if (!narrow_names(row, f)) {
		json_decref(row);
		return NULL;
	}
	if (c->version < 43) {
		put_none_names(row);
	}
	if (c->version >= 42 && call_query_bool(c, "shared-size", false)) {
		json_put(row, "SharedSize", json_integer(image_shared_bytes(d->images, i)));
	}
	return row;
}

/* The filters, and what was one before 1.41: ?filter=NAME. */
static struct filters *read_list_filters(struct call *c, struct err *e)
{
	static const char *const allowed[] = {
		"before", "dangling", "label", "reference", "since", "until", NULL};
	struct filters *f = filters_read(c, allowed, e);
	const char *old = c->version < 41 ? call_query_or(c, "filter", NULL) : NULL;
	if (f && old) {
		filters_add(f, "reference", old);
	}
	return f;
}

void images_list(struct call *c)
{
	const struct api_deps *d = &c->api->d;
	struct err e;
	struct image_bounds bounds;
	scoped(filters) struct filters *f = read_list_filters(c, &e);
	if (!f || read_bounds(c, f, &bounds, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	scoped(free) struct image **found = NULL;
	size_t n = 0;
	size_t pos = 0;
	/* as dockerd: who asks for the dangling ones gets no intermediate ones with them */
	bool all = call_query_bool(c, "all", false) && !filters_has(f, "dangling");
	for (struct image *i; (i = image_next(d->images, &pos));) {
		if ((all || !image_is_intermediate(d->images, i)) && matches(f, &bounds, i)) {
			found = xrealloc(found, n + 1, sizeof(struct image *));
			found[n++] = i;
		}
	}
	images_sort(found, n);
	json_t *rows = json_array();
	for (size_t i = 0; i < n; i++) {
		json_t *row = list_row(c, f, found[i]);
		if (row) {
			json_array_append_new(rows, row);
		}
	}
	call_reply_json(c, 200, rows);
}

/* Docker's image Config has members that the OCI one leaves out; clients read them without asking.
 */
static json_t *docker_config(const struct image *i)
{
	static const char *const texts[] = {
		"Hostname", "Domainname", "User", "Image", "WorkingDir"};
	static const char *const flags[] = {
		"AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"};
	static const char *const lists[] = {
		"Env", "Cmd", "Volumes", "Entrypoint", "OnBuild", "Labels"};
	json_t *o = json_object();
	for (size_t k = 0; k < sizeof(texts) / sizeof(*texts); k++) {
		json_put_str(o, texts[k], "");
	}
	for (size_t k = 0; k < sizeof(flags) / sizeof(*flags); k++) {
		json_put(o, flags[k], json_false());
	}
	for (size_t k = 0; k < sizeof(lists) / sizeof(*lists); k++) {
		json_put(o, lists[k], json_null());
	}
	json_t *config = json_object_get(i->config, "config");
	if (json_is_object(config)) {
		json_object_update(o, config);
	}
	return o;
}

/* Its own, or that of its last step. */
static const char *comment_of(const struct image *i)
{
	const json_t *history = json_object_get(i->config, "history");
	size_t n = json_array_size(history);
	const char *own = json_str(i->config, "comment");
	return *own || n == 0 ? own : json_str(json_array_get(history, n - 1), "comment");
}

/* Our own: what is wrong with its layers. Left out when nothing is. */
static void put_damage(const struct image_store *s, const struct image *i, json_t *o)
{
	for (size_t k = 0; k < i->layers.n; k++) {
		const char *reason = image_layer_damage(s, i->layers.v[k]);
		json_t *list = json_object_get(o, "WherryDamage");
		if (reason && !list) {
			json_put(o, "WherryDamage", list = json_array());
		}
		if (reason) {
			json_array_append_new(list,
				json_pack("{ss ss}", "Layer", i->layers.v[k], "Reason", reason));
		}
	}
}

static json_t *docker_inspect(const struct call *c, const struct image *i)
{
	const int api_version = c->version;
	char now[CLOCK_TEXT_MAX];
	json_t *o = json_object();
	json_put_str(o, "Id", i->id);
	json_put(o, "RepoTags", sorted_names(&i->tags));
	json_put(o, "RepoDigests", sorted_names(&i->digests));
	json_put_str(o, "Parent", parent_of(c->api->d.images, i));
	json_put_str(o, "Comment", comment_of(i));
	json_put_str(o, "Created", clock_format(created_ns(i), now));
	json_put_str(o, "DockerVersion", json_str(i->config, "docker_version"));
	json_put_str(o, "Author", json_str(i->config, "author"));
	json_put(o, "Config", docker_config(i));
	/* dockerd leaves it out since 1.45, and docker-compose 1.29 fails there when it recreates
	 */
	json_put(o, "ContainerConfig", docker_config(i));
	if (api_version < 45 && *json_str(i->config, "container")) {
		json_put_str(o, "Container", json_str(i->config, "container"));
	}
	json_put_str(o, "Architecture", json_str(i->config, "architecture"));
	if (*json_str(i->config, "variant")) {
		json_put_str(o, "Variant", json_str(i->config, "variant"));
	}
	json_put_str(o, "Os", json_str(i->config, "os"));
	json_put(o, "Size", json_integer(i->size_bytes));
	if (api_version < 44) {
		json_put(o, "VirtualSize", json_integer(i->size_bytes));
	}
	json_put(o, "GraphDriver", json_pack("{sn ss}", "Data", "Name", "overlay2"));
	json_put(o, "RootFS",
		json_pack("{ss so}", "Type", "layers", "Layers", json_strv(&i->layers)));
	json_t *signatures = image_trust_shown(c->api->d.images, i);
	if (json_array_size(signatures) > 0) { /* ours; only where Docker has nothing like it */
		json_put(o, "WherrySignatures", json_incref(signatures));
	}
	json_decref(signatures);
	put_damage(c->api->d.images, i, o);
	json_put(o, "Metadata",
		json_pack("{ss}", "LastTagTime",
			i->tagged_ns ? clock_format(i->tagged_ns, now) : "0001-01-01T00:00:00Z"));
	return o;
}

void images_inspect(struct call *c)
{
	struct image *i = find(c);
	if (i) {
		call_reply_json(c, 200, docker_inspect(c, i));
	}
}

/* history[] of the configuration has the oldest first and marks steps without a layer; the API
 * wants the newest first with sizes. */
static json_t *history_rows(struct call *c, const struct image *i)
{
	json_t *rows = json_array();
	size_t layer = 0;
	size_t index;
	json_t *step;
	json_array_foreach (json_object_get(i->config, "history"), index, step) {
		int64_t bytes = 0;
		if (!json_bool(step, "empty_layer") && layer < i->layers.n) {
			image_has_layer(c->api->d.images, i->layers.v[layer++], &bytes);
		}
		int64_t ns = 0;
		clock_parse(json_str(step, "created"), &ns);
		json_array_insert_new(rows, 0,
			json_pack("{ss sI ss ss sI sn}", "Comment", json_str(step, "comment"),
				"Created", (json_int_t)(ns / NS_PER_SEC), "CreatedBy",
				json_str(step, "created_by"), "Id", "<missing>", "Size",
				(json_int_t)bytes, "Tags"));
	}
	json_t *newest = json_array_get(rows, 0);
	if (newest) {
		json_put_str(newest, "Id", i->id);
		json_put(newest, "Tags", i->tags.n ? sorted_names(&i->tags) : json_null());
	}
	return rows;
}

void images_history(struct call *c)
{
	struct image *i = find(c);
	if (i) {
		call_reply_json(c, 200, history_rows(c, i));
	}
}

void images_tag(struct call *c)
{
	struct err e;
	scoped(free) char *reference =
		reference_join(call_query_or(c, "repo", ""), call_query(c, "tag"), &e);
	if (!reference) {
		call_reply_error(c, &e);
		return;
	}
	if (text_starts(reference, "sha256:")) {
		err_set(&e, ERR_INVALID,
			"refusing to create an ambiguous tag using digest algorithm as name");
		call_reply_error(c, &e);
		return;
	}
	struct image *i = image_find(c->api->d.images, c->args[0], &e);
	if (!i) {
		e.kind = ERR_NOT_FOUND; /* also for what is no name at all, as in dockerd */
		call_reply_error(c, &e);
		return;
	}
	const struct image_index *x = image_index_find(c->api->d.images, c->args[0]);
	if ((x ? image_tag_index(c->api->d.images, x, reference, &e)
	       : image_tag(c->api->d.images, i, reference, &e)) < 0) {
		call_reply_error(c, &e);
		return;
	}
	call_reply_empty(c, 201);
}

/* An image_use_fn: "running", "stopped" or NULL. */
static const char *use_of(void *owner, const char *image_id, char ret_container_short_id[static 13])
{
	const struct container_set *s = owner;
	const char *id = container_using_image(s, image_id, true);
	const char *use = id ? "running" : "stopped";
	id = id ? id : container_using_image(s, image_id, false);
	if (!id) {
		return NULL;
	}
	snprintf(ret_container_short_id, ID_SHORT_LEN + 1, "%.12s", id);
	return use;
}

void images_remove(struct call *c)
{
	const struct api_deps *d = &c->api->d;
	struct err e;
	json_t *changes;
	const struct image_remove_query query = {call_query_bool(c, "force", false),
		call_query_bool(c, "noprune", false), use_of, d->containers};
	if (!c->args[0][strspn(c->args[0], " \t")]) {
		err_set(&e, ERR_INVALID, "image name cannot be blank");
		call_reply_error(c, &e);
		return;
	}
	if (image_remove(d->images, c->args[0], &query, &changes, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	call_reply_json(c, 200, changes);
}

struct prune_query {
	const struct filters *filters;
	int64_t until_ns;
};

/* An image_wanted_fn. */
static bool prunable(void *owner, const struct image *i)
{
	const struct prune_query *q = owner;
	return filters_match_labels(q->filters, labels_of(i)) && created_ns(i) <= q->until_ns;
}

void images_prune(struct call *c)
{
	static const char *const allowed[] = {"dangling", "label", "label!", "until", NULL};
	const struct api_deps *d = &c->api->d;
	struct err e;
	bool dangling;
	json_t *changes;
	int64_t bytes;
	struct prune_query q;
	scoped(filters) struct filters *f = filters_read(c, allowed, &e);
	if (!f || filters_bool(f, "dangling", true, &dangling, &e) < 0 ||
		filters_until(f, clock_real_ns(), &q.until_ns, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	q.filters = f;
	const struct image_prune_query query = {!dangling, prunable, &q, use_of, d->containers};
	if (image_prune(d->images, &query, &changes, &bytes, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	call_publish_prune(c, "image", bytes);
	call_reply_json(c, 200,
		json_pack("{so sI}", "ImagesDeleted", json_array_or_null(changes), "SpaceReclaimed",
			(json_int_t)bytes));
}
