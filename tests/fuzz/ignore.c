/* .dockerignore: the last line is a path, the rest the file. What lies below something ignored is
 * ignored, unless a "!" may take it back. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/scoped.h"
#include "build/ignore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
SCOPED(struct ignore *, ignore_free)

static void check_path(const struct ignore *g, const char *path)
{
	scoped(free) char *below = xasprintf("%s/x", path);
	if (!*path || *path == '/') {
		return;
	}
	bool ignored = ignore_match(g, path);
	if (ignored && !ignore_may_hold_kept(g, path)) {
		assert(ignore_match(g, below));
	}
	if (!strpbrk(path, "*?[\\")) {
		assert(ignore_pattern_match(path, path));
	}
	assert(ignore_pattern_match("**", path));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = {0};
	if (size > 1024 || memchr(data, '\0', size)) {
		return 0;
	}
	scoped(free) char *text = xstrndup((const char *)data, size);
	char *last = strrchr(text, '\n');
	const char *path = last ? last + 1 : text;
	scoped(ignore_free) struct ignore *g =
		ignore_parse(text, last ? (size_t)(last - text) : 0, "I", &e);
	if (!g) {
		assert(strncmp(e.msg, "I:", 2) == 0);
		return 0;
	}
	check_path(g, path);
	return 0;
}
