/* GET /containers/json: the rows and their filters. */
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/filters.h"
#include "api/handlers.h"
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
	"is-task", "isolation", "label", "label!", "name", "network", "publish", "since", "status",
	"volume", NULL};

/* status=..., checked once so that a typing error is not an empty list. */
static int check_status_filter(const struct filters *f, struct err *e)
{
	const char *value;
	for (size_t i = 0; (value = filters_value(f, "status", i)); i++) {
		bool known = false;
		for (size_t s = 0; s < CONTAINER_STATE_MAX; s++) {
			known = known || strcmp(state_words[s], value) == 0;
		}
		if (!known) {
			return err_set(e, ERR_INVALID, "invalid filter 'status=%.32s'", value);
		}
	}
	for (size_t i = 0; (value = filters_value(f, "exited", i)); i++) {
		int code;
		if (parse_int(value, 0, 255, &code) < 0) {
			return err_set(e, ERR_INVALID, "invalid filter 'exited=%.32s'", value);
		}
	}
	return 0;
}

/* name= matches with and without the leading slash, so that both "^web$" and "^/web$" find it. */
static bool match_container_name(const struct filters *f, const char *name)
{
	scoped(free) char *slashed = xasprintf("/%s", name);
	return filters_match_name(f, "name", name) || filters_match_name(f, "name", slashed);
}

static bool match_ancestor(struct call *c, const struct filters *f, const struct container *k)
{
	const char *value;
	if (!filters_has(f, "ancestor")) {
		return true;
	}
	for (size_t i = 0; (value = filters_value(f, "ancestor", i)); i++) {
		struct err ignored;
		const struct image *img = image_find(c->api->d.images, value, &ignored);
		if (img && strcmp(img->id, container_image_id(k)) == 0) {
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
	return container_state(k) == CONTAINER_EXITED && filters_match(f, "exited", code);
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

/* publish=80, publish=80/tcp: public ports; expose: container ports. */
static bool match_port(
	const struct filters *f, const char *key, const char *member, const json_t *row)
{
	if (!filters_has(f, key)) {
		return true;
	}
	size_t i;
	json_t *p;
	json_array_foreach (json_object_get(row, "Ports"), i, p) {
		char plain[16];
		char typed[32];
		snprintf(plain, sizeof(plain), "%d", (int)json_i64(p, member, 0));
		snprintf(typed, sizeof(typed), "%s/%.8s", plain, json_str(p, "Type"));
		if (filters_match(f, key, plain) || filters_match(f, key, typed)) {
			return true;
		}
	}
	return false;
}

static bool match_health(const struct filters *f, const json_t *row)
{
	static const char *const words[] = {"healthy", "unhealthy", "starting"};
	if (!filters_has(f, "health")) {
		return true;
	}
	const char *status = json_str(row, "Status");
	for (size_t i = 0; i < 3; i++) {
		scoped(free) char *shown = xasprintf("(%s%s)", i == 2 ? "health: " : "", words[i]);
		if (strstr(status, shown)) {
			return filters_match(f, "health", words[i]);
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
	       match_ancestor(c, f, k);
}

static bool match_row(const struct filters *f, const json_t *row)
{
	return match_network(f, row) && match_volume(f, row) &&
	       match_port(f, "publish", "PublicPort", row) &&
	       match_port(f, "expose", "PrivatePort", row) && match_health(f, row);
}

static int newest_first(const void *a, const void *b)
{
	json_int_t x = json_integer_value(json_object_get(*(json_t *const *)a, "Created"));
	json_int_t y = json_integer_value(json_object_get(*(json_t *const *)b, "Created"));
	return x < y ? 1 : x > y ? -1 : 0;
}

/* before=NAME and since=NAME compare creation times; a container that is not there is an error, as
 * in dockerd. */
static int creation_bound(
	struct call *c, const struct filters *f, const char *key, int64_t *ret, struct err *e)
{
	const char *name = filters_value(f, key, 0);
	if (!name) {
		return 0;
	}
	struct container *k = container_find(c->api->d.containers, name, e);
	if (!k) {
		return -1;
	}
	scoped(json) json_t *row = container_summary(k, false, 0);
	*ret = json_i64(row, "Created", 0);
	return 0;
}

static int list_rows(
	struct call *c, const struct filters *f, bool all, bool size, json_t *rows, struct err *e)
{
	int64_t before = INT64_MAX;
	int64_t since = -1;
	if (check_status_filter(f, e) < 0 || creation_bound(c, f, "before", &before, e) < 0 ||
		creation_bound(c, f, "since", &since, e) < 0) {
		return -1;
	}
	all = all || filters_has(f, "status") || filters_has(f, "exited") ||
	      filters_has(f, "before") || filters_has(f, "since");
	int64_t now = clock_real_ns();
	size_t pos = 0;
	for (struct container *k; (k = container_next(c->api->d.containers, &pos));) {
		bool shown = all || container_is_running(k) ||
			     container_state(k) == CONTAINER_RESTARTING;
		if (!shown || !match_facts(c, f, k)) {
			continue;
		}
		scoped(json) json_t *row = container_summary(k, size, now);
		int64_t created = json_i64(row, "Created", 0);
		if (match_row(f, row) && created < before && created > since) {
			json_array_append(rows, row);
		}
	}
	return 0;
}

/* Newest first, at most limit of them (limit <= 0: all). */
static json_t *sorted(const json_t *rows, int limit)
{
	size_t n = json_array_size(rows);
	scoped(free) json_t **order = xnew_array(json_t *, n);
	for (size_t i = 0; i < n; i++) {
		order[n - 1 - i] = json_array_get(
			rows, i); /* qsort of glibc is stable: the later of equals first */
	}
	qsort(order, n, sizeof(json_t *), newest_first);
	json_t *out = json_array();
	for (size_t i = 0; i < n && (limit <= 0 || i < (size_t)limit); i++) {
		json_array_append(out, order[i]);
	}
	return out;
}

void containers_list(struct call *c)
{
	struct err e;
	int limit;
	if (call_query_int(c, "limit", 0, &limit, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	scoped(filters) struct filters *f = filters_read(c, list_filters, &e);
	scoped(json) json_t *rows = json_array();
	bool all = call_query_bool(c, "all", false) || limit > 0;
	if (!f || list_rows(c, f, all, call_query_bool(c, "size", false), rows, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	call_reply_json(c, 200, sorted(rows, limit));
}
