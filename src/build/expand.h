/* build/expand.h - variables, quotes and escapes in Dockerfile words.
 *
 * $x ${x} ${x:-w} ${x-w} ${x:+w} ${x+w} ${x:?w} ${x?w} ${x#p} ${x##p} ${x%p} ${x%%p} ${x/p/r}
 * ${x//p/r}, nested; patterns know * and ? only, as BuildKit's. $1, $@, $$ and the like are empty.
 * Pure: values come from a callback.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/strv.h"

#define EXPAND_RESULT_MAX (1u << 20)

struct expander {
	/* The value of the name of n bytes, borrowed until the next call, or NULL when it is not
	 * set. */
	const char *(*lookup)(void *owner, const char *name, size_t n);
	void *owner;
	char escape;      /* '\\' or '`' */
	bool keep_quotes; /* quotes are plain text: here-documents */
	/* Told of a name without a value that nothing stands in for; may be NULL. */
	void (*missing)(void *owner, const char *name, size_t n);
};

/* One word: quotes are taken off, blanks in values stay. *ret is the caller's. ERR_INVALID without
 * a file and line. */
int expand_word(const struct expander *x, const char *text, char **ret, struct err *e);
/* Split at blanks outside of quotes, also where a value brings them; appended to *ret. */
int expand_words(const struct expander *x, const char *text, struct strv *ret, struct err *e);
/* Whether a glob of * and ? (and escapes by backslash) matches all n bytes. */
bool expand_glob(const char *pattern, const char *text, size_t n);
