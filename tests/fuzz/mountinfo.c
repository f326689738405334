/* A table of mounts, in which containers and those who plug sticks in have their say: each line
 * comes whole or not at all, and what looks for one finds what the walk does. */
#include "sys/mountinfo.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/scoped.h"
#include "sys/mounts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(free) char *text = xstrndup((const char *)data, size);
	scoped(free) char *copy = xstrdup(text);
	struct mountinfo m;
	size_t n = 0;
	for (char *p = copy; mountinfo_next(&p, &m); n++) {
		struct mount_line line;
		assert(m.dev && m.root && m.place && m.flags && m.fstype && m.source && m.options);
		assert(m.id >= 0 && strchr(m.dev, ':'));
		assert(!strchr(m.flags, ' ') && !strchr(m.fstype, '\n'));
		if (n < 64) {
			assert(mount_find(text, m.id, &line));
			assert(mount_has(text, m.major, m.minor));
		}
	}
	return 0;
}
