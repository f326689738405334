#include "compose/decode_fields.h"

#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

struct words decode_words(struct tree *t, const struct node *list)
{
	struct words w = {0};
	if (!list || list->kind != NODE_LIST) {
		return w;
	}
	w.set = true;
	w.v = tree_new_array(t, const char *, list->n + 1);
	node_each (m, list) {
		w.v[w.n++] = m->value->text;
	}
	return w;
}

struct pairs decode_pairs(struct tree *t, const struct node *map)
{
	struct pairs p = {0};
	if (!map || map->kind != NODE_MAP) {
		return p;
	}
	p.v = tree_new_array(t, struct pair, map->n + 1);
	node_each (m, map) {
		p.v[p.n++] =
			(struct pair){m->key, m->value->kind == NODE_NULL ? NULL : m->value->text};
	}
	return p;
}

int64_t decode_number(const char *text, enum field_kind kind)
{
	int64_t value = UNSET;
	if (!text) {
		return UNSET;
	}
	if (kind == F_DURATION) {
		return parse_duration(text, &value) == 0 ? value : UNSET;
	}
	if (kind == F_SIZE) {
		return strcmp(text, "-1") == 0 ? -1 : parse_size(text, &value) == 0 ? value : UNSET;
	}
	return strtoll(text, NULL, 10);
}

void decode_fields(struct tree *t, const struct node *map, const struct field *fields, void *into)
{
	for (const struct field *f = fields; f->key; f++) {
		void *to = (char *)into + f->offset;
		const struct node *n = node_get(map, f->key);
		const char *text = node_text(map, f->key);
		switch (f->kind) {
		case F_TEXT:
			*(const char **)to = text;
			break;
		case F_WORDS:
			*(struct words *)to = decode_words(t, n);
			break;
		case F_PAIRS:
			*(struct pairs *)to = decode_pairs(t, n);
			break;
		case F_BOOL:
			*(bool *)to = text && strcmp(text, "true") == 0;
			break;
		case F_TRUTH:
			*(enum truth *)to = !text                       ? TRUTH_UNSET
					    : strcmp(text, "true") == 0 ? TRUTH_TRUE
									: TRUTH_FALSE;
			break;
		default:
			*(int64_t *)to = decode_number(text, f->kind);
			break;
		}
	}
}
