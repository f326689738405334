#include "codec/access_line.h"

#include <string.h>

#define ROUTE_BYTES "abcdefghijklmnopqrstuvwxyz0123456789-"
#define NUMBER_DIGITS_MAX 15

struct rest {
	const char *p, *end;
};

/* Past the next c; -1 when there is none. */
static int skip_to(struct rest *r, char c)
{
	const char *at = memchr(r->p, c, (size_t)(r->end - r->p));
	if (!at) {
		return -1;
	}
	r->p = at + 1;
	return 0;
}

static int skip_quotes(struct rest *r, int n)
{
	int left = n;
	while (left > 0 && skip_to(r, '"') == 0) {
		left--;
	}
	return left == 0 ? 0 : -1;
}

static int skip(struct rest *r, char c)
{
	if (r->p == r->end || *r->p != c) {
		return -1;
	}
	r->p++;
	return 0;
}

static int take_number(struct rest *r, int64_t *ret)
{
	int digits = 0;
	for (*ret = 0; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++) {
		if (++digits > NUMBER_DIGITS_MAX) {
			return -1;
		}
		*ret = *ret * 10 + (*r->p - '0');
	}
	return digits > 0 ? 0 : -1;
}

static int take_route(struct rest *r, char *ret)
{
	size_t n = 0;
	for (; r->p < r->end && *r->p != ' '; r->p++) {
		if (n == ACCESS_ROUTE_MAX || !*r->p || !strchr(ROUTE_BYTES, *r->p)) {
			return -1;
		}
		ret[n++] = *r->p;
	}
	ret[n] = '\0';
	if (strcmp(ret, "-") == 0) { /* nginx's word for nothing */
		ret[0] = '\0';
	}
	return 0;
}

/* "1.234": nginx always writes three decimals. */
static int take_seconds(struct rest *r, int64_t *ret_ms)
{
	int64_t whole, part;
	if (take_number(r, &whole) < 0 || skip(r, '.') < 0) {
		return -1;
	}
	const char *decimals = r->p;
	if (take_number(r, &part) < 0 || r->p - decimals != 3 || whole > INT64_MAX / 1000 - 1) {
		return -1;
	}
	*ret_ms = whole * 1000 + part;
	return 0;
}

int access_line_parse(const char *line, size_t n, struct access_line *ret)
{
	struct rest r = {line, line + n};
	int64_t status;
	if (skip_quotes(&r, 2) < 0 || skip(&r, ' ') < 0 || /* the request's */
		take_number(&r, &status) < 0 || status < 100 || status > 599 || skip(&r, ' ') < 0 ||
		take_number(&r, &ret->bytes) < 0) {
		return -1;
	}
	ret->status = (int)status;
	/* the quotes of the referer and of the agent */
	return skip_quotes(&r, 4) == 0 && skip(&r, ' ') == 0 && skip_to(&r, ' ') == 0 &&
			       take_route(&r, ret->route) == 0 && skip(&r, ' ') == 0
		       ? take_seconds(&r, &ret->ms)
		       : -1;
}
