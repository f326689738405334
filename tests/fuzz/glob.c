/* "PATTERN\nTEXT": a pattern without special characters matches itself only; a broken one nothing.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *pattern = xstrndup((const char *)data, size);
	char *text = strchr(pattern, '\n');
	if (text) {
		*text++ = '\0';
		bool match = glob_match(pattern, text);
		assert(!match || glob_check(pattern) == 0);
		if (!strpbrk(pattern, "*?[\\")) {
			assert(match == (strcmp(pattern, text) == 0));
		}
	}
	free(pattern);
	return 0;
}
