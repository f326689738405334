#include "compose/scalar.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_any(const char *text, const char *const *words)
{
	for (; *words; words++) {
		if (strcmp(text, *words) == 0) {
			return true;
		}
	}
	return false;
}

const char *scalar_format_float(double value, char text[static 40])
{
	if (isinf(value) || isnan(value)) {
		snprintf(text, 40, "%s", isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
		return text;
	}
	int digits = 1;
	for (; digits < 17; digits++) {
		snprintf(text, 40, "%.*e", digits - 1, value);
		if (strtod(text, NULL) == value) {
			break;
		}
	}
	snprintf(text, 40, "%.*e", digits - 1, value);
	int exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
	if (exponent >= -4 && exponent < 21 && (exponent < 6 || value == 0)) {
		int decimals = digits - 1 - exponent;
		snprintf(text, 40, "%.*f", decimals > 0 ? decimals : 0, value);
	}
	return text;
}

/* Digits of the base after the prefix, nothing else; within int64. */
static bool read_int(const char *text, int64_t *ret)
{
	bool negative = *text == '-';
	text += *text == '-' || *text == '+';
	int base = 10;
	if (text[0] == '0' && text[1]) {
		char c = (char)tolower((unsigned char)text[1]);
		base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
		text += c == 'x' || c == 'b' || c == 'o' ? 2 : 1;
	}
	if (!isxdigit((unsigned char)*text)) {
		return false;
	}
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, base);
	if (*end || errno || value > INT64_MAX) {
		return false;
	}
	*ret = negative ? -(int64_t)value : (int64_t)value;
	return true;
}

/* [-+]? ( .digits | digits [.digits*] ) ( [eE] [-+]? digits )? */
static bool is_float(const char *p)
{
	p += *p == '-' || *p == '+';
	size_t whole = strspn(p, "0123456789");
	p += whole;
	if (*p == '.') {
		size_t fraction = strspn(p + 1, "0123456789");
		if (whole == 0 && fraction == 0) {
			return false;
		}
		p += 1 + fraction;
	} else if (whole == 0) {
		return false;
	}
	if (*p == 'e' || *p == 'E') {
		p++;
		p += *p == '-' || *p == '+';
		size_t n = strspn(p, "0123456789");
		if (n == 0) {
			return false;
		}
		p += n;
	}
	return *p == '\0';
}

#define PLAIN_MAX 64u

/* The number without its underscores; *ret_value when it is whole. NODE_STR when it is none. */
static enum node_kind number_kind(
	const char *text, char plain[static PLAIN_MAX], int64_t *ret_value)
{
	if (!isdigit((unsigned char)*text) && !strchr("+-.", *text)) {
		return NODE_STR;
	}
	size_t len = 0;
	for (const char *p = text; *p; p++) {
		if (len == PLAIN_MAX - 1) {
			return NODE_STR;
		}
		if (*p != '_') {
			plain[len++] = *p;
		}
	}
	plain[len] = '\0';
	if (read_int(plain, ret_value)) {
		return NODE_INT;
	}
	return is_float(plain) ? NODE_FLOAT : NODE_STR;
}

static enum node_kind word_kind(const char *text)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
	static const char *const truths[] = {
		"true", "True", "TRUE", "false", "False", "FALSE", NULL};
	if (strlen(text) > strlen("false")) {
		return NODE_STR;
	}
	return is_any(text, nulls) ? NODE_NULL : is_any(text, truths) ? NODE_BOOL : NODE_STR;
}

enum node_kind scalar_kind(const char *text)
{
	char plain[PLAIN_MAX];
	int64_t value;
	enum node_kind kind = word_kind(text);
	return kind == NODE_STR ? number_kind(text, plain, &value) : kind;
}

void scalar_resolve(struct tree *t, struct node *n, const char *text)
{
	char plain[PLAIN_MAX];
	char formatted[40];
	int64_t value;
	n->kind = word_kind(text);
	if (n->kind == NODE_STR) {
		n->kind = number_kind(text, plain, &value);
	}
	switch (n->kind) {
	case NODE_NULL:
		n->text = "";
		break;
	case NODE_BOOL:
		n->text = strchr("tT", *text) ? "true" : "false";
		break;
	case NODE_INT:
		n->text = tree_printf(t, "%lld", (long long)value);
		break;
	case NODE_FLOAT:
		n->text = tree_strdup(t, scalar_format_float(strtod(plain, NULL), formatted));
		break;
	default:
		n->text = tree_strdup(t, text);
	}
}
