#include "wherry/compose_bake.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"

json_t *bake_new(void)
{
	return json_pack("{s{s{s[]}} s{}}", "group", "default", "targets", "target");
}

static void put_text(json_t *o, const char *key, const char *value)
{
	if (value && *value) {
		json_put_str(o, key, value);
	}
}

static void put_list(json_t *o, const char *key, const struct strv *list)
{
	if (list->n > 0) {
		json_put(o, key, json_strv(list));
	}
}

static void put_pairs(json_t *o, const char *key, const struct strv *list)
{
	json_t *map = json_object();
	for (size_t i = 0; i < list->n; i++) {
		const char *equal = strchr(list->v[i], '=');
		if (equal) {
			scoped(free) char *name =
				xstrndup(list->v[i], (size_t)(equal - list->v[i]));
			json_put_str(map, name, equal + 1);
		}
	}
	if (list->n > 0) {
		json_put(o, key, map);
	} else {
		json_decref(map);
	}
}

static void put_true(json_t *o, const char *key, bool value)
{
	if (value) {
		json_put(o, key, json_true());
	}
}

void bake_add(json_t *bake, const char *target, const struct build_options *o)
{
	json_t *t = json_object();
	json_t *group = json_object_get(json_object_get(bake, "group"), "default");
	json_array_append_new(json_object_get(group, "targets"), json_string(target));
	put_text(t, "context", o->operand);
	put_pairs(t, "contexts", &o->contexts);
	put_text(t, "dockerfile", o->dockerfile_text ? NULL : o->file);
	put_text(t, "dockerfile-inline", o->dockerfile_text);
	put_pairs(t, "args", &o->build_args);
	put_pairs(t, "labels", &o->labels);
	put_list(t, "tags", &o->tags);
	put_list(t, "cache-from", &o->cache_from);
	put_list(t, "cache-to", &o->cache_to);
	put_text(t, "target", o->target);
	put_list(t, "secret", &o->secrets);
	put_list(t, "ssh", &o->ssh);
	put_list(t, "platforms", &o->platforms);
	put_true(t, "pull", o->pull);
	put_true(t, "no-cache", o->no_cache);
	put_text(t, "network", o->network);
	put_list(t, "no-cache-filter", &o->no_cache_filter);
	if (o->shm_size_bytes > 0) {
		json_put(t, "shm-size", json_integer(o->shm_size_bytes));
	}
	put_list(t, "ulimits", &o->ulimits);
	put_text(t, "call", o->call);
	put_list(t, "entitlements", &o->allow);
	put_pairs(t, "extra-hosts", &o->add_hosts);
	json_put(t, "output", json_pack("[s]", o->push ? "type=registry" : "type=docker"));
	json_put(json_object_get(bake, "target"), target, t);
}
