/* A line that is taken has a route's alphabet and numbers in their bounds, and is taken again from
 * what was read of it. */
#include <assert.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/access_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct access_line l, again;
	if (access_line_parse((const char *)data, size, &l) == 0) {
		assert(l.status >= 100 && l.status <= 599 && l.bytes >= 0 && l.ms >= 0);
		assert(strspn(l.route, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(l.route));
		char *line =
			xasprintf("- \"\" %d %" PRId64 " \"\" \"\" h %s %" PRId64 ".%03" PRId64,
				l.status, l.bytes, l.route, l.ms / 1000, l.ms % 1000);
		assert(access_line_parse(line, strlen(line), &again) == 0);
		assert(again.ms == l.ms && again.bytes == l.bytes &&
			strcmp(again.route, l.route) == 0);
		free(line);
	}
	return 0;
}
