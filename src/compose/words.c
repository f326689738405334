#include "compose/words.h"

#include <ctype.h>
#include <string.h>

#include "base/buf.h"

static int invalid(const char *what, struct err *e)
{
	return err_set(e, ERR_INVALID, "the command cannot be split into words: %s", what);
}

/* Copies "$( ... )" as it stands. Returns the byte after it, or NULL when it is never closed. */
static const char *copy_substitution(const char *p, struct buf *word)
{
	int depth = 0;
	for (; *p; p++) {
		buf_putc(word, *p);
		depth += (*p == '(') - (*p == ')');
		if (depth == 0 && *p == ')') {
			return p + 1;
		}
	}
	return NULL;
}

/* Copies what stands between quotes; p is after the opening one. Returns the byte after the closing
 * one, or NULL. */
static const char *copy_quoted(const char *p, char quote, struct buf *word)
{
	for (; *p && *p != quote; p++) {
		if (*p == '\\' && quote != '\'' && p[1]) {
			p++;
		}
		buf_putc(word, *p);
	}
	return *p ? p + 1 : NULL;
}

/* One word from p. *ret_end is where it ended; *ret_any tells whether there was one ("''" is a
 * word). */
static int read_word(
	const char *p, struct buf *word, const char **ret_end, bool *ret_any, struct err *e)
{
	*ret_any = false;
	while (*p && !isspace((unsigned char)*p) && !strchr(";&|<>", *p)) {
		*ret_any = true;
		if (*p == '\'' || *p == '"') {
			p = copy_quoted(p + 1, *p, word);
			if (!p) {
				return invalid("a quote is never closed", e);
			}
		} else if (*p == '\\' && p[1]) {
			buf_putc(word, p[1]);
			p += 2;
		} else if (*p == '$' && p[1] == '(') {
			buf_putc(word, '$');
			p = copy_substitution(p + 1, word);
			if (!p) {
				return invalid("$( is never closed", e);
			}
		} else if (*p == '(') {
			return invalid("an unquoted (", e);
		} else {
			buf_putc(word, *p++);
		}
	}
	*ret_end = p;
	return 0;
}

int words_split(const char *text, struct strv *ret, struct err *e)
{
	for (const char *p = text;;) {
		while (isspace((unsigned char)*p)) {
			p++;
		}
		if (!*p || strchr(";&|<>", *p)) {
			return 0;
		}
		scoped(buf) struct buf word = BUF_INIT;
		bool any;
		if (read_word(p, &word, &p, &any, e) < 0) {
			return -1;
		}
		if (any) {
			strv_add(ret, buf_str(&word));
		}
	}
}
