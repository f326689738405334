/* --mount flags: what is accepted has what its type needs. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/scoped.h"
#include "build/run_mount.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *lookup(void *owner, const char *name, size_t n)
{
	return *name == 'a' ? "/one,two" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 1024) {
		return 0;
	}
	scoped(free) char *text = xstrndup((const char *)data, size);
	scoped(free) char *from = run_mount_from(text);
	scoped(run_mount) struct run_mount m = {0};
	const struct expander x = {.lookup = lookup, .escape = '\\'};
	struct err e = {0};
	assert(!from || *from);
	if (run_mount_parse(text, &x, &m, &e) < 0) {
		assert(e.kind == ERR_INVALID && *e.msg);
		return 0;
	}
	assert(m.id && m.type <= RUN_MOUNT_SSH && m.sharing <= RUN_MOUNT_LOCKED);
	assert(m.target || m.type >= RUN_MOUNT_SECRET);
	assert(m.mode <= 07777 && m.size >= 0);
	assert(!m.required || m.type >= RUN_MOUNT_SECRET);
	assert(m.sharing == RUN_MOUNT_SHARED || m.type == RUN_MOUNT_CACHE);
	assert(!m.env || (*m.env && !strchr(m.env, '=')));
	return 0;
}
