/* X-Docker-Container-Path-Stat from an engine: whatever is taken can be printed and read again. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/scoped.h"
#include "codec/path_stat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e;
	scoped(free) char *text = malloc(size + 1);
	scoped(path_stat) struct path_stat s = {0};
	memcpy(text, data, size);
	text[size] = '\0';
	if (path_stat_parse(text, &s, &e) == 0) {
		scoped(path_stat) struct path_stat again = {0};
		scoped(json) json_t *doc = path_stat_json(&s);
		scoped(free) char *header = path_stat_header(doc);
		assert(path_stat_parse(header, &again, &e) == 0);
		assert(strcmp(s.name, again.name) == 0 && s.mode == again.mode);
		assert(s.size == again.size);
	}
	return 0;
}
