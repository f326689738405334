/* A line of a log file, whatever wrote it: what our reader takes jansson takes too, with the same
 * text, unless it is jansson that is stricter (numbers, control characters, UTF-8, members that
 * come twice). */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/json.h"
#include "codec/log_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_json(const char *line, size_t n)
{
	scoped(buf) struct buf text = BUF_INIT;
	struct log_decoder d = {0};
	struct log_record r;
	struct err e;
	bool taken = log_record_parse_json(&d, line, n, &r, &text) == 0;
	scoped(json) json_t *o = json_parse(line, n, "the line", &e);
	const json_t *log = json_object_get(o, "log");
	if (taken && json_is_string(log)) {
		assert(json_string_length(log) == text.len);
		assert(text.len == 0 || memcmp(json_string_value(log), text.data, text.len) == 0);
	}
	assert(taken || text.len == 0);
	assert(!taken || !r.attrs || (r.attrs >= line && r.attrs + r.attrs_n <= line + n));
}

static void check_local(const char *line, size_t n)
{
	scoped(buf) struct buf text = BUF_INIT;
	struct log_record r;
	if (log_record_parse_local(line, n, &r, &text) == 0) {
		assert(text.len + 20 == n || text.len + 19 == n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_json((const char *)data, size);
	check_local((const char *)data, size);
	return 0;
}
