#include "base/strv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

void strv_clear(struct strv *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->v[i]);
	}
	free(s->v);
	*s = (struct strv)STRV_INIT;
}

void strv_deinit(struct strv *s)
{
	strv_clear(s);
}

void strv_take(struct strv *s, char *take_text)
{
	s->v = xrealloc(s->v, s->n + 2, sizeof(*s->v));
	s->v[s->n++] = take_text;
	s->v[s->n] = NULL;
}

void strv_add(struct strv *s, const char *text)
{
	strv_take(s, xstrdup(text));
}

void strv_addn(struct strv *s, const char *text, size_t n)
{
	strv_take(s, xstrndup(text, n));
}

void strv_addf(struct strv *s, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	strv_take(s, xvasprintf(fmt, args));
	va_end(args);
}

void strv_copy(struct strv *dst, const struct strv *src)
{
	for (size_t i = 0; i < src->n; i++) {
		strv_add(dst, src->v[i]);
	}
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *s)
{
	if (s->n > 0) {
		qsort(s->v, s->n, sizeof(*s->v), by_bytes);
	}
}

bool strv_equal(const struct strv *a, const struct strv *b)
{
	bool equal = a->n == b->n;
	for (size_t i = 0; equal && i < a->n; i++) {
		equal = strcmp(a->v[i], b->v[i]) == 0;
	}
	return equal;
}

bool strv_has(const struct strv *s, const char *text)
{
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->v[i], text) == 0) {
			return true;
		}
	}
	return false;
}

void strv_split(struct strv *s, const char *text, char sep)
{
	if (!*text) {
		return;
	}
	for (;;) {
		const char *end = strchrnul(text, sep);
		strv_addn(s, text, (size_t)(end - text));
		if (!*end) {
			return;
		}
		text = end + 1;
	}
}

static char *take_quoted(const char **p)
{
	struct buf field = BUF_INIT;
	const char *c = *p + 1;
	for (; *c && (*c != '"' || c[1] == '"'); c++) {
		buf_putc(&field, *c);
		c += *c == '"';
	}
	*p = c + 1;
	if (*c != '"' || (c[1] && c[1] != ',')) {
		buf_deinit(&field);
		return NULL;
	}
	return buf_take_str(&field);
}

int strv_split_csv(struct strv *s, const char *text)
{
	for (const char *p = text;; p++) {
		if (*p == '"') {
			char *field = take_quoted(&p);
			if (!field) {
				return -EINVAL;
			}
			strv_take(s, field);
		} else {
			size_t n = strcspn(p, ",");
			strv_addn(s, p, n);
			p += n;
		}
		if (!*p) {
			return 0;
		}
	}
}

/* The index of the entry with this key, or s->n. */
static size_t env_index(const struct strv *s, const char *key, size_t key_len)
{
	for (size_t i = 0; i < s->n; i++) {
		if (strncmp(s->v[i], key, key_len) == 0 &&
			(s->v[i][key_len] == '=' || s->v[i][key_len] == '\0')) {
			return i;
		}
	}
	return s->n;
}

const char *strv_env_get(const struct strv *s, const char *key)
{
	size_t len = strlen(key);
	size_t i = env_index(s, key, len);
	if (i == s->n || s->v[i][len] != '=') {
		return NULL;
	}
	return s->v[i] + len + 1;
}

void strv_env_set(struct strv *s, const char *assignment)
{
	size_t i = env_index(s, assignment, strcspn(assignment, "="));
	if (i == s->n) {
		strv_add(s, assignment);
		return;
	}
	char *copy = xstrdup(assignment);
	free(s->v[i]);
	s->v[i] = copy;
}
