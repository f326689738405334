/* Options and credentials of volumes: no password is shown, and nothing but the three keys comes
 * out of a credentials file. The input is both. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "volume/remote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next comma that is not one of two, or the end. */
static const char *part_end(const char *p)
{
	while (*p && !(*p == ',' && p[1] != ',')) {
		p += *p == ',' ? 2 : 1;
	}
	return p;
}

static void check_shown(const char *o)
{
	scoped(free) char *shown = remote_shown(o);
	scoped(free) char *again = remote_shown(shown);
	assert(strcmp(shown, again) == 0);
	for (const char *p = shown; *p; p += *p == ',') {
		if (text_starts(p, "password=") && p[9] && p[9] != ',') {
			assert(text_starts(p + 9, "********"));
		}
		p = part_end(p);
	}
}

static void check_credentials(const char *text)
{
	struct err e = {0};
	scoped(free) char *o = remote_credentials(text, &e);
	bool named = false;
	if (!o) {
		assert(e.kind == ERR_INVALID && *e.msg);
		return;
	}
	for (const char *p = o; *p; p += *p == ',') {
		named = named || text_starts(p, "username=");
		assert(text_starts(p, "username=") || text_starts(p, "password=") ||
			text_starts(p, "domain="));
		p = part_end(p);
	}
	assert(named && !strchr(o, '\n'));
	check_shown(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = {"nfs", "nfs4", "cifs", "smb3", "tmpfs"};
	scoped(free) char *text = xstrndup((const char *)data, size);
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		scoped(free) char *o = remote_options(types[i], text, text);
		assert(text_starts(o, text));
		check_shown(o);
	}
	check_credentials(text);
	return 0;
}
