#include "compose/schema_form.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "compose/duration.h"

static int to_duration(struct tree *t, struct node *n, const char *path, struct err *e)
{
	int64_t ns;
	if (duration_parse(n->text, &ns) < 0) {
		return node_err(e, n,
			"%s: \"%s\" is not a duration; one like 1m30s or 500ms is expected", path,
			n->text);
	}
	n->text = duration_format(t, ns);
	return 0;
}

static int to_size(struct tree *t, struct node *n, const char *path, struct err *e)
{
	int64_t bytes;
	if (strcmp(n->text, "-1") == 0) {
		bytes = -1;
	} else if (parse_size(n->text, &bytes) < 0) {
		return node_err(e, n, "%s: \"%s\" is not a size; one like 64m or 1.5g is expected",
			path, n->text);
	}
	n->kind = NODE_STR;
	n->text = tree_printf(t, "%lld", (long long)bytes);
	return 0;
}

/* Go converts 1.9 to 1. */
static int to_whole(struct tree *t, struct node *n, const char *path, struct err *e)
{
	double value = strtod(n->text, NULL);
	if (!(fabs(value) < 9e18)) {
		return node_err(e, n, "%s: %s is too large", path, n->text);
	}
	n->kind = NODE_INT;
	n->text = tree_printf(t, "%lld", (long long)value);
	return 0;
}

/* A float in Go: the shortest text that is read back as the same one. */
static int to_cpus(struct tree *t, struct node *n, const char *path, struct err *e)
{
	char *end;
	double cpus = strtod(n->text, &end);
	if (end == n->text || *end || !(cpus >= 0) || cpus > 100000) {
		return node_err(
			e, n, "%s: a number like 0.5 is expected, not \"%s\"", path, n->text);
	}
	char text[40];
	for (int digits = 1; digits <= 9; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, cpus);
		if (strtof(text, NULL) == (float)cpus) {
			break;
		}
	}
	n->kind = NODE_FLOAT;
	n->text = tree_strdup(t, text);
	return 0;
}

/* "all" is -1. */
static int to_count(struct tree *t, struct node *n, const char *path, struct err *e)
{
	int64_t count = -1;
	if (strcasecmp(n->text, "all") != 0 &&
		parse_i64(n->text, INT64_MIN, INT64_MAX, &count) < 0) {
		return node_err(
			e, n, "%s: \"all\" or a number is expected, not \"%s\"", path, n->text);
	}
	n->kind = NODE_INT;
	n->text = tree_printf(t, "%lld", (long long)count);
	return 0;
}

/* "0440" and 0o440 (which YAML already read as 288) are both printed as "0440", or as 288. */
static int to_mode(struct tree *t, struct node *n, bool number, const char *path, struct err *e)
{
	char *end;
	long long mode = strtoll(n->text, &end, n->kind == NODE_STR ? 8 : 10);
	if (end == n->text || (*end && n->kind != NODE_FLOAT)) {
		return node_err(e, n, "%s: octal digits like \"0440\" are expected, not \"%s\"",
			path, n->text);
	}
	n->kind = number ? NODE_INT : NODE_STR;
	n->text = number ? tree_printf(t, "%lld", mode)
			 : tree_printf(t, "0%llo", (unsigned long long)mode);
	return 0;
}

static int fail_word(
	const struct node *n, const char *const *words, const char *path, struct err *e)
{
	struct buf all = BUF_INIT;
	for (size_t i = 0; words[i]; i++) {
		buf_printf(&all, "%s%s", i ? ", " : "", words[i]);
	}
	node_err_(e, n, "%s: one of %s is expected, not \"%s\"", path, buf_str(&all), n->text);
	buf_deinit(&all);
	return -1;
}

static int check_word(
	const struct node *n, const char *const *words, const char *path, struct err *e)
{
	for (size_t i = 0; words[i]; i++) {
		if (strcmp(n->text, words[i]) == 0) {
			return 0;
		}
	}
	return fail_word(n, words, path, e);
}

int schema_form(
	struct tree *t, struct node *n, const struct rule *rule, const char *path, struct err *e)
{
	static const char *const all[] = {"all", NULL};
	if (!node_is_scalar(n) || (tree_keeps_variables(t) && !rule->words)) {
		return 0;
	}
	if (rule->words) {
		return check_word(n, rule->words, path, e);
	}
	if (rule->flags & RULE_TEXT) {
		n->kind = NODE_STR;
		return 0;
	}
	switch (rule->flags & (RULE_DURATION | RULE_SIZE | RULE_WHOLE | RULE_CPUS | RULE_MODE |
				      RULE_OCTAL | RULE_COUNT | RULE_GPUS)) {
	case RULE_DURATION:
		return to_duration(t, n, path, e);
	case RULE_SIZE:
		return to_size(t, n, path, e);
	case RULE_WHOLE:
		return to_whole(t, n, path, e);
	case RULE_CPUS:
		return to_cpus(t, n, path, e);
	case RULE_MODE:
	case RULE_OCTAL:
		return to_mode(t, n, rule->flags & RULE_OCTAL, path, e);
	case RULE_COUNT:
		return to_count(t, n, path, e);
	case RULE_GPUS:
		return check_word(n, all, path, e);
	default:
		return 0;
	}
}
