#include <string.h>

#include "api/call.h"
#include "api/filters.h"
#include "api/handlers.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/strv.h"
#include "container/container.h"
#include "network/network.h"

static struct network *find(struct call *c)
{
	struct err e;
	struct network *w = network_find(c->api->d.networks, c->args[0], &e);
	if (!w) {
		call_reply_error(c, &e);
	}
	return w;
}

static bool is_predefined(const struct network *w)
{
	static const char *const names[] = {"bridge", "host", "none"};
	for (size_t i = 0; i < 3; i++) {
		if (strcmp(network_name(w), names[i]) == 0) {
			return true;
		}
	}
	return false;
}

static bool matches(const struct filters *f, const struct network *w, const json_t *row)
{
	return filters_match_name(f, "name", network_name(w)) &&
	       filters_match_prefix(f, "id", network_id(w)) &&
	       filters_match(f, "driver", json_str(row, "Driver")) &&
	       filters_match(f, "scope", json_str(row, "Scope")) &&
	       filters_match(f, "type", is_predefined(w) ? "builtin" : "custom") &&
	       filters_match_labels(f, json_object_get(row, "Labels"));
}

/* In the words of moby's network filters, which are not those of the others. */
static int check_filters(const struct filters *f, bool *ret_dangling, struct err *e)
{
	struct err ignored;
	if (filters_bool(f, "dangling", false, ret_dangling, &ignored) < 0) {
		return err_set(e, ERR_INVALID,
			"invalid value for filter 'dangling', must be \"true\" (or \"1\"), or \"false\" "
			"(or \"0\")");
	}
	const char *type;
	for (size_t i = 0; (type = filters_value(f, "type", i)); i++) {
		if (strcmp(type, "builtin") != 0 && strcmp(type, "custom") != 0) {
			return err_set(e, ERR_INVALID, "invalid filter: 'type'='%.64s'", type);
		}
	}
	return 0;
}

void networks_list(struct call *c)
{
	static const char *const allowed[] = {
		"dangling", "driver", "id", "label", "name", "scope", "type", NULL};
	struct err e;
	bool dangling;
	scoped(filters) struct filters *f = filters_read(c, allowed, &e);
	if (!f || check_filters(f, &dangling, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	json_t *rows = json_array();
	size_t pos = 0;
	for (struct network *w; (w = network_next(c->api->d.networks, &pos));) {
		scoped(json) json_t *row = network_inspect(w);
		bool unused = json_object_size(json_object_get(row, "Containers")) == 0 &&
			      !is_predefined(w);
		if (!matches(f, w, row) || (filters_has(f, "dangling") && unused != dangling)) {
			continue;
		}
		if (c->version >= 28) { /* since then the list does not name them */
			json_put(row, "Containers", json_object());
		}
		json_array_append(rows, row);
	}
	call_reply_json(c, 200, rows);
}

void networks_inspect(struct call *c)
{
	static const char *const words[] = {
		"1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"};
	const char *verbose = call_query_or(c, "verbose", NULL); /* says more about swarms only */
	bool known = !verbose;
	for (size_t i = 0; !known && i < sizeof(words) / sizeof(*words); i++) {
		known = strcmp(words[i], verbose) == 0;
	}
	if (!known) {
		struct err e;
		err_set(&e, ERR_INVALID, "invalid value for verbose: %.64s", verbose);
		call_reply_error(c, &e);
		return;
	}
	struct network *w = find(c);
	if (!w) {
		return;
	}
	if (strcmp(call_query_or(c, "scope", "local"), "local") != 0) { /* ours are all local */
		struct err e;
		err_set(&e, ERR_NOT_FOUND, "network %.200s not found", c->args[0]);
		call_reply_error(c, &e);
		return;
	}
	call_reply_json(c, 200, network_inspect(w));
}

static void create_with(struct call *c, const json_t *body)
{
	struct err e;
	struct network *w = network_create(c->api->d.networks, body, &e);
	if (!w) {
		call_reply_error(c, &e);
		return;
	}
	call_reply_json(c, 201, json_pack("{ss ss}", "Id", network_id(w), "Warning", ""));
}

void networks_create(struct call *c)
{
	call_body_json(c, true, create_with);
}

void networks_remove(struct call *c)
{
	struct err e;
	struct network *w = find(c);
	if (!w) {
		return;
	}
	if (network_remove(c->api->d.networks, w, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	call_reply_empty(c, 204);
}

/* {"Container": "x", "EndpointConfig": {...}} and {"Container": "x", "Force": true} */
static void change(struct call *c, const json_t *body, bool connect)
{
	struct err e;
	const char *name;
	json_t *config;
	bool force;
	struct network *w = find(c);
	if (!w) {
		return;
	}
	if (json_get_str(body, "Container", &name, &e) < 0 ||
		json_get_object(body, "EndpointConfig", &config, &e) < 0 ||
		json_get_bool(body, "Force", false, &force, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	if (!name || !*name) {
		err_set(&e, ERR_INVALID, "invalid name or ID supplied: \"\"");
		call_reply_error(c, &e);
		return;
	}
	struct container *k = container_find(c->api->d.containers, name, &e);
	if (!k && force && e.kind == ERR_NOT_FOUND) {
		err_set(&e, ERR_NOT_FOUND, "endpoint %.128s not found", name);
	}
	int r = !k        ? -1
		: connect ? container_connect(k, network_name(w), config, &e)
			  : container_disconnect(k, network_name(w), force, &e);
	if (r < 0) {
		call_reply_error(c, &e);
		return;
	}
	call_reply_empty(c, 200);
}

static void connect_with(struct call *c, const json_t *body)
{
	change(c, body, true);
}

static void disconnect_with(struct call *c, const json_t *body)
{
	change(c, body, false);
}

void networks_connect(struct call *c)
{
	call_body_json(c, true, connect_with);
}

void networks_disconnect(struct call *c)
{
	call_body_json(c, true, disconnect_with);
}

static bool is_prunable(const struct filters *f, const struct network *w, int64_t until_ns)
{
	scoped(json) json_t *row = network_inspect(w);
	int64_t created = 0;
	(void)clock_parse(json_str(row, "Created"), &created);
	return !is_predefined(w) && created <= until_ns &&
	       filters_match_labels(f, json_object_get(row, "Labels"));
}

void networks_prune(struct call *c)
{
	static const char *const allowed[] = {"label", "label!", "until", NULL};
	struct network_set *set = c->api->d.networks;
	struct err e;
	int64_t until_ns;
	scoped(filters) struct filters *f = filters_read(c, allowed, &e);
	if (!f || filters_until(f, clock_real_ns(), &until_ns, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	scoped(strv) struct strv doomed = STRV_INIT;
	size_t pos = 0;
	for (struct network *w; (w = network_next(set, &pos));) {
		if (is_prunable(f, w, until_ns)) {
			strv_add(&doomed, network_name(w));
		}
	}
	json_t *deleted = json_array();
	for (size_t i = 0; i < doomed.n; i++) {
		struct network *w = network_find(set, doomed.v[i], &e);
		if (w && network_remove(set, w, &e) == 0) { /* one in use refuses and stays */
			json_array_append_new(deleted, json_string(doomed.v[i]));
		}
	}
	call_publish_prune(c, "network", 0);
	call_reply_json(c, 200, json_pack("{so}", "NetworksDeleted", json_array_or_null(deleted)));
}
