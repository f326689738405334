#include "compose/show.h"

#include <ctype.h>
#include <string.h>

#include "base/text.h"
#include "compose/schema.h"

static struct node *show(struct tree *t, const struct node *n, const struct rule *rule, bool json);

static const char *shown_key(struct tree *t, const char *key, const struct rule *rule, bool json)
{
	if (!json || !rule || !(rule->flags & RULE_CAPITAL)) {
		return key;
	}
	char *capital = tree_strdup(t, key);
	capital[0] = (char)toupper((unsigned char)capital[0]);
	return capital;
}

static bool is_hidden(const struct member *m, const struct rule *rule, const struct rule *field)
{
	if (!field) {
		return text_starts(m->key, "x-") && rule != &rule_project;
	}
	if (rule == &rule_project && strcmp(m->key, "models") == 0) {
		return true; /* docker compose forgets them */
	}
	return (field->flags & RULE_NOT_JSON) && schema_is_empty(m->value);
}

/* What JSON has although nothing was written. */
static void show_absent(struct tree *t, struct node *map, const struct rule *fields)
{
	for (const struct rule *f = fields; f->key; f++) {
		if (node_get(map, f->key)) {
			continue;
		}
		if (f->flags & RULE_NULL) {
			node_put(t, map, f->key, node_new(t, NODE_NULL, NULL));
		} else if (f->flags & RULE_ALWAYS) {
			struct node *empty = node_new(t, NODE_MAP, NULL);
			show_absent(t, empty, f->fields);
			node_put(t, map, f->key, empty);
		}
	}
}

static struct node *show_fields(
	struct tree *t, const struct node *n, const struct rule *rule, bool json)
{
	struct node *map = node_new(t, NODE_MAP, n);
	node_each (m, n) {
		const struct rule *field = schema_field(rule->fields, m->key);
		if (json && is_hidden(m, rule, field)) {
			continue;
		}
		node_put(t, map, shown_key(t, m->key, field, json),
			field ? show(t, m->value, field, json) : m->value);
	}
	if (json) {
		show_absent(t, map, rule->fields);
	}
	return map;
}

/* A limit of 0 is in Go's types no single number. */
static struct node *show_zero(struct tree *t, const struct rule *rule, bool json)
{
	struct node *map = node_new(t, NODE_MAP, NULL);
	for (const struct rule *f = rule->fields; !json && f->key; f++) {
		node_put(t, map, f->key, node_int(t, 0, NULL));
	}
	return map;
}

static struct node *show_agents(struct tree *t, const struct node *n)
{
	struct node *list = node_new(t, NODE_LIST, n);
	node_each (m, n) {
		bool bare = m->value->kind == NODE_NULL || !*m->value->text;
		node_append(t, list,
			node_str(t, bare ? m->key : tree_printf(t, "%s=%s", m->key, m->value->text),
				m->value));
	}
	return list;
}

static struct node *show(struct tree *t, const struct node *n, const struct rule *rule, bool json)
{
	if (n->kind == NODE_MAP && (rule->flags & RULE_AGENTS)) {
		return show_agents(t, n);
	}
	if (n->kind == NODE_MAP && rule->fields) {
		return show_fields(t, n, rule, json);
	}
	if (n->kind == NODE_INT && rule->fields && (rule->types & AS_INT) && schema_is_empty(n)) {
		return show_zero(t, rule, json);
	}
	const struct rule *below = n->kind == NODE_MAP    ? rule->each
				   : n->kind == NODE_LIST ? rule->item
							  : NULL;
	struct node *copy = node_new(t, n->kind, n);
	copy->text = n->text;
	for (size_t i = 0; i < n->n; i++) {
		const struct member *m = &n->members[i];
		struct node *value = below ? show(t, m->value, below, json) : m->value;
		if (m->key) {
			node_put(t, copy, m->key, value);
		} else {
			node_append(t, copy, value);
		}
	}
	return copy;
}

struct node *show_project(struct tree *t, const struct node *root, bool json)
{
	return show(t, root, &rule_project, json);
}

struct node *show_service(struct tree *t, const struct node *service)
{
	return show(t, service, schema_field(rule_project.fields, "services")->each, true);
}
