/* base/strv.h - a list of strings that owns them; v is NULL-terminated once anything was added. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct strv {
	char **v;
	size_t n;
};

#define STRV_INIT \
	{         \
		0 \
	}

void strv_deinit(struct strv *s);
static inline void scoped_strv(struct strv *s)
{
	strv_deinit(s);
}

void strv_add(struct strv *s, const char *text); /* copies */
void strv_addn(struct strv *s, const char *text, size_t n);
void strv_addf(struct strv *s, const char *fmt, ...) PRINTF(2, 3);
void strv_take(struct strv *s, char *take_text);
void strv_copy(struct strv *dst, const struct strv *src); /* appends all of src to dst */
void strv_clear(struct strv *s);
void strv_sort(struct strv *s);                              /* by bytes */
bool strv_equal(const struct strv *a, const struct strv *b); /* the same, in the same order */
bool strv_has(const struct strv *s, const char *text);
void strv_split(
	struct strv *s, const char *text, char sep); /* appends the parts; "" adds nothing */
/* A record of comma separated fields, "..." around those with commas, "" for a quote inside (RFC
 * 4180). -EINVAL when a quoted field does not end; what came before it is appended all the same. */
int strv_split_csv(struct strv *s, const char *text);

/* Environment lists, "KEY=value". strv_env_get: the value, borrowed, or NULL.
 * strv_env_set replaces in place, or appends. Both compare the bytes before '='. */
const char *strv_env_get(const struct strv *s, const char *key);
void strv_env_set(struct strv *s, const char *assignment);
