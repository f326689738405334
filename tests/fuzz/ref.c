/* Parse, print, parse again: both forms of a valid reference mean the same image. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);
	struct ref first, again;
	struct err e;
	if (ref_parse(text, &first, &e) == 0) {
		char printed[REF_TEXT_MAX];
		assert(strlen(first.path) > 0 && strlen(first.domain) > 0);
		assert(ref_parse(ref_canonical(&first, printed), &again, &e) == 0);
		assert(memcmp(&first, &again, sizeof(first)) == 0);
		assert(ref_parse(ref_familiar(&first, printed), &again, &e) == 0);
		assert(memcmp(&first, &again, sizeof(first)) == 0);
	}
	free(text);
	return 0;
}
