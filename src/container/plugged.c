#include "container/plugged.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

static void free_one(struct plugged *p)
{
	free(p->key);
	free(p->path);
	free(p->node);
	free(p->target);
}

void plugged_deinit(struct plugged_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free_one(&l->v[i]);
	}
	free(l->v);
	*l = (struct plugged_list){0};
}

const struct plugged *plugged_find(const struct plugged_list *l, const char *path)
{
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->v[i].path, path) == 0) {
			return &l->v[i];
		}
	}
	return NULL;
}

static struct plugged *append(struct plugged_list *l, const struct plugged *one)
{
	l->v = xrealloc(l->v, l->n + 1, sizeof(*l->v));
	l->v[l->n] = *one;
	return &l->v[l->n++];
}

struct plugged *plugged_add(struct plugged_list *l, const struct plugged *one)
{
	if (l->n == PLUGGED_MAX || plugged_find(l, one->path)) {
		return NULL;
	}
	struct plugged *p = append(l, one);
	p->key = xstrdup(one->key);
	p->path = xstrdup(one->path);
	p->node = xstrdup(one->node);
	p->target = xstrdup(one->target);
	return p;
}

void plugged_remove(struct plugged_list *l, const char *path)
{
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->v[i].path, path) == 0) {
			free_one(&l->v[i]);
			l->n--;
			memmove(&l->v[i], &l->v[i + 1], (l->n - i) * sizeof(*l->v));
			return;
		}
	}
}

bool plugged_is_link(const struct plugged *p)
{
	return p->type == 'l';
}

static bool same_target(const struct plugged *a, const struct plugged *b)
{
	return a->target && b->target ? strcmp(a->target, b->target) == 0 : a->target == b->target;
}

bool plugged_equal(const struct plugged *a, const struct plugged *b)
{
	return strcmp(a->path, b->path) == 0 && strcmp(a->node, b->node) == 0 &&
	       a->type == b->type && a->major == b->major && a->minor == b->minor &&
	       strcmp(a->access, b->access) == 0 && same_target(a, b);
}

void plugged_missing(
	const struct plugged_list *a, const struct plugged_list *b, struct plugged_list *ret)
{
	*ret = (struct plugged_list){0};
	for (size_t i = 0; i < a->n; i++) {
		const struct plugged *other = plugged_find(b, a->v[i].path);
		bool same = other && plugged_equal(&a->v[i], other);
		if (!same || a->v[i].gone || other->gone) {
			append(ret, &a->v[i]);
		}
	}
}

/* --- JSON --- */

static json_t *node_json(const struct plugged *p)
{
	const char type[2] = {p->type, '\0'};
	json_t *o = json_object();
	json_put_str(o, "path", p->path);
	json_put_str(o, "type", type);
	if (plugged_is_link(p)) {
		json_put_str(o, "target", p->target);
		return o;
	}
	json_put(o, "major", json_integer(p->major));
	json_put(o, "minor", json_integer(p->minor));
	json_put(o, "mode", json_integer(p->mode));
	json_put(o, "uid", json_integer(p->uid));
	json_put(o, "gid", json_integer(p->gid));
	return o;
}

json_t *plugged_nodes(const struct plugged_list *l)
{
	json_t *list = json_array();
	for (size_t i = 0; i < l->n; i++) {
		json_array_append_new(list, node_json(&l->v[i]));
	}
	return list;
}

json_t *plugged_record(const struct plugged_list *l)
{
	json_t *list = json_array();
	for (size_t i = 0; i < l->n; i++) {
		json_t *o = node_json(&l->v[i]);
		json_put_str(o, "key", l->v[i].key);
		json_put_str(o, "node", l->v[i].node);
		json_put_str(o, "access", l->v[i].access);
		json_put(o, "stays", json_boolean(l->v[i].stays));
		json_array_append_new(list, o);
	}
	return list;
}

void plugged_restore(const json_t *record, struct plugged_list *ret)
{
	size_t i;
	json_t *o;
	*ret = (struct plugged_list){0};
	json_array_foreach (record, i, o) {
		struct plugged one = {
			.key = (char *)json_str(o, "key"),
			.path = (char *)json_str(o, "path"),
			.node = (char *)json_str(o, "node"),
			.target = (char *)json_string_value(json_object_get(o, "target")),
			.type = *json_str(o, "type"),
			.major = (unsigned)json_i64(o, "major", 0),
			.minor = (unsigned)json_i64(o, "minor", 0),
			.mode = (mode_t)json_i64(o, "mode", 0),
			.uid = (uid_t)json_i64(o, "uid", 0),
			.gid = (gid_t)json_i64(o, "gid", 0),
			.stays = json_bool(o, "stays"),
		};
		snprintf(one.access, sizeof(one.access), "%s", json_str(o, "access"));
		if (*one.path) {
			(void)plugged_add(ret, &one);
		}
	}
}
