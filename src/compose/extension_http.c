#include "compose/extension_http.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "ingress/route.h"

/* One route as it is written. */
struct written {
	struct loader *l;
	const struct node *item;
	const char *path; /* as errors call it */
	const char *name; /* "", or the route's */
	json_t *labels;   /* what comes of it */
};

static bool is_scalar_value(const struct node *n)
{
	return node_is_scalar(n) && n->kind != NODE_NULL;
}

/* hosts, users: words with commas between; headers: lines. */
static int list_text(const struct written *w, const struct member *m, struct buf *ret)
{
	bool lines = strcmp(m->key, "headers") == 0;
	if (!lines && strcmp(m->key, "host") != 0 && strcmp(m->key, "users") != 0) {
		return node_err(
			w->l->e, m->value, "%s.%s must be one value, not a list", w->path, m->key);
	}
	for (size_t i = 0; i < m->value->n; i++) {
		const struct node *one = m->value->members[i].value;
		if (!is_scalar_value(one) ||
			strcspn(one->text, lines ? "\n" : ",\n") < strlen(one->text)) {
			return node_err(
				w->l->e, one, "%s.%s[%zu] must be one word", w->path, m->key, i);
		}
		buf_printf(ret, "%s%s", one->text, lines ? "\n" : ",");
	}
	return 0;
}

static int map_text(const struct written *w, const struct member *m, struct buf *ret)
{
	if (strcmp(m->key, "headers") != 0) {
		return node_err(w->l->e, m->value, "%s.%s must not be a mapping", w->path, m->key);
	}
	scoped(json) json_t *doc = json_object();
	node_each (header, m->value) {
		if (!node_is_scalar(header->value)) {
			return node_err(w->l->e, header->value, "%s.headers.%s must be text",
				w->path, header->key);
		}
		json_put(doc, header->key, json_string(header->value->text));
	}
	scoped(free) char *text = json_text(doc);
	buf_puts(ret, text);
	return 0;
}

static int value_text(const struct written *w, const struct member *m, struct buf *ret)
{
	switch (m->value->kind) {
	case NODE_NULL:
		return member_err(w->l->e, w->item, m, "%s.%s has no value", w->path, m->key);
	case NODE_LIST:
		return list_text(w, m, ret);
	case NODE_MAP:
		return map_text(w, m, ret);
	default:
		buf_puts(ret, m->value->text);
		return 0;
	}
}

static int make_labels(const struct written *w)
{
	node_each (m, w->item) {
		if (strcmp(m->key, "name") == 0) {
			continue;
		}
		if (!route_is_field(m->key)) {
			scoped(free) char *known = route_field_names();
			return member_err(w->l->e, w->item, m,
				"unknown key \"%s\" in %s; there are: name, %s", m->key, w->path,
				known);
		}
		scoped(buf) struct buf text = BUF_INIT;
		if (value_text(w, m, &text) < 0) {
			return -1;
		}
		scoped(free) char *key =
			xasprintf(ROUTE_LABEL "%s%s%s", w->name, *w->name ? "." : "", m->key);
		json_put_str(w->labels, key, buf_str(&text));
	}
	return 0;
}

/* At the key whose label the sentence begins with, "wherry.http.NAME.FIELD: ...", or that it names
 * first. */
static int fail_at(const struct written *w, const char *why)
{
	size_t head = strcspn(why, ":");
	const char *what = why + head + strspn(why + head, ": ");
	node_each (m, w->item) {
		size_t n = strlen(m->key);
		bool of_label = n < head && strncmp(why + head - n, m->key, n) == 0 &&
				why[head - n - 1] == '.';
		bool first = strncmp(what, m->key, n) == 0 && strchr(" :=", what[n]);
		if (of_label || first) {
			return member_err(w->l->e, w->item, m, "%s: %s", w->path, why);
		}
	}
	return node_err(w->l->e, w->item, "%s: %s", w->path, why);
}

static int check_labels(const struct written *w)
{
	struct err why = {0};
	scoped(route_set) struct route_set ignored;
	return tree_keeps_variables(w->l->t) || route_set_read(w->labels, &ignored, &why) == 0
		       ? 0
		       : fail_at(w, why.msg);
}

static int add_route(
	struct loader *l, json_t *all, const struct node *item, const char *name, const char *path)
{
	scoped(json) json_t *made = json_object();
	struct written w = {l, item, path, name, made};
	if (make_labels(&w) < 0 || check_labels(&w) < 0) {
		return -1;
	}
	json_object_update(all, made); /* an override file's item comes later */
	return 0;
}

static int add_item(
	struct loader *l, json_t *all, const struct node *item, bool alone, const char *path)
{
	if (item->kind != NODE_MAP) {
		return node_err(l->e, item, "%s must be a mapping, not %s", path,
			node_kind_word(item->kind));
	}
	const struct node *name = node_get(item, "name");
	if (!name && !alone) {
		return node_err(
			l->e, item, "%s needs a name: of small letters, digits and '-'", path);
	}
	if (name && (!is_scalar_value(name) || !*name->text)) {
		return node_err(l->e, name, "%s.name must be text", path);
	}
	if (item->n == (name != NULL)) { /* it would make no label */
		return node_err(
			l->e, item, "%s says nothing: it needs at least one of its keys", path);
	}
	return add_route(l, all, item, name ? name->text : "", path);
}

static int read_routes(struct loader *l, json_t *all, const struct node *http, const char *service)
{
	scoped(free) char *path = xasprintf("services.%s.x-wherry.http", service);
	if (http->kind == NODE_MAP) {
		return add_item(l, all, http, true, path);
	}
	if (http->kind != NODE_LIST) {
		return node_err(l->e, http, "%s must be a mapping or a list of them, not %s", path,
			node_kind_word(http->kind));
	}
	for (size_t i = 0; i < http->n; i++) {
		scoped(free) char *one = xasprintf("%s[%zu]", path, i);
		if (add_item(l, all, http->members[i].value, http->n == 1, one) < 0) {
			return -1;
		}
	}
	return 0;
}

int extension_http(
	struct loader *l, struct node *labels, const struct node *http, const char *service)
{
	scoped(json) json_t *all = json_object();
	if (read_routes(l, all, http, service) < 0) {
		return -1;
	}
	const char *key;
	json_t *value;
	json_object_foreach (all, key, value) {
		if (!node_get(labels, key)) {
			node_put(l->t, labels, tree_strdup(l->t, key),
				node_str(l->t, tree_strdup(l->t, json_string_value(value)), http));
		}
	}
	return tree_check(l->t, http, 0, l->e);
}
