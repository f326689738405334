#include "compose/schema.h"

#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "compose/scalar.h"
#include "compose/schema_form.h"

struct check {
	struct tree *t;
	struct strv *warnings;
	struct err *e;
};

static int check_node(
	const struct check *c, struct node *n, const struct rule *rule, const char *path);

const struct rule *schema_field(const struct rule *fields, const char *key)
{
	for (; fields->key; fields++) {
		if (strcmp(fields->key, key) == 0) {
			return fields;
		}
	}
	return NULL;
}

static const char *nearest_key(const struct rule *fields, const char *key)
{
	const char *nearest = NULL;
	unsigned best = strlen(key) < 5 ? 2 : 4;
	for (; fields->key; fields++) {
		unsigned d = text_distance(key, fields->key);
		if (d < best) {
			best = d;
			nearest = fields->key;
		}
	}
	return nearest;
}

static int fail_unknown(const struct check *c, const struct node *map, const struct member *m,
	const struct rule *fields, const char *path)
{
	const char *nearest = nearest_key(fields, m->key);
	path = *path ? path : "the file";
	if (nearest) {
		return member_err(c->e, map, m, "unknown key \"%s\" in %s: did you mean \"%s\"?",
			m->key, path, nearest);
	}
	struct buf known = BUF_INIT;
	for (const struct rule *f = fields; f->key && known.len < 200; f++) {
		buf_printf(&known, "%s%s", known.len ? ", " : "", f->key);
	}
	member_err_(c->e, map, m, "unknown key \"%s\" in %s: expected one of %s%s", m->key, path,
		buf_str(&known), known.len >= 200 ? ", ..." : "");
	buf_deinit(&known);
	return -1;
}

static void describe_types(unsigned types, struct buf *ret)
{
	static const struct {
		unsigned types;
		const char *word;
	} words[] = {
		{AS_STR, "a string"},
		{AS_BOOL, "true or false"},
		{AS_NUM, "a number"},
		{AS_MAP, "a mapping"},
		{AS_LIST, "a list"},
	};
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (types & words[i].types) {
			buf_printf(ret, "%s%s", ret->len ? " or " : "", words[i].word);
		}
	}
}

static int fail_type(
	const struct check *c, const struct node *n, const struct rule *rule, const char *path)
{
	struct buf expected = BUF_INIT;
	describe_types(rule->types, &expected);
	bool quote = (rule->types & AS_STR) && node_is_scalar(n) && n->kind != NODE_NULL;
	node_err_(c->e, n, "%s must be %s, not %s%s%s%s", path, buf_str(&expected),
		node_kind_word(n->kind), quote ? ": write \"" : "", quote ? n->text : "",
		quote ? "\"" : "");
	buf_deinit(&expected);
	return -1;
}

static const char *truth_word(const struct check *c, const struct node *n, const char *path)
{
	static const char *const words[2][4] = {{"no", "n", "off", NULL}, {"yes", "y", "on", NULL}};
	if (strcmp(n->text, "true") == 0 || strcmp(n->text, "false") == 0) {
		return n->text;
	}
	for (int truth = 0; truth < 2; truth++) {
		for (size_t i = 0; words[truth][i]; i++) {
			if (strcasecmp(n->text, words[truth][i]) == 0) {
				const char *meant = truth ? "true" : "false";
				strv_addf(c->warnings,
					"%s:%d:%d: %s: \"%s\" for boolean is not supported by YAML 1.2, please use `%s`",
					n->file, n->line, n->column, path, n->text, meant);
				return meant;
			}
		}
	}
	return NULL;
}

/* A string where only a boolean or a number fits, as interpolation leaves one. */
static void settle_string(
	const struct check *c, struct node *n, const struct rule *rule, const char *path)
{
	if (n->kind != NODE_STR || (rule->types & AS_STR)) {
		return;
	}
	const char *truth = rule->types & AS_BOOL ? truth_word(c, n, path) : NULL;
	if (truth) {
		n->kind = NODE_BOOL;
		n->text = truth;
		return;
	}
	struct node number = {0};
	scalar_resolve(c->t, &number, n->text);
	if (rule->types & AS(number.kind) & AS_NUM) {
		n->kind = number.kind;
		n->text = number.text;
	}
}

static int check_fields(
	const struct check *c, struct node *map, const struct rule *fields, const char *path)
{
	for (size_t i = 0; i < map->n; i++) {
		struct member *m = &map->members[i];
		if (text_starts(m->key, "x-")) {
			continue;
		}
		const struct rule *rule = schema_field(fields, m->key);
		if (!rule) {
			return fail_unknown(c, map, m, fields, path);
		}
		scoped(free) char *below = xasprintf("%s%s%s", path, *path ? "." : "", m->key);
		if (check_node(c, m->value, rule, below) < 0) {
			return -1;
		}
		if (m->value->kind == NODE_NULL && !(rule->types & AS_NULL) &&
			m->value->tag == TAG_NONE) {
			node_remove(map,
				m->key); /* `environment:` with nothing below it says nothing */
			i--;
		}
	}
	return 0;
}

static bool is_name(const char *text)
{
	size_t n =
		strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
	return n > 0 && text[n] == '\0';
}

static int check_each(
	const struct check *c, struct node *map, const struct rule *rule, const char *path)
{
	node_each (m, map) {
		if ((rule->flags & RULE_NAMES) && text_starts(m->key, "x-")) {
			continue;
		}
		if ((rule->flags & RULE_NAMES) && !is_name(m->key)) {
			return member_err(c->e, map, m,
				"%s: \"%s\" is not a name: letters, digits, '.', '_' and '-' are expected",
				path, m->key);
		}
		scoped(free) char *below = xasprintf("%s.%s", path, m->key);
		if (check_node(c, m->value, rule->each, below) < 0) {
			return -1;
		}
		if (m->value->kind == NODE_NULL && !(rule->each->types & AS_NULL) &&
			m->value->tag == TAG_NONE) {
			return fail_type(c, m->value, rule->each, below);
		}
	}
	return 0;
}

/* A list that may be long: its items are compared by their texts first. */
static int check_unique(
	const struct check *c, const struct node *list, const struct node *value, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		const struct node *before = list->members[k].value;
		if (before->text[0] == value->text[0] && node_equal(before, value)) {
			return node_err(c->e, value, "\"%s\" is already in the list, in line %d",
				value->text, before->line);
		}
	}
	return 0;
}

static int check_items(
	const struct check *c, struct node *list, const struct rule *rule, const char *path)
{
	const struct rule *item = rule->item;
	for (size_t i = 0; i < list->n; i++) {
		scoped(free) char *below = xasprintf("%s[%zu]", path, i);
		struct node *value = list->members[i].value;
		if ((rule->flags & RULE_UNIQUE) && check_unique(c, list, value, i) < 0) {
			return -1;
		}
		if (check_node(c, value, item, below) < 0) {
			return -1;
		}
		if (value->kind == NODE_NULL && !(item->types & AS_NULL)) {
			return fail_type(c, value, item, below);
		}
	}
	return 0;
}

static int check_node(
	const struct check *c, struct node *n, const struct rule *rule, const char *path)
{
	if (tree_is_variable(c->t, n)) {
		return 0;
	}
	if (tree_keeps_variables(c->t)) {
		struct node settled = *n;
		settle_string(c, &settled, rule, path);
		if (node_is_scalar(n) && (rule->types & AS(settled.kind))) {
			return schema_form(c->t, n, rule, path, c->e); /* as it was written */
		}
	} else {
		settle_string(c, n, rule, path);
	}
	if (n->kind == NODE_NULL) {
		return 0; /* the caller drops it or refuses it */
	}
	if (n->kind == NODE_FLOAT && (rule->types & AS_NUM) == AS_INT &&
		!strpbrk(n->text, ".eIN")) {
		n->kind = NODE_INT; /* 08 */
	}
	if (!(rule->types & AS(n->kind))) {
		return fail_type(c, n, rule, path);
	}
	if (schema_form(c->t, n, rule, path, c->e) < 0) {
		return -1;
	}
	if (n->kind == NODE_MAP && rule->fields) {
		return check_fields(c, n, rule->fields, path);
	}
	if (n->kind == NODE_MAP && rule->each) {
		return check_each(c, n, rule, path);
	}
	if (n->kind == NODE_LIST && rule->item) {
		return check_items(c, n, rule, path);
	}
	return 0;
}

int schema_check(struct tree *t, struct node *n, const struct rule *rule, const char *path,
	struct strv *warnings, struct err *e)
{
	const struct check c = {t, warnings, e};
	return check_node(&c, n, rule, path);
}
