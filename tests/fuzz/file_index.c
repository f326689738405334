/* The list of a kept context's files, as a damaged disk may give it. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "worker/context.h"
#include "worker/file_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned char boot[16];
	struct file_index x;
	struct err e = {0};
	char digest[65];
	if (file_index_parse(data, size, boot, &x, &e) < 0) {
		assert(x.n == 0 && e.kind == ERR_NOT_FOUND);
		return 0;
	}
	for (size_t i = 0; i < x.n; i++) { /* every one is found where it is */
		assert(file_index_find(&x, file_index_path(&x, &x.v[i])) == &x.v[i]);
	}
	(void)context_digest_index(&x, ".", NULL, NULL, digest, &e);
	file_index_deinit(&x);
	return 0;
}
