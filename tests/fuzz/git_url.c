/* Names of repositories: nothing that git could take for an option, a file or a program. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/scoped.h"
#include "build/git_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(free) char *text = xstrndup((const char *)data, size);
	scoped(git_url) struct git_url g = {0};
	struct err e = {0};
	if (git_url_parse(text, &g, &e) < 0) {
		assert(e.kind == ERR_INVALID && *e.msg);
		return 0;
	}
	assert(*g.remote != '-' && *g.ref != '-' && *g.subdir != '/');
	assert(!strpbrk(g.remote, " \n\t\\") && !strpbrk(g.ref, " \n^:?*[") &&
		!strstr(g.ref, ".."));
	assert(strstr(g.remote, "://") || strchr(g.remote, '@'));
	assert(strncmp(g.subdir, "..", 2) != 0 || (g.subdir[2] && g.subdir[2] != '/'));
	scoped(git_url) struct git_url again = {0};
	assert(git_url_parse(g.remote, &again, &e) < 0 || strcmp(again.remote, g.remote) == 0);
	return 0;
}
