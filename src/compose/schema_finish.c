#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "compose/schema.h"

bool schema_is_empty(const struct node *n)
{
	switch (n->kind) {
	case NODE_NULL:
		return true;
	case NODE_BOOL:
		return n->text[0] == 'f';
	case NODE_INT:
	case NODE_FLOAT:
		return strcmp(n->text, "0") == 0;
	case NODE_STR:
		return !*n->text;
	default:
		return n->n == 0;
	}
}

static int check_required(
	const struct node *map, const struct rule *fields, const char *path, struct err *e)
{
	for (const struct rule *f = fields; f->key; f++) {
		if ((f->flags & RULE_REQUIRED) && !node_get(map, f->key)) {
			return node_err(e, map, "%s needs %s", path, f->key);
		}
	}
	return 0;
}

static bool is_dropped(const struct node *n, const struct rule *rule)
{
	bool zero = (rule->flags & RULE_SIZE) && n->kind == NODE_STR && strcmp(n->text, "0") == 0;
	return n->kind == NODE_NULL || (!(rule->flags & RULE_KEEP) && (zero || schema_is_empty(n)));
}

static int finish_fields(
	struct node *map, const struct rule *fields, const char *path, struct err *e)
{
	if (check_required(map, fields, path, e) < 0) {
		return -1;
	}
	size_t kept = 0;
	for (size_t i = 0; i < map->n; i++) {
		struct member *m = &map->members[i];
		const struct rule *rule = schema_field(fields, m->key);
		if (rule) {
			scoped(free) char *below =
				xasprintf("%s%s%s", path, *path ? "." : "", m->key);
			if (schema_finish(m->value, rule, below, e) < 0) {
				return -1;
			}
		}
		if (!rule || !is_dropped(m->value, rule)) {
			map->members[kept++] = *m;
		}
	}
	node_truncate(map, kept);
	return 0;
}

int schema_finish(struct node *n, const struct rule *rule, const char *path, struct err *e)
{
	if (n->kind == NODE_MAP && rule->fields) {
		return finish_fields(n, rule->fields, path, e);
	}
	const struct rule *each = n->kind == NODE_MAP ? rule->each : rule->item;
	if (!each || (!each->fields && !each->each)) {
		return 0;
	}
	for (size_t i = 0; i < n->n; i++) {
		struct member *m = &n->members[i];
		scoped(free) char *below =
			m->key ? xasprintf("%s.%s", path, m->key) : xasprintf("%s[%zu]", path, i);
		if (schema_finish(m->value, each, below, e) < 0) {
			return -1;
		}
	}
	return 0;
}
