#include "compose/request_parts.h"

#include "base/json.h"

json_t *request_words(const struct words *w)
{
	json_t *list = json_array();
	for (size_t i = 0; i < w->n; i++) {
		json_array_append_new(list, json_string(w->v[i]));
	}
	return list;
}

void request_put_words(json_t *o, const char *key, const struct words *w)
{
	if (w->n > 0) {
		json_put(o, key, request_words(w));
	}
}

json_t *request_pairs(const struct pairs *p)
{
	json_t *map = json_object();
	for (size_t i = 0; i < p->n; i++) {
		json_put_str(map, p->v[i].name, p->v[i].value);
	}
	return map;
}

void request_put_text(json_t *o, const char *key, const char *text)
{
	if (text && *text) {
		json_put_str(o, key, text);
	}
}

void request_put_number(json_t *o, const char *key, int64_t value)
{
	if (value != UNSET) {
		json_put(o, key, json_integer(value));
	}
}

void request_put_true(json_t *o, const char *key, bool value)
{
	if (value) {
		json_put(o, key, json_true());
	}
}
