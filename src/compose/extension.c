#include "compose/extension.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "compose/extension_http.h"
#include "device/rule.h"
#include "device/storage_rule.h"
#include "ingress/route.h"
#include "volume/remote.h"

#define NAMES_OF_LABELS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

static int check_device(const char *name, const char *text, struct err *e)
{
	scoped(device_rule_free) struct device_rule *r = device_rule_parse(name, text, e);
	return r ? 0 : -1;
}

static int check_storage(const char *name, const char *text, struct err *e)
{
	scoped(storage_rule_free) struct storage_rule *r = storage_rule_parse(name, text, e);
	return r ? 0 : -1;
}

static int check_stream(const char *name, const char *text, struct err *e)
{
	scoped(free) char *key = xasprintf(STREAM_LABEL "%s", name);
	scoped(json) json_t *labels = json_object();
	scoped(route_set) struct route_set ignored = {0};
	json_put_str(labels, key, text);
	return route_set_read(labels, &ignored, e);
}

/* The lists in x-wherry. A name that is left out is the end of the path that the item is about. */
static const struct section {
	const char *key, *prefix, *path_key;
	int (*check)(const char *name, const char *text, struct err *e);
} sections[] = {
	{"devices", DEVICE_LABEL, "as", check_device},
	{"storage", STORAGE_LABEL, "at", check_storage},
	{"stream", STREAM_LABEL, NULL, check_stream},
};

/* Is word in text by itself? */
static bool says(const char *text, const char *word)
{
	size_t n = strlen(word);
	for (const char *at = text; (at = strstr(at, word)); at++) {
		bool begins = at == text || !(isalnum((unsigned char)at[-1]) || at[-1] == '_');
		if (begins && !(isalnum((unsigned char)at[n]) || at[n] == '_')) {
			return true;
		}
	}
	return false;
}

/* At the key that the sentence is about, when it names one. */
static int fail_at(struct loader *l, const struct node *item, const char *path, const char *why)
{
	node_each (m, item) {
		if (strcmp(m->key, "name") != 0 && says(why, m->key)) {
			return member_err(l->e, item, m, "%s: %s", path, why);
		}
	}
	return node_err(l->e, item, "%s: %s", path, why);
}

static const char *name_of(const struct section *s, const struct node *item)
{
	const struct node *given = node_get(item, "name");
	const struct node *path = s->path_key ? node_get(item, s->path_key) : NULL;
	if (given) {
		return given->kind == NODE_STR ? given->text : "";
	}
	const char *slash = path && path->kind == NODE_STR ? strrchr(path->text, '/') : NULL;
	return slash ? slash + 1 : "";
}

/* All keys but the name. */
static char *text_of(const struct node *item)
{
	scoped(json) json_t *doc = node_json(item);
	json_object_del(doc, "name");
	return json_text(doc);
}

static int add_item(struct loader *l, struct node *labels, const struct section *s,
	const struct node *item, const char *path)
{
	struct err why = {0};
	if (item->kind != NODE_MAP) {
		return node_err(l->e, item, "%s must be a mapping, not %s", path,
			node_kind_word(item->kind));
	}
	const char *name = name_of(s, item);
	if (!*name || strspn(name, NAMES_OF_LABELS) != strlen(name)) {
		const struct node *at = node_get(item, "name");
		return node_err(l->e, at ? at : item,
			"%s needs a name: of letters, digits, '_' and '-'", path);
	}
	scoped(free) char *text = text_of(item);
	if (s->check(name, text, &why) < 0) {
		return fail_at(l, item, path, why.msg);
	}
	const char *key = tree_printf(l->t, "%s%s", s->prefix, name);
	if (!node_get(labels, key)) {
		node_put(l->t, labels, key, node_str(l->t, tree_strdup(l->t, text), item));
	}
	return 0;
}

static struct node *labels_of(struct loader *l, struct node *of, const struct node *at)
{
	struct node *labels = node_get(of, "labels");
	if (!labels || labels->kind != NODE_MAP) {
		labels = node_new(l->t, NODE_MAP, at);
		node_put(l->t, of, "labels", labels);
	}
	return labels;
}

static int add_section(struct loader *l, struct node *service, const struct section *s,
	const struct node *list, const char *name)
{
	struct node *labels = labels_of(l, service, list);
	if (list->kind != NODE_LIST) {
		return node_err(l->e, list, "services.%s.x-wherry.%s must be a list, not %s", name,
			s->key, node_kind_word(list->kind));
	}
	for (size_t i = list->n; i-- > 0;) { /* of two with one name the later file's counts */
		scoped(free) char *path =
			xasprintf("services.%s.x-wherry.%s[%zu]", name, s->key, i);
		if (add_item(l, labels, s, list->members[i].value, path) < 0) {
			return -1;
		}
	}
	return tree_check(l->t, list, 0, l->e);
}

static const struct section *find_section(const char *key)
{
	for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
		if (strcmp(sections[i].key, key) == 0) {
			return &sections[i];
		}
	}
	return NULL;
}

int extension_to_labels(struct loader *l, struct node *service, const char *name)
{
	const struct node *x = node_get(service, "x-wherry");
	if (!x) {
		return 0;
	}
	if (x->kind != NODE_MAP) {
		return node_err(l->e, x, "services.%s.x-wherry must be a mapping, not %s", name,
			node_kind_word(x->kind));
	}
	node_each (m, x) {
		const struct section *s = find_section(m->key);
		if (strcmp(m->key, "http") == 0) {
			if (extension_http(l, labels_of(l, service, m->value), m->value, name) <
				0) {
				return -1;
			}
			continue;
		}
		if (!s) {
			return member_err(l->e, x, m, "unknown key \"%s\" in services.%s.x-wherry",
				m->key, name);
		}
		if (add_section(l, service, s, m->value, name) < 0) {
			return -1;
		}
	}
	return 0;
}

/* --- volumes --- */

static int put_wait(
	struct loader *l, struct node *volume, const struct node *value, const char *name)
{
	if (value->kind != NODE_BOOL) {
		return node_err(l->e, value,
			"volumes.%s.x-wherry.wait must be true or false, not %s", name,
			node_kind_word(value->kind));
	}
	struct node *labels = labels_of(l, volume, value);
	if (!node_get(labels, REMOTE_WAIT)) {
		node_put(l->t, labels, REMOTE_WAIT, node_str(l->t, value->text, value));
	}
	return 0;
}

static int check_secret(struct loader *l, const struct node *secrets, const struct node *value,
	const char *name, const char **ret)
{
	if (value->kind != NODE_STR) {
		return node_err(l->e, value,
			"volumes.%s.x-wherry.credentials must be the name of a secret, not %s",
			name, node_kind_word(value->kind));
	}
	const struct node *secret = node_get(secrets, value->text);
	if (!secret) {
		return node_err(l->e, value,
			"volume \"%s\" refers to undefined secret \"%s\": it is expected in the top-level secrets",
			name, value->text);
	}
	if (!node_get(secret, "file") && !node_get(secret, "environment")) {
		return node_err(l->e, value,
			"the credentials of volume \"%s\" need a secret with a file or an environment variable",
			name);
	}
	*ret = value->text;
	return 0;
}

int extension_of_volume(struct loader *l, struct node *volume, const char *name,
	const struct node *secrets, const char **ret_secret)
{
	const struct node *x = volume ? node_get(volume, "x-wherry") : NULL;
	*ret_secret = NULL;
	if (!x) {
		return 0;
	}
	if (x->kind != NODE_MAP) {
		return node_err(l->e, x, "volumes.%s.x-wherry must be a mapping, not %s", name,
			node_kind_word(x->kind));
	}
	node_each (m, x) {
		bool wait = strcmp(m->key, "wait") == 0;
		if (!wait && strcmp(m->key, "credentials") != 0) {
			return member_err(l->e, x, m, "unknown key \"%s\" in volumes.%s.x-wherry",
				m->key, name);
		}
		if ((wait ? put_wait(l, volume, m->value, name)
			  : check_secret(l, secrets, m->value, name, ret_secret)) < 0) {
			return -1;
		}
	}
	return 0;
}
