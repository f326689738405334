/* Legacy links: what --link of the default bridge gives, where names are not resolved. A link to a
 * container of a user-defined network is a DNS name: network/names.c.
 *
 * moby daemon/links/links.go: the names of the variables. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "container/internal.h"

struct link {
	struct container *to; /* NULL: gone */
	char *name;
	char *alias;
};

/* "CONTAINER", "CONTAINER:ALIAS", as inspect shows it "/CONTAINER:/SELF/ALIAS" */
static void link_read(const struct container *c, const char *text, struct link *ret)
{
	struct err ignored;
	size_t n = strcspn(text, ":");
	const char *alias = text[n] ? text + n + 1 : text;
	const char *slash = strrchr(alias, '/');
	ret->name = xstrndup(text + (text[0] == '/'), n - (text[0] == '/'));
	ret->alias = text[n] ? xstrdup(slash ? slash + 1 : alias) : xstrdup(ret->name);
	ret->to = container_find(c->set, ret->name, &ignored);
}

static void scoped_link(struct link *l)
{
	free(l->name);
	free(l->alias);
}

static json_t *list_of(const struct container *c)
{
	return json_object_get(c->host_config, "Links");
}

static bool is_legacy(const struct container *c)
{
	return strcmp(container_network_mode(c), "bridge") == 0;
}

int links_check(struct container *c, struct err *e)
{
	size_t i;
	json_t *item;
	c->set->has_links = c->set->has_links || json_array_size(list_of(c)) > 0;
	if (json_array_size(list_of(c)) > 0 && strcmp(container_network_mode(c), "host") == 0) {
		return err_set(e, ERR_INVALID,
			"conflicting options: host type networking can't be used with links. This would result in undefined behavior");
	}
	json_array_foreach (list_of(c), i, item) {
		struct err missing;
		scoped(link) struct link l = {0};
		link_read(c, json_string_value(item), &l);
		if (!*l.name || !*l.alias) {
			return err_set(e, ERR_INVALID, "bad format for links: %.200s",
				json_string_value(item));
		}
		if (is_legacy(c) && !container_find(c->set, l.name, &missing)) {
			return err_set(e, ERR_INVALID, "could not get container for %.64s: %.150s",
				l.name, missing.msg);
		}
		if (is_legacy(c)) { /* the name may go to another container later */
			scoped(free) char *by_id = xasprintf("%s:%s", l.to->id, l.alias);
			json_array_set_new(list_of(c), i, json_string(by_id));
		}
	}
	return 0;
}

int links_ready(const struct container *c, struct err *e)
{
	size_t i;
	json_t *item;
	json_array_foreach (list_of(c), i, item) {
		scoped(link) struct link l = {0};
		link_read(c, json_string_value(item), &l);
		if (is_legacy(c) && l.to && !container_is_running(l.to)) {
			return err_set(e, ERR_SYSTEM,
				"Cannot link to a non running container: /%s AS /%s/%s", l.to->name,
				c->name, l.alias);
		}
	}
	return 0;
}

/* --- environment --- */

struct port_name {
	int number;
	char proto[8];
};

/* By number, then by protocol: the first is the one that ALIAS_PORT names. */
static int compare_ports(const void *a, const void *b)
{
	const struct port_name *x = a;
	const struct port_name *y = b;
	return x->number != y->number ? x->number - y->number : strcmp(x->proto, y->proto);
}

static struct port_name *collect_ports(const struct container *to, size_t *ret_n)
{
	json_t *exposed = json_object_get(to->config, "ExposedPorts");
	struct port_name *ports = xnew_array(struct port_name, json_object_size(exposed) + 1);
	const char *key;
	json_t *value;
	size_t n = 0;
	json_object_foreach (exposed, key, value) {
		const char *slash = strchr(key, '/');
		ports[n].number = (int)strtol(key, NULL, 10);
		snprintf(ports[n++].proto, sizeof(ports[0].proto), "%s", slash ? slash + 1 : "tcp");
	}
	qsort(ports, n, sizeof(*ports), compare_ports);
	*ret_n = n;
	return ports;
}

static void upper_case(char *text)
{
	for (; *text; text++) {
		*text = *text == '-' ? '_' : (char)toupper((unsigned char)*text);
	}
}

static void add_ports(
	const char *prefix, const char *ip, const struct container *to, struct strv *ret)
{
	size_t n;
	scoped(free) struct port_name *ports = collect_ports(to, &n);
	for (size_t i = 0; i < n; i++) {
		const struct port_name *p = &ports[i];
		scoped(free) char *one = xasprintf("%s_PORT_%d_%s", prefix, p->number, p->proto);
		upper_case(one);
		if (i == 0) {
			strv_addf(ret, "%s_PORT=%s://%s:%d", prefix, p->proto, ip, p->number);
		}
		strv_addf(ret, "%s=%s://%s:%d", one, p->proto, ip, p->number);
		strv_addf(ret, "%s_ADDR=%s", one, ip);
		strv_addf(ret, "%s_PORT=%d", one, p->number);
		strv_addf(ret, "%s_PROTO=%s", one, p->proto);
	}
}

static void add_link_env(const struct container *c, const struct link *l, struct strv *ret)
{
	scoped(free) char *prefix = xstrdup(l->alias);
	upper_case(prefix);
	add_ports(prefix, l->to->endpoints[0].info.ipv4, l->to, ret);
	strv_addf(ret, "%s_NAME=/%s/%s", prefix, c->name, l->alias);
	size_t i;
	json_t *item;
	json_array_foreach (json_object_get(l->to->config, "Env"), i, item) {
		const char *text = json_string_value(item);
		if (text && strchr(text, '=') && !text_starts(text, "HOME=") &&
			!text_starts(text, "PATH=")) {
			strv_addf(ret, "%s_ENV_%s", prefix, text);
		}
	}
}

void links_add_env(const struct container *c, struct strv *ret)
{
	size_t i;
	json_t *item;
	json_array_foreach (list_of(c), i, item) {
		scoped(link) struct link l = {0};
		link_read(c, json_string_value(item), &l);
		if (is_legacy(c) && l.to && l.to->n_endpoints > 0) {
			add_link_env(c, &l, ret);
		}
	}
}

void links_add_hosts(const struct container *c, struct buf *text)
{
	size_t i;
	json_t *item;
	json_array_foreach (list_of(c), i, item) {
		scoped(link) struct link l = {0};
		link_read(c, json_string_value(item), &l);
		if (is_legacy(c) && l.to && l.to->n_endpoints > 0 &&
			*l.to->endpoints[0].info.ipv4) {
			const char *hostname = json_str(l.to->config, "Hostname");
			bool named = strcmp(l.alias, l.to->name) == 0;
			buf_printf(text, "%s\t%s %s%s%s\n", l.to->endpoints[0].info.ipv4, l.alias,
				hostname, named ? "" : " ", named ? "" : l.to->name);
		}
	}
}

/* "/A/ALIAS" for each A that links to c, as dockerd's list shows them. */
void links_add_names(const struct container *c, json_t *names)
{
	if (!c->set->has_links) {
		return;
	}
	map_each (c->set->by_id, const struct container, from) {
		size_t i;
		json_t *item;
		json_array_foreach (is_legacy(from) ? list_of(from) : NULL, i, item) {
			scoped(link) struct link l = {0};
			link_read(from, json_string_value(item), &l);
			if (l.to == c) {
				scoped(free) char *text = xasprintf("/%s/%s", from->name, l.alias);
				json_array_append_new(names, json_string(text));
			}
		}
	}
}

/* The index of A's link ALIAS, or -1. */
static int find_alias(const struct container *from, const char *alias)
{
	size_t i;
	json_t *item;
	json_array_foreach (is_legacy(from) ? list_of(from) : NULL, i, item) {
		scoped(link) struct link l = {0};
		link_read(from, json_string_value(item), &l);
		if (strcmp(l.alias, alias) == 0) {
			return (int)i;
		}
	}
	return -1;
}

struct container *links_find(struct container_set *s, const char *name)
{
	const char *slash = strchr(name, '/');
	if (!s->has_links || !slash) {
		return NULL;
	}
	scoped(free) char *parent = xstrndup(name, (size_t)(slash - name));
	const struct container *from = map_get(s->by_name, parent);
	int at = from ? find_alias(from, slash + 1) : -1;
	if (at < 0) {
		return NULL;
	}
	scoped(link) struct link l = {0};
	link_read(from, json_string_value(json_array_get(list_of(from), (size_t)at)), &l);
	return l.to;
}

int container_unlink(struct container_set *s, const char *name, struct err *e)
{
	const char *plain = *name == '/' ? name + 1 : name;
	const char *slash = strchr(plain, '/');
	struct err missing;
	if (!slash) {
		return container_find(s, name, e)
			       ? err_set(e, ERR_SYSTEM,
					 "Conflict, cannot remove the default link name of the container")
			       : -1;
	}
	scoped(free) char *parent = xstrndup(plain, (size_t)(slash - plain));
	struct container *from = container_find(s, parent, &missing);
	int at = from ? find_alias(from, slash + 1) : -1;
	if (at < 0) {
		return err_set(e, ERR_NOT_FOUND, "No such container: %.300s", name);
	}
	json_array_remove(list_of(from), (size_t)at);
	if (container_record_save(from, e) < 0) {
		return -1;
	}
	return container_is_running(from) ? bundle_write_hosts(from, e) : 0;
}

json_t *links_inspect(const struct container *c)
{
	size_t i;
	json_t *item;
	json_t *out = json_array();
	json_array_foreach (list_of(c), i, item) {
		scoped(link) struct link l = {0};
		link_read(c, json_string_value(item), &l);
		scoped(free) char *text =
			xasprintf("/%s:/%s/%s", l.to ? l.to->name : l.name, c->name, l.alias);
		json_array_append_new(out, json_string(text));
	}
	if (json_array_size(out) == 0 || !is_legacy(c)) {
		json_decref(out);
		return json_null();
	}
	return out;
}
