#include "compose/schema.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/text.h"
#include "compose/scalar.h"

struct check {
	struct tree *t;
	struct strv *warnings;
	struct err *e;
};

static int check_node(
	const struct check *c, struct node *n, const struct rule *rule, const char *path);

static const struct rule *find_rule(const struct rule *fields, const char *key)
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
				strv_addf(c->warnings, "%s:%d:%d: %s: \"%s\" is read as %s",
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

/* Go's time.Duration.String: "1h0m0s", "1m30s", "1.5s", "500ms", "1µs". */
static const char *format_duration(struct tree *t, int64_t ns)
{
	static const struct {
		int64_t ns;
		const char *unit;
	} small[] = {{1000000, "ms"}, {1000, "µs"}, {1, "ns"}};
	char fraction[16];
	const char *sign = ns < 0 ? "-" : "";
	uint64_t left = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
	int64_t unit = 1000000000;
	const char *word = "s";
	for (size_t i = 0; left > 0 && left < 1000000000 && i < 3; i++) {
		if (left >= (uint64_t)small[i].ns) {
			unit = small[i].ns;
			word = small[i].unit;
			break;
		}
	}
	/* nine digits of the part below the unit, without the zeros at the end */
	int digits = unit == 1000000000 ? 9 : unit == 1000000 ? 6 : unit == 1000 ? 3 : 0;
	snprintf(fraction, sizeof(fraction), ".%0*llu", digits,
		(unsigned long long)(left % (uint64_t)unit));
	for (size_t n = strlen(fraction);
		n > 0 && (fraction[n - 1] == '0' || fraction[n - 1] == '.'); n--) {
		fraction[n - 1] = '\0';
	}
	unsigned long long whole = left / (uint64_t)unit;
	if (whole < 60 || unit != 1000000000) {
		return tree_printf(t, "%s%llu%s%s", sign, whole, fraction, word);
	}
	return whole < 3600
		       ? tree_printf(t, "%s%llum%llu%ss", sign, whole / 60, whole % 60, fraction)
		       : tree_printf(t, "%s%lluh%llum%llu%ss", sign, whole / 3600, whole / 60 % 60,
				 whole % 60, fraction);
}

/* Durations and sizes take one spelling, so that another one is no change of the service. */
static int check_form(
	const struct check *c, struct node *n, const struct rule *rule, const char *path)
{
	int64_t value;
	if ((rule->flags & RULE_DURATION) && n->kind == NODE_STR) {
		if (parse_duration(n->text, &value) < 0) {
			return node_err(c->e, n,
				"%s: \"%s\" is not a duration; one like 1m30s or 500ms is expected",
				path, n->text);
		}
		n->text = format_duration(c->t, value);
	}
	if ((rule->flags & RULE_SIZE) && node_is_scalar(n) && strcmp(n->text, "-1") != 0) {
		if (parse_size(n->text, &value) < 0) {
			return node_err(c->e, n,
				"%s: \"%s\" is not a size; one like 64m or 1.5g is expected", path,
				n->text);
		}
		n->kind = NODE_STR;
		n->text = tree_printf(c->t, "%lld", (long long)value);
	}
	return 0;
}

static int check_fields(
	const struct check *c, struct node *map, const struct rule *fields, const char *path)
{
	for (size_t i = 0; i < map->n; i++) {
		struct member *m = &map->members[i];
		if (text_starts(m->key, "x-")) {
			continue;
		}
		const struct rule *rule = find_rule(fields, m->key);
		if (!rule) {
			return fail_unknown(c, map, m, fields, path);
		}
		scoped(free) char *below = xasprintf("%s%s%s", path, *path ? "." : "", m->key);
		if (rule->flags & RULE_UNSUPPORTED) {
			return member_err(c->e, map, m, "%s is not supported", below);
		}
		if (rule->flags & RULE_IGNORED) {
			strv_addf(c->warnings, "%s:%d:%d: %s is ignored",
				m->value->file ? m->value->file : map->file, m->line, m->column,
				below);
		}
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

static int check_items(
	const struct check *c, struct node *list, const struct rule *item, const char *path)
{
	for (size_t i = 0; i < list->n; i++) {
		scoped(free) char *below = xasprintf("%s[%zu]", path, i);
		struct node *value = list->members[i].value;
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
	settle_string(c, n, rule, path);
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
	if (check_form(c, n, rule, path) < 0) {
		return -1;
	}
	if (n->kind == NODE_MAP && rule->fields) {
		return check_fields(c, n, rule->fields, path);
	}
	if (n->kind == NODE_MAP && rule->each) {
		return check_each(c, n, rule, path);
	}
	if (n->kind == NODE_LIST && rule->item) {
		return check_items(c, n, rule->item, path);
	}
	return 0;
}

int schema_check(struct tree *t, struct node *n, const struct rule *rule, const char *path,
	struct strv *warnings, struct err *e)
{
	const struct check c = {t, warnings, e};
	return check_node(&c, n, rule, path);
}
