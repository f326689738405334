/* Variables, dotenv files and commands: never a crash; text without a `$` stays as it is, and
 * doubling each `$` hides it. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compose/env.h"
#include "compose/interpolate.h"
#include "compose/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *lookup(void *owner, const char *name)
{
	return strlen(name) % 2 ? "$odd" : NULL;
}

static void check_interpolation(const char *text)
{
	const struct variables vars = {.lookup = lookup};
	struct buf got = BUF_INIT;
	struct buf doubled = BUF_INIT;
	struct err e;
	int r = interpolate(text, &vars, &got, &e);
	assert(r == 0 || strchr(text, '$'));
	assert(strchr(text, '$') || strcmp(buf_str(&got), text) == 0);
	for (const char *p = text; *p; p++) {
		buf_puts(&doubled, *p == '$' ? "$" : "");
		buf_putc(&doubled, *p);
	}
	buf_clear(&got);
	r = interpolate(buf_str(&doubled), &vars, &got, &e);
	assert(r == 0 && strcmp(buf_str(&got), text) == 0);
	buf_deinit(&got);
	buf_deinit(&doubled);
}

static void check_dotenv(const char *data, size_t size)
{
	struct env *into = env_new();
	struct err e;
	if (dotenv_parse(".env", data, size, false, NULL, into, &e) < 0) {
		assert(strncmp(e.msg, ".env:", 5) == 0);
	}
	size_t pos = 0;
	for (const char *name; (name = env_next(into, &pos, NULL));) {
		assert(*name && !strchr(name, '='));
	}
	env_free(into);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);
	struct strv words = STRV_INIT;
	struct err e;
	check_interpolation(text);
	check_dotenv((const char *)data, size);
	words_split(text, &words, &e);
	strv_deinit(&words);
	free(text);
	return 0;
}
