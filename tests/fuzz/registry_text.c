/* One line a header: a base, a Location, a Range, a Link. What comes out is an http URL that fits a
 * request line, and resolves to itself. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/strv.h"
#include "base/text.h"
#include "codec/registry_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_url(const char *base, const char *reference)
{
	scoped(buf) struct buf url = BUF_INIT;
	scoped(buf) struct buf again = BUF_INIT;
	if (!registry_url_resolve(base, reference, &url)) {
		return;
	}
	assert(url.len <= REGISTRY_URL_MAX && !strpbrk(buf_str(&url), " \r\n\t#"));
	assert(strncasecmp(buf_str(&url), "http", 4) == 0 && strstr(buf_str(&url), "://"));
	assert(registry_url_resolve(base, buf_str(&url), &again));
	assert(strcmp(buf_str(&url), buf_str(&again)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(free) char *text = xstrndup((const char *)data, size);
	scoped(strv) struct strv lines = STRV_INIT;
	strv_split(&lines, text, '\n');
	for (size_t i = 0; i < lines.n; i++) {
		const char *line = lines.v[i];
		scoped(buf) struct buf next = BUF_INIT;
		int64_t bytes;
		check_url("https://r.example/v2/x/blobs/uploads/", line);
		check_url(lines.v[0], line);
		assert(!registry_range_parse(line, &bytes) || bytes >= 0);
		if (registry_link_next(line, &next)) {
			assert(next.len > 0 && next.len < strlen(line));
			check_url("http://r.example/v2/_catalog", buf_str(&next));
		}
		assert(registry_retry_after(line, 1, 30) <= 30);
	}
	return 0;
}
