/* log-opt tag: any text ends, and what has no braces is itself. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "container/log_options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *look(void *owner, const char *field)
{
	return strcmp(field, "ID") == 0 ? "0123" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(free) char *text = xstrndup((const char *)data, size);
	scoped(buf) struct buf out = BUF_INIT;
	struct err e;
	int r = log_tag_expand(text, look, NULL, &out, &e);
	assert(strstr(text, "{{") || (r == 0 && strcmp(buf_str(&out), text) == 0));
	assert(r == 0 || e.kind == ERR_SYSTEM);
	return 0;
}
