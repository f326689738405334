#include "codec/glob.h"

#include <errno.h>
#include <stddef.h>

/* The character at *p, which may be escaped; moves past it. -1 when the pattern ends there. */
static int class_char(const char **p)
{
	if (**p == '\\') {
		(*p)++;
	}
	return **p ? (unsigned char)*(*p)++ : -1;
}

/* "[...]" at p: the end of it, or NULL when it is none. *ret_in says whether c is in it. */
static const char *match_class(const char *p, unsigned char c, bool *ret_in)
{
	bool in = false;
	p++;
	bool negated = *p == '^';
	p += negated;
	for (size_t ranges = 0; *p != ']' || ranges == 0; ranges++) {
		if (*p == ']' || *p == '-') {
			return NULL;
		}
		int low = class_char(&p);
		int high = low;
		if (*p == '-') {
			p++;
			if (*p == ']' || *p == '-') {
				return NULL;
			}
			high = class_char(&p);
		}
		if (low < 0 || high < 0) {
			return NULL;
		}
		in = in || (c >= low && c <= high);
	}
	*ret_in = in != negated;
	return p + 1;
}

int glob_check(const char *pattern)
{
	bool ignored;
	while (*pattern) {
		if (*pattern == '[') {
			pattern = match_class(pattern, 'x', &ignored);
			if (!pattern) {
				return -EINVAL;
			}
		} else if (*pattern == '\\' && !pattern[1]) {
			return -EINVAL;
		} else {
			pattern += *pattern == '\\' ? 2 : 1;
		}
	}
	return 0;
}

/* One character of text against the pattern's next element: past that element, or NULL. */
static const char *match_one(const char *p, char c)
{
	bool in;
	switch (*p) {
	case '\0':
	case '*':
		return NULL;
	case '?':
		return c != '/' ? p + 1 : NULL;
	case '[':
		p = match_class(p, (unsigned char)c, &in);
		return p && in ? p : NULL;
	case '\\':
		return p[1] == c ? p + 2 : NULL;
	default:
		return *p == c ? p + 1 : NULL;
	}
}

/* Only the last '*' can take more: what an earlier one took is as short as it can be. */
bool glob_match(const char *pattern, const char *text)
{
	const char *star = NULL;
	const char *star_text = NULL;
	if (glob_check(pattern) < 0) {
		return false;
	}
	while (*text || *pattern) {
		const char *next = *text ? match_one(pattern, *text) : NULL;
		if (*pattern == '*') {
			star = ++pattern;
			star_text = text;
		} else if (next) {
			pattern = next;
			text++;
		} else if (star && *star_text && *star_text != '/') {
			pattern = star;
			text = ++star_text;
		} else {
			return false;
		}
	}
	return true;
}
