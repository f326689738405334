#include "compose/canonical.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "base/text.h"
#include "compose/mount.h"
#include "compose/port.h"
#include "compose/words.h"
#include "device/spec.h"

typedef int convert_fn(struct tree *t, struct member *m, struct err *e);

/* Replaces the value of a member, keeping what a tag said about the old one. */
static void replace(struct member *m, struct node *value)
{
	value->tag = m->value->tag;
	m->value = value;
}

static bool is_written(const struct member *m)
{
	return m && m->value->kind != NODE_NULL;
}

/* environment, labels, args, sysctls, annotations: a mapping of texts; a name alone keeps null. */
static int to_pairs(struct tree *t, struct member *m, struct err *e)
{
	struct node *map = node_new(t, NODE_MAP, m->value);
	node_each (item, m->value) {
		const char *name = item->key;
		struct node *value = item->value;
		if (m->value->kind == NODE_MAP) {
			if (value->kind != NODE_NULL && value->kind != NODE_STR) {
				value->kind = NODE_STR;
			}
			node_put(t, map, name, value);
			continue;
		}
		const char *equal = strchr(value->text, '=');
		name = equal ? tree_strndup(t, value->text, (size_t)(equal - value->text))
			     : value->text;
		if (!*name || name[strlen(name) - 1] == ' ') {
			return node_err(e, value, "\"%s\": NAME=value is expected", value->text);
		}
		node_put(t, map, name,
			equal ? node_str(t, equal + 1, value) : node_new(t, NODE_NULL, value));
	}
	replace(m, map);
	return 0;
}

static int to_labels(struct tree *t, struct member *m, struct err *e)
{
	if (to_pairs(t, m, e) < 0) {
		return -1;
	}
	node_each (item, m->value) {
		if (item->value->tag == TAG_NONE) {
			item->value->kind = NODE_STR; /* null: an empty value */
		}
	}
	return 0;
}

static int to_list(struct tree *t, struct member *m, struct err *e)
{
	if (m->value->kind != NODE_LIST) {
		struct node *list = node_new(t, NODE_LIST, m->value);
		struct node *only = node_copy(t, m->value);
		only->tag = TAG_NONE;
		node_append(t, list, only);
		replace(m, list);
	}
	node_each (item, m->value) {
		if (node_is_scalar(item->value)) {
			item->value->kind = NODE_STR;
		}
	}
	return 0;
}

static int to_command(struct tree *t, struct member *m, struct err *e)
{
	if (m->value->kind == NODE_LIST) {
		return 0;
	}
	scoped(strv) struct strv words = STRV_INIT;
	struct err inner;
	if (words_split(m->value->text, &words, &inner) < 0) {
		return node_err(e, m->value, "%s: %s", m->key, inner.msg);
	}
	struct node *list = node_new(t, NODE_LIST, m->value);
	for (size_t i = 0; i < words.n; i++) {
		node_append(t, list, node_str(t, words.v[i], m->value));
	}
	replace(m, list);
	return 0;
}

static int compare_entries(const void *a, const void *b)
{
	return strcmp(
		((const struct member *)a)->value->text, ((const struct member *)b)->value->text);
}

/* Without the brackets of an IPv6 address. */
static void append_host(struct tree *t, struct node *list, const char *host, const struct node *ip)
{
	size_t n = strlen(ip->text);
	bool bracketed = n > 2 && ip->text[0] == '[' && ip->text[n - 1] == ']';
	const char *text =
		tree_printf(t, "%s=%.*s", host, (int)(bracketed ? n - 2 : n), ip->text + bracketed);
	node_append(t, list, node_str(t, text, ip));
}

/* "HOST:IP", "HOST=IP" or a mapping to one or several: a list of "HOST=IP". */
static int to_hosts(struct tree *t, struct member *m, struct err *e)
{
	struct node *list = node_new(t, NODE_LIST, m->value);
	node_each (item, m->value) {
		struct node *value = item->value;
		if (m->value->kind == NODE_LIST) {
			size_t n = strcspn(value->text, "=:");
			if (tree_is_variable(t, value)) {
				node_append(t, list, value);
				continue;
			}
			if (n == 0 || !value->text[n] || !value->text[n + 1]) {
				return node_err(e, value,
					"extra_hosts: \"%s\": HOST:IP is expected", value->text);
			}
			const char *ip = value->text + n + 1;
			size_t len = strlen(ip);
			bool bracketed = *ip == '[' && ip[len - 1] == ']';
			node_append(t, list,
				node_str(t,
					tree_printf(t, "%.*s=%.*s", (int)n, value->text,
						(int)(bracketed ? len - 2 : len), ip + bracketed),
					value));
			continue;
		}
		if (value->kind != NODE_LIST) {
			append_host(t, list, item->key, value);
		}
		node_each (ip, value) {
			append_host(t, list, item->key, ip->value);
		}
	}
	qsort(list->members, list->n, sizeof(*list->members), compare_entries);
	replace(m, list);
	return 0;
}

static int to_ports(struct tree *t, struct member *m, struct err *e)
{
	struct node *list = node_new(t, NODE_LIST, m->value);
	node_each (item, m->value) {
		if (tree_is_variable(t, item->value)) {
			node_append(t, list, item->value);
			continue;
		}
		if (item->value->kind != NODE_MAP) {
			if (port_expand(t, item->value, list, e) < 0) {
				return -1;
			}
			continue;
		}
		if (port_complete(t, item->value, e) < 0) {
			return -1;
		}
		node_append(t, list, item->value);
	}
	replace(m, list);
	return 0;
}

static int to_mounts(struct tree *t, struct member *m, struct err *e)
{
	node_each (item, m->value) {
		if (item->value->kind == NODE_MAP) {
			if (mount_complete(t, item->value, e) < 0) {
				return -1;
			}
			continue;
		}
		struct node *map = mount_expand(t, item->value, e);
		if (!map) {
			return -1;
		}
		item->value = map;
	}
	return 0;
}

/* A list of names as a mapping of the names to nothing or to empty mappings. */
static void name_list(struct tree *t, struct member *m, enum node_kind kind)
{
	if (m->value->kind != NODE_LIST) {
		return;
	}
	struct node *map = node_new(t, NODE_MAP, m->value);
	node_each (item, m->value) {
		node_put(t, map, item->value->text, node_new(t, kind, item->value));
	}
	replace(m, map);
}

static int to_named(struct tree *t, struct member *m, struct err *e)
{
	name_list(t, m, NODE_NULL);
	return 0;
}

static int to_depends(struct tree *t, struct member *m, struct err *e)
{
	bool listed = m->value->kind == NODE_LIST;
	name_list(t, m, NODE_MAP);
	node_each (item, m->value) {
		if (item->value->kind != NODE_MAP) {
			continue;
		}
		if (listed) {
			node_put(t, item->value, "condition",
				node_str(t, "service_started", item->value));
		}
		if (!node_get(item->value, "required")) {
			node_put(t, item->value, "required", node_bool(t, true, item->value));
		}
	}
	return 0;
}

static int to_env_files(struct tree *t, struct member *m, struct err *e)
{
	if (m->value->kind != NODE_LIST && to_list(t, m, e) < 0) {
		return -1;
	}
	node_each (item, m->value) {
		if (item->value->kind != NODE_MAP) {
			struct node *map = node_new(t, NODE_MAP, item->value);
			node_put(t, map, "path", item->value);
			item->value = map;
		}
		const char *format = node_text(item->value, "format");
		if (!node_text(item->value, "path")) {
			return node_err(e, item->value, "env_file needs path");
		}
		if (format && *format && strcmp(format, "raw") != 0) {
			return node_err(e, node_get(item->value, "format"),
				"format: raw is expected, not \"%s\"", format);
		}
		if (!node_get(item->value, "required")) {
			node_put(t, item->value, "required", node_bool(t, true, item->value));
		}
	}
	return 0;
}

static int to_device(struct tree *t, struct member *item, struct err *e)
{
	scoped(strv) struct strv parts = STRV_INIT;
	device_spec_split(item->value->text, &parts);
	if (parts.n == 0 || parts.n > 3 || !*parts.v[0]) {
		return node_err(e, item->value,
			"device \"%s\": SOURCE[:TARGET[:PERMISSIONS]] is expected",
			item->value->text);
	}
	bool permissions_only = parts.n == 2 && device_is_permissions(parts.v[1]);
	bool named = parts.n > 1 && !permissions_only && *parts.v[1];
	const char *target = named ? parts.v[1] : parts.v[0];
	const char *permissions = parts.n == 3 ? parts.v[2] : permissions_only ? parts.v[1] : "rwm";
	struct node *map = node_new(t, NODE_MAP, item->value);
	node_put(t, map, "source", node_str(t, parts.v[0], map));
	node_put(t, map, "target", node_str(t, target, map));
	node_put(t, map, "permissions", node_str(t, permissions, map));
	item->value = map;
	return 0;
}

static int to_devices(struct tree *t, struct member *m, struct err *e)
{
	node_each (item, m->value) {
		if (tree_is_variable(t, item->value)) {
			continue;
		}
		if (item->value->kind != NODE_MAP && to_device(t, item, e) < 0) {
			return -1;
		}
		const char *source = node_text(item->value, "source");
		const char *permissions = node_text(item->value, "permissions");
		if (!source) {
			return node_err(e, item->value, "a device needs source");
		}
		if (permissions && permissions[strspn(permissions, "rwm")]) {
			return node_err(e, item->value,
				"device permissions \"%s\": letters of \"rwm\" are expected",
				permissions);
		}
		if (!node_text(item->value, "target")) {
			node_put(t, item->value, "target", node_str(t, source, item->value));
		}
		if (!permissions) {
			node_put(t, item->value, "permissions", node_str(t, "rwm", item->value));
		}
	}
	return 0;
}

static int to_file_uses(struct tree *t, struct member *m, struct err *e)
{
	node_each (item, m->value) {
		if (item->value->kind != NODE_MAP) {
			struct node *map = node_new(t, NODE_MAP, item->value);
			node_put(t, map, "source", item->value);
			item->value = map;
		}
		if (!node_text(item->value, "source")) {
			return node_err(e, item->value,
				"%s need source: a name of the top-level %s", m->key, m->key);
		}
	}
	return 0;
}

static int to_health(struct tree *t, struct member *m, struct err *e)
{
	struct member *test = node_member(m->value, "test");
	if (!is_written(test)) {
		return 0;
	}
	if (test->value->kind != NODE_LIST) {
		struct node *list = node_new(t, NODE_LIST, test->value);
		node_append(t, list, node_str(t, "CMD-SHELL", test->value));
		node_append(t, list, node_str(t, test->value->text, test->value));
		replace(test, list);
		return 0;
	}
	const char *first = test->value->n > 0 ? test->value->members[0].value->text : "NONE";
	if (strcmp(first, "NONE") != 0 && strcmp(first, "CMD") != 0 &&
		strcmp(first, "CMD-SHELL") != 0) {
		return node_err(e, test->value,
			"healthcheck.test: the list must begin with NONE, CMD or CMD-SHELL, not \"%s\"",
			first);
	}
	return 0;
}

static int to_extends(struct tree *t, struct member *m, struct err *e)
{
	if (m->value->kind != NODE_MAP) {
		struct node *map = node_new(t, NODE_MAP, m->value);
		node_put(t, map, "service", m->value);
		m->value = map;
	}
	if (!node_text(m->value, "service")) {
		return node_err(e, m->value, "extends needs service");
	}
	return 0;
}

static int convert(struct tree *t, struct node *map, const char *key, convert_fn *fn, struct err *e)
{
	struct member *m = node_member(map, key);
	return is_written(m) && !tree_is_variable(t, m->value) ? fn(t, m, e) : 0;
}

struct conversion {
	const char *key;
	convert_fn *fn;
};

static int convert_all(struct tree *t, struct node *map, const struct conversion *c, struct err *e)
{
	for (; c->key; c++) {
		if (convert(t, map, c->key, c->fn, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int to_hooks(struct tree *t, struct member *m, struct err *e)
{
	static const struct conversion conversions[] = {
		{"command", to_command}, {"environment", to_pairs}, {NULL, NULL}};
	node_each (hook, m->value) {
		if (!node_get(hook->value, "command")) {
			return node_err(e, hook->value, "%s: a hook needs command", m->key);
		}
		if (convert_all(t, hook->value, conversions, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int to_exec(struct tree *t, struct member *m, struct err *e)
{
	static const struct conversion conversions[] = {
		{"command", to_command}, {"environment", to_pairs}, {NULL, NULL}};
	return convert_all(t, m->value, conversions, e);
}

static int to_watches(struct tree *t, struct member *m, struct err *e)
{
	static const struct conversion conversions[] = {
		{"ignore", to_list}, {"include", to_list}, {"exec", to_exec}, {NULL, NULL}};
	node_each (watch, m->value) {
		const char *path = node_text(watch->value, "path");
		if (path && !*path) {
			return node_err(e, node_get(watch->value, "path"),
				"path: the directory or file to watch is expected");
		}
		if (convert_all(t, watch->value, conversions, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int to_develop(struct tree *t, struct member *m, struct err *e)
{
	static const struct conversion conversions[] = {{"watch", to_watches}, {NULL, NULL}};
	return convert_all(t, m->value, conversions, e);
}

/* Devices by capability: without count and device_ids all of them are meant. */
static int to_device_requests(struct tree *t, struct member *m, struct err *e)
{
	static const struct conversion conversions[] = {{"options", to_labels}, {NULL, NULL}};
	if (m->value->kind != NODE_LIST) {
		struct node *list = node_new(t, NODE_LIST, m->value);
		node_append(t, list, node_new(t, NODE_MAP, m->value));
		replace(m, list);
	}
	node_each (item, m->value) {
		bool ids = node_get(item->value, "device_ids") != NULL;
		if (ids && node_get(item->value, "count")) {
			return node_err(e, item->value, "count and device_ids exclude each other");
		}
		if (!ids && !node_get(item->value, "count")) {
			node_put(t, item->value, "count", node_int(t, -1, item->value));
		}
		if (convert_all(t, item->value, conversions, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int to_reservations(struct tree *t, struct member *m, struct err *e)
{
	static const struct conversion conversions[] = {
		{"devices", to_device_requests}, {NULL, NULL}};
	return convert_all(t, m->value, conversions, e);
}

static int to_resources(struct tree *t, struct member *m, struct err *e)
{
	static const struct conversion conversions[] = {
		{"reservations", to_reservations}, {NULL, NULL}};
	return convert_all(t, m->value, conversions, e);
}

static int to_deploy(struct tree *t, struct member *m, struct err *e)
{
	static const struct conversion conversions[] = {
		{"labels", to_labels}, {"resources", to_resources}, {NULL, NULL}};
	return convert_all(t, m->value, conversions, e);
}

static int to_provider_options(struct tree *t, struct member *m, struct err *e)
{
	node_each (option, m->value) {
		if (to_list(t, option, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int to_provider(struct tree *t, struct member *m, struct err *e)
{
	static const struct conversion conversions[] = {
		{"options", to_provider_options}, {NULL, NULL}};
	return convert_all(t, m->value, conversions, e);
}

/* Options of drivers: numbers become texts, nothing becomes an empty one. */
static int to_logging(struct tree *t, struct member *m, struct err *e)
{
	static const struct conversion conversions[] = {{"options", to_labels}, {NULL, NULL}};
	return convert_all(t, m->value, conversions, e);
}

static int to_contexts(struct tree *t, struct member *m, struct err *e)
{
	node_each (item, m->value) {
		if (m->value->kind == NODE_LIST && !strchr(item->value->text, '=')) {
			return node_err(e, item->value, "\"%s\": NAME=CONTEXT is expected",
				item->value->text);
		}
	}
	return to_pairs(t, m, e);
}

static int to_build(struct tree *t, struct member *m, struct err *e)
{
	static const struct conversion conversions[] = {{"args", to_pairs}, {"labels", to_labels},
		{"extra_hosts", to_hosts}, {"cache_from", to_list}, {"cache_to", to_list},
		{"no_cache_filter", to_list}, {"ssh", to_pairs},
		{"additional_contexts", to_contexts}, {"secrets", to_file_uses}, {NULL, NULL}};
	if (m->value->kind != NODE_MAP) {
		struct node *map = node_new(t, NODE_MAP, m->value);
		node_put(t, map, "context", node_str(t, m->value->text, m->value));
		replace(m, map);
	}
	if (node_get(m->value, "dockerfile") && node_get(m->value, "dockerfile_inline")) {
		return node_err(
			e, m->value, "build: dockerfile and dockerfile_inline exclude each other");
	}
	return convert_all(t, m->value, conversions, e);
}

static const struct conversion service_conversions[] = {
	{"build", to_build},
	{"command", to_command},
	{"entrypoint", to_command},
	{"environment", to_pairs},
	{"labels", to_labels},
	{"label_file", to_list},
	{"annotations", to_labels},
	{"sysctls", to_labels},
	{"env_file", to_env_files},
	{"ports", to_ports},
	{"post_start", to_hooks},
	{"pre_stop", to_hooks},
	{"develop", to_develop},
	{"deploy", to_deploy},
	{"gpus", to_device_requests},
	{"models", to_named},
	{"provider", to_provider},
	{"logging", to_logging},
	{"storage_opt", to_labels},
	{"expose", to_list},
	{"volumes", to_mounts},
	{"networks", to_named},
	{"depends_on", to_depends},
	{"healthcheck", to_health},
	{"devices", to_devices},
	{"dns", to_list},
	{"dns_search", to_list},
	{"extra_hosts", to_hosts},
	{"tmpfs", to_list},
	{"group_add", to_list},
	{"configs", to_file_uses},
	{"secrets", to_file_uses},
	{"extends", to_extends},
	{NULL, NULL},
};

/* ---- with its variables ---- */

/* docker compose changes less of a document whose variables are kept: what has no form without
 * knowing them stays as it was written. */

static int to_raw_ports(struct tree *t, struct member *m, struct err *e)
{
	struct node *list = node_new(t, NODE_LIST, m->value);
	struct err ignored;
	node_each (item, m->value) {
		if (item->value->kind == NODE_MAP) {
			node_append(t, list, item->value);
		} else if (tree_is_variable(t, item->value) ||
			   port_expand(t, item->value, list, &ignored) < 0) {
			return 0; /* all of them */
		}
	}
	node_each (item, list) {
		struct node *port = item->value;
		if (!node_get(port, "mode")) {
			node_put(t, port, "mode", node_str(t, "ingress", port));
		}
		if (!node_get(port, "protocol")) {
			node_put(t, port, "protocol", node_str(t, "tcp", port));
		}
	}
	replace(m, list);
	return 0;
}

static int to_raw_build(struct tree *t, struct member *m, struct err *e)
{
	static const struct conversion conversions[] = {{"ssh", to_pairs},
		{"additional_contexts", to_contexts}, {"secrets", to_file_uses}, {NULL, NULL}};
	if (m->value->kind != NODE_MAP) {
		struct node *map = node_new(t, NODE_MAP, m->value);
		node_put(t, map, "context", node_str(t, m->value->text, m->value));
		replace(m, map);
	}
	return convert_all(t, m->value, conversions, e);
}

static int to_raw_requests(struct tree *t, struct member *m, struct err *e)
{
	if (m->value->kind != NODE_LIST) {
		struct node *list = node_new(t, NODE_LIST, m->value);
		node_append(t, list, node_new(t, NODE_MAP, m->value));
		replace(m, list);
	}
	node_each (item, m->value) {
		if (!node_get(item->value, "device_ids") && !node_get(item->value, "count")) {
			node_put(t, item->value, "count", node_str(t, "all", item->value));
		}
	}
	return 0;
}

static int to_raw_reservations(struct tree *t, struct member *m, struct err *e)
{
	static const struct conversion conversions[] = {{"devices", to_raw_requests}, {NULL, NULL}};
	return convert_all(t, m->value, conversions, e);
}

static int to_raw_resources(struct tree *t, struct member *m, struct err *e)
{
	static const struct conversion conversions[] = {
		{"reservations", to_raw_reservations}, {NULL, NULL}};
	return convert_all(t, m->value, conversions, e);
}

static int to_raw_deploy(struct tree *t, struct member *m, struct err *e)
{
	static const struct conversion conversions[] = {
		{"resources", to_raw_resources}, {NULL, NULL}};
	return convert_all(t, m->value, conversions, e);
}

static int to_raw_watches(struct tree *t, struct member *m, struct err *e)
{
	static const struct conversion conversions[] = {
		{"ignore", to_list}, {"include", to_list}, {NULL, NULL}};
	node_each (watch, m->value) {
		if (convert_all(t, watch->value, conversions, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int to_raw_develop(struct tree *t, struct member *m, struct err *e)
{
	static const struct conversion conversions[] = {{"watch", to_raw_watches}, {NULL, NULL}};
	return convert_all(t, m->value, conversions, e);
}

static const struct conversion raw_conversions[] = {
	{"build", to_raw_build},
	{"configs", to_file_uses},
	{"depends_on", to_depends},
	{"deploy", to_raw_deploy},
	{"develop", to_raw_develop},
	{"devices", to_devices},
	{"dns", to_list},
	{"env_file", to_env_files},
	{"extends", to_extends},
	{"gpus", to_raw_requests},
	{"label_file", to_list},
	{"models", to_named},
	{"networks", to_named},
	{"ports", to_raw_ports},
	{"secrets", to_file_uses},
	{"volumes", to_mounts},
	{NULL, NULL},
};

/* networks, volumes, configs, secrets: `external: {name: x}` is the old form of `external: true`
 * and `name: x`. */
static int resources(struct tree *t, struct node *root, const char *key, struct err *e)
{
	struct member *all = node_member(root, key);
	if (!is_written(all)) {
		return 0;
	}
	node_each (m, all->value) {
		if (m->value->kind == NODE_NULL && m->value->tag == TAG_NONE) {
			m->value = node_new(t, NODE_MAP, m->value);
		}
		struct member *external = node_member(m->value, "external");
		if (external && external->value->kind == NODE_MAP) {
			struct node *name = node_get(external->value, "name");
			external->value = node_bool(t, true, external->value);
			if (name) {
				node_put(t, m->value, "name", name);
			}
		}
		if (!tree_keeps_variables(t) && convert(t, m->value, "labels", to_labels, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int to_includes(struct tree *t, struct member *m, struct err *e)
{
	static const struct conversion conversions[] = {
		{"path", to_list}, {"env_file", to_list}, {NULL, NULL}};
	node_each (item, m->value) {
		if (item->value->kind != NODE_MAP) {
			struct node *map = node_new(t, NODE_MAP, item->value);
			node_put(t, map, "path", item->value);
			item->value = map;
		}
		if (!node_get(item->value, "path")) {
			return node_err(e, item->value, "include needs path");
		}
		if (convert_all(t, item->value, conversions, e) < 0) {
			return -1;
		}
	}
	return 0;
}

int canonical_project(struct tree *t, struct node *root, struct err *e)
{
	const struct conversion *conversions =
		tree_keeps_variables(t) ? raw_conversions : service_conversions;
	node_each (m, node_get(root, "services")) {
		if (m->value->kind == NODE_MAP && convert_all(t, m->value, conversions, e) < 0) {
			return -1;
		}
	}
	static const char *const kinds[] = {"networks", "volumes", "configs", "secrets"};
	for (size_t i = 0; i < 4; i++) {
		if (resources(t, root, kinds[i], e) < 0) {
			return -1;
		}
	}
	return convert(t, root, "include", to_includes, e);
}
