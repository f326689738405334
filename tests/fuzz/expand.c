/* Words of a Dockerfile: what holds nothing special stays as it is, results are bounded. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/scoped.h"
#include "build/expand.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *lookup(void *owner, const char *name, size_t n)
{
	assert(n > 0 && !memchr(name, '}', n));
	return *name == 'a' ? "one two/three.four" : *name == 'b' ? "" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 512) {
		return 0;
	}
	scoped(free) char *text = xstrndup((const char *)data, size);
	scoped(free) char *word = NULL;
	scoped(strv) struct strv words = STRV_INIT;
	struct err e = {0};
	struct expander x = {.lookup = lookup, .escape = '\\', .keep_quotes = size % 2 == 1};
	if (expand_word(&x, text, &word, &e) == 0) {
		assert(strlen(word) <= EXPAND_RESULT_MAX);
		assert(strpbrk(text, "$'\"\\") || strcmp(word, text) == 0);
		assert(expand_words(&x, text, &words, &e) == 0);
		for (size_t i = 0; i < words.n; i++) {
			assert(strlen(words.v[i]) <= strlen(word));
		}
	} else {
		assert(e.kind == ERR_INVALID && *e.msg);
		assert(expand_words(&x, text, &words, &e) < 0);
	}
	return 0;
}
