/* The wire's maps and lists as JSON. What is not UTF-8 is left out: no attribute of ours is. */
#include "base/json.h"
#include "control.pb-c.h"
#include "worker/gateway.h"

json_t *pairs_json(Buildkit__Pair **pairs, size_t n)
{
	json_t *doc = json_object();
	for (size_t i = 0; i < n; i++) {
		(void)json_object_set_new(doc, pairs[i]->key, json_string(pairs[i]->value));
	}
	return doc;
}

static json_t *typed(const char *type, Buildkit__Pair **attrs, size_t n)
{
	json_t *doc = json_object();
	json_put(doc, "type", json_string(type));
	json_put(doc, "attrs", pairs_json(attrs, n));
	return doc;
}

json_t *exporters_json(Buildkit__Exporter **list, size_t n)
{
	json_t *doc = json_array();
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(doc, typed(list[i]->type, list[i]->attrs, list[i]->n_attrs));
	}
	return doc;
}

json_t *cache_json(Buildkit__CacheEntry **list, size_t n)
{
	json_t *doc = json_array();
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(doc, typed(list[i]->type, list[i]->attrs, list[i]->n_attrs));
	}
	return doc;
}
