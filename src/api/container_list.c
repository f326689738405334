/* GET /containers/json: the rows and their filters. */
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/filters.h"
#include "api/handlers.h"
#include "api/measure.h"
#include "api/shapes.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/text.h"
#include "container/container.h"
#include "image/image.h"

static const char *const state_words[CONTAINER_STATE_MAX] = {
	[CONTAINER_CREATED] = "created",
	[CONTAINER_STARTING] = "created",
	[CONTAINER_RUNNING] = "running",
	[CONTAINER_PAUSED] = "paused",
	[CONTAINER_STOPPING] = "running",
	[CONTAINER_RESTARTING] = "restarting",
	[CONTAINER_EXITED] = "exited",
	[CONTAINER_DEAD] = "dead",
	[CONTAINER_REMOVING] = "removing",
};

static const char *const list_filters[] = {"ancestor", "before", "exited", "expose", "health", "id",
	"is-task", "isolation", "label", "name", "network", "publish", "since", "status", "volume",
	NULL};
static const char *const health_words[] = {"starting", "healthy", "unhealthy", "none"};

static bool is_state(const char *word)
{
	for (size_t i = 0; i < CONTAINER_STATE_MAX; i++) {
		if (strcmp(state_words[i], word) == 0) {
			return true;
		}
	}
	return false;
}

static bool is_health(const char *word)
{
	for (size_t i = 0; i < sizeof(health_words) / sizeof(*health_words); i++) {
		if (strcmp(health_words[i], word) == 0) {
			return true;
		}
	}
	return false;
}

/* "80", "80/tcp", "8000-8100/udp" */
struct port_range {
	int first, last;
	char protocol[8];
};

static int read_port_range(const char *key, const char *text, struct port_range *ret, struct err *e)
{
	const char *slash = strchrnul(text, '/');
	scoped(free) char *numbers = xstrndup(text, (size_t)(slash - text));
	char *dash = strchr(numbers, '-');
	if (dash) {
		*dash++ = '\0';
	}
	snprintf(ret->protocol, sizeof(ret->protocol), "%s", *slash ? slash + 1 : "tcp");
	if (parse_int(numbers, 0, UINT16_MAX, &ret->first) < 0 ||
		parse_int(dash ? dash : numbers, ret->first, UINT16_MAX, &ret->last) < 0) {
		return err_set(e, ERR_INVALID,
			"error while looking up for %s %.64s: it is no port and no range of ports",
			key, text);
	}
	return 0;
}

static int check_ports(const struct filters *f, const char *key, struct err *e)
{
	struct port_range range;
	const char *value;
	for (size_t i = 0; (value = filters_value(f, key, i)); i++) {
		if (read_port_range(key, value, &range, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* Values are checked once, so that a typing error is not an empty list. */
static int check_filters(const struct filters *f, struct err *e)
{
	const char *value;
	for (size_t i = 0; (value = filters_value(f, "status", i)); i++) {
		if (!is_state(value)) {
			return err_set(e, ERR_INVALID, "invalid filter 'status=%.32s'", value);
		}
	}
	for (size_t i = 0; (value = filters_value(f, "health", i)); i++) {
		if (!is_health(value)) {
			return err_set(e, ERR_INVALID,
				"unrecognized filter value for health: %.32s", value);
		}
	}
	for (size_t i = 0; (value = filters_value(f, "exited", i)); i++) {
		int code;
		if (parse_int(value, INT32_MIN, INT32_MAX, &code) < 0) {
			return err_set(e, ERR_INVALID,
				"invalid filter 'exited=%.32s': it is not a number", value);
		}
	}
	return check_ports(f, "expose", e) < 0 || check_ports(f, "publish", e) < 0 ? -1 : 0;
}

/* name= matches with and without the leading slash, so that both "^web$" and "^/web$" find it. */
static bool match_container_name(const struct filters *f, const char *name)
{
	scoped(free) char *slashed = xasprintf("/%s", name);
	return filters_match_name(f, "name", name) || filters_match_name(f, "name", slashed);
}

/* An image descends from another when it has all of its layers below its own. */
static bool descends(const struct image *img, const struct image *from)
{
	if (strcmp(img->id, from->id) == 0) {
		return true;
	}
	if (from->layers.n == 0 || img->layers.n < from->layers.n) {
		return false;
	}
	for (size_t i = 0; i < from->layers.n; i++) {
		if (strcmp(img->layers.v[i], from->layers.v[i]) != 0) {
			return false;
		}
	}
	return true;
}

static bool match_ancestor(struct call *c, const struct filters *f, const struct container *k)
{
	if (!filters_has(f, "ancestor")) {
		return true;
	}
	struct err ignored;
	const struct image *own = image_find(c->api->d.images, container_image_id(k), &ignored);
	const char *value;
	for (size_t i = 0; (value = filters_value(f, "ancestor", i)); i++) {
		const struct image *img = image_find(c->api->d.images, value, &ignored);
		if (img && (strcmp(img->id, container_image_id(k)) == 0 ||
				   (own && descends(own, img)))) {
			return true;
		}
	}
	return false;
}

static bool match_exit(const struct filters *f, const struct container *k)
{
	if (!filters_has(f, "exited")) {
		return true;
	}
	char code[16];
	snprintf(code, sizeof(code), "%d", container_exit_code(k));
	return !container_is_running(k) && container_was_started(k) &&
	       filters_match(f, "exited", code);
}

static bool has_key_or(const json_t *o, const char *key_or_id, const char *id_member)
{
	if (json_object_get(o, key_or_id)) {
		return true;
	}
	const char *key;
	json_t *v;
	json_object_foreach ((json_t *)o, key, v) {
		const char *id = json_str(v, id_member);
		if (*id && text_starts(id, key_or_id)) {
			return true;
		}
	}
	return false;
}

static bool match_network(const struct filters *f, const json_t *row)
{
	const json_t *networks =
		json_object_get(json_object_get(row, "NetworkSettings"), "Networks");
	const char *value;
	for (size_t i = 0; (value = filters_value(f, "network", i)); i++) {
		if (has_key_or(networks, value, "NetworkID")) {
			return true;
		}
	}
	return !filters_has(f, "network");
}

static bool match_volume(const struct filters *f, const json_t *row)
{
	if (!filters_has(f, "volume")) {
		return true;
	}
	size_t i;
	json_t *m;
	json_array_foreach (json_object_get(row, "Mounts"), i, m) {
		if (filters_match(f, "volume", json_str(m, "Name")) ||
			filters_match(f, "volume", json_str(m, "Source")) ||
			filters_match(f, "volume", json_str(m, "Destination"))) {
			return true;
		}
	}
	return false;
}

static bool in_ranges(const struct filters *f, const char *key, int64_t port, const char *protocol)
{
	struct port_range range;
	struct err ignored;
	const char *value;
	for (size_t i = 0; (value = filters_value(f, key, i)); i++) {
		if (read_port_range(key, value, &range, &ignored) == 0 && port >= range.first &&
			port <= range.last && strcmp(protocol, range.protocol) == 0) {
			return true;
		}
	}
	return false;
}

/* publish: the host's ports; expose: the container's. */
static bool match_published(const struct filters *f, const json_t *row)
{
	size_t i;
	json_t *p;
	json_array_foreach (json_object_get(row, "Ports"), i, p) {
		int64_t port = json_i64(p, "PublicPort", -1);
		if (in_ranges(f, "publish", port, json_str(p, "Type"))) {
			return true;
		}
	}
	return !filters_has(f, "publish");
}

static bool match_exposed(const struct filters *f, const struct container *k)
{
	const char *key;
	json_t *v;
	json_object_foreach (json_object_get(container_config(k), "ExposedPorts"), key, v) {
		const char *slash = strchrnul(key, '/');
		if (in_ranges(f, "expose", strtol(key, NULL, 10), *slash ? slash + 1 : "tcp")) {
			return true;
		}
	}
	return !filters_has(f, "expose");
}

static bool match_health(const struct filters *f, const json_t *row)
{
	if (!filters_has(f, "health")) {
		return true;
	}
	const char *status = json_str(row, "Status");
	for (size_t i = 0; i < 3; i++) {
		scoped(free) char *shown =
			xasprintf("(%s%s)", i == 0 ? "health: " : "", health_words[i]);
		if (strstr(status, shown)) {
			return filters_match(f, "health", health_words[i]);
		}
	}
	return filters_match(f, "health", "none");
}

/* The cheap filters, answered before a row is made. */
static bool match_facts(struct call *c, const struct filters *f, const struct container *k)
{
	return filters_match_prefix(f, "id", container_id(k)) &&
	       match_container_name(f, container_name(k)) &&
	       filters_match(f, "status", state_words[container_state(k)]) &&
	       filters_match_labels(f, container_labels(k)) && match_exit(f, k) &&
	       match_exposed(f, k) && match_ancestor(c, f, k);
}

static bool match_row(const struct filters *f, const json_t *row)
{
	return match_network(f, row) && match_volume(f, row) && match_published(f, row) &&
	       match_health(f, row);
}

/* What of a list is shown, besides the filters on a container's own facts. */
struct list_query {
	bool all;
	bool no_task; /* is-task=true: there are none */
	int limit;
	int64_t before_ns, since_ns; /* times of creation; exclusive */
};

/* before=NAME and since=NAME: a container that is not there is an error, as in dockerd. */
static int creation_bound(
	struct call *c, const struct filters *f, const char *key, int64_t *ret, struct err *e)
{
	const char *name;
	for (size_t i = 0; (name = filters_value(f, key, i)); i++) {
		struct container *k = container_find(c->api->d.containers, name, e);
		if (!k) {
			return -1;
		}
		*ret = container_created_ns(k);
	}
	return 0;
}

static int read_query(struct call *c, const struct filters *f, struct list_query *q, struct err *e)
{
	*q = (struct list_query){.before_ns = INT64_MAX, .since_ns = -1};
	if (call_query_int(c, "limit", 0, &q->limit, e) < 0 || check_filters(f, e) < 0 ||
		filters_bool(f, "is-task", false, &q->no_task, e) < 0 ||
		creation_bound(c, f, "before", &q->before_ns, e) < 0 ||
		creation_bound(c, f, "since", &q->since_ns, e) < 0) {
		return -1;
	}
	q->all = call_query_bool(c, "all", false) || q->limit > 0 || filters_has(f, "status");
	return 0;
}

static bool matches(struct call *c, const struct filters *f, const struct list_query *q,
	const struct container *k)
{
	int64_t created = container_created_ns(k);
	bool shown =
		q->all || container_is_running(k) || container_state(k) == CONTAINER_RESTARTING;
	return shown && !q->no_task && created < q->before_ns && created > q->since_ns &&
	       match_facts(c, f, k);
}

static int newest_first(const void *a, const void *b)
{
	int64_t x = container_created_ns(*(struct container *const *)a);
	int64_t y = container_created_ns(*(struct container *const *)b);
	return x < y ? 1 : x > y ? -1 : 0;
}

/* The containers that match, newest first; *ret is the caller's. */
static size_t find_all(struct call *c, const struct filters *f, const struct list_query *q,
	struct container ***ret)
{
	const struct container_set *set = c->api->d.containers;
	struct container **found = xnew_array(struct container *, container_count(set) + 1);
	size_t n = 0;
	size_t pos = 0;
	for (struct container *k; (k = container_next(set, &pos));) {
		if (matches(c, f, q, k)) {
			found[n++] = k;
		}
	}
	qsort(found, n, sizeof(struct container *), newest_first);
	*ret = found;
	return n;
}

json_t *shape_container_unsized(const struct container *k, int64_t now_ns)
{
	json_t *row = container_summary(k, now_ns);
	json_put(row, "SizeRootFs", json_integer(container_image_bytes(k)));
	return row;
}

void shape_container_size(json_t *row, int64_t written_bytes)
{
	if (written_bytes > 0) {
		json_put(row, "SizeRw", json_integer(written_bytes));
	}
	json_put(row, "SizeRootFs", json_integer(json_i64(row, "SizeRootFs", 0) + written_bytes));
}

static void list_sized(struct call *c, json_t *take_rows, const json_t *sizes)
{
	size_t i;
	json_t *row;
	json_array_foreach (take_rows, i, row) {
		shape_container_size(row, json_integer_value(json_array_get(sizes, i)));
	}
	call_reply_json(c, 200, take_rows);
}

void containers_list(struct call *c)
{
	struct err e;
	struct list_query q;
	scoped(filters) struct filters *f = filters_read(c, list_filters, &e);
	if (!f || read_query(c, f, &q, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	scoped(free) struct container **found = NULL;
	size_t n = find_all(c, f, &q, &found);
	bool size = call_query_bool(c, "size", false);
	int64_t now = clock_real_ns();
	json_t *rows = json_array();
	json_t *paths = json_array();
	for (size_t i = 0; i < n && (q.limit <= 0 || json_array_size(rows) < (size_t)q.limit);
		i++) {
		scoped(json) json_t *row = size ? shape_container_unsized(found[i], now)
						: container_summary(found[i], now);
		if (match_row(f, row)) {
			scoped(free) char *upper = container_upper(found[i]);
			json_array_append_new(paths, json_string(upper));
			json_array_append(rows, row);
		}
	}
	if (size) {
		measure(c, paths, rows, list_sized);
		return;
	}
	json_decref(paths);
	call_reply_json(c, 200, rows);
}
