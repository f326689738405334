/* ps prints what processes call themselves: whatever that is, a table has only rows of our pids, as
 * wide as its titles. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "worker/top_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const pid_t pids[] = {1, 10, 4321};
	struct err e;
	scoped(free) char *text = xstrndup((const char *)data, size);
	scoped(json) json_t *t = top_table(text, pids, sizeof(pids) / sizeof(*pids), &e);
	size_t i;
	json_t *row;
	size_t width = json_array_size(json_object_get(t, "Titles"));
	assert(!t || width > 0);
	json_array_foreach (json_object_get(t, "Processes"), i, row) {
		assert(json_array_size(row) == width);
	}
	return 0;
}
