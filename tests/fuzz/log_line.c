/* What a container says comes back from its log, whatever it says and however its pipe cuts it:
 * every line is JSON, and the texts put together are what was said, each byte that is not UTF-8 as
 * U+FFFD. The first byte is the size of the pieces. */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "shim/shim.h"

#define PART 16384 /* where a line is cut, and with it a character */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not the way log.c decides: by the code point, which must be one that needs this length. */
static size_t character(const uint8_t *p, size_t n)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	static const uint8_t mark[] = {0, 0, 0xc0, 0xe0, 0xf0};
	for (size_t len = 2; len <= 4 && len <= n; len++) {
		uint32_t c = p[0] ^ mark[len];
		bool ok = c < 1u << (7 - len);
		for (size_t i = 1; i < len; i++) {
			ok = ok && (p[i] & 0xc0) == 0x80;
			c = c << 6 | (p[i] & 0x3f);
		}
		if (ok && c >= least[len] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff)) {
			return len;
		}
	}
	return 0;
}

static void expect(struct buf *out, const uint8_t *p, size_t n)
{
	while (n > 0) {
		size_t len = *p < 0x80 ? 1 : character(p, n);
		if (len == 0) {
			buf_puts(out, "\xef\xbf\xbd");
			len = 1;
		} else {
			buf_append(out, p, len);
		}
		p += len;
		n -= len;
	}
}

/* Line by line, and in parts of a long one, as a character may not reach over their ends. */
static void expect_all(struct buf *out, const uint8_t *p, size_t n)
{
	while (n > 0) {
		size_t part = n < PART ? n : PART;
		const uint8_t *newline = memchr(p, '\n', part);
		part = newline ? (size_t)(newline - p) + 1 : part;
		expect(out, p, part);
		p += part;
		n -= part;
	}
}

static void read_back(const char *text, struct buf *out)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		struct err e;
		scoped(json) json_t *o = json_parse(text, n, "the line", &e);
		const json_t *said = json_object_get(o, "log");
		assert(text[n] == '\n' && json_object_size(o) == 3 && json_string_length(said) > 0);
		buf_append(out, json_string_value(said), json_string_length(said));
		text += n + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0) {
		return 0;
	}
	size_t piece = data[0] ? data[0] : 65536;
	scoped(close) int fd = memfd_create("log", MFD_CLOEXEC);
	scoped(free) char *path = xasprintf("/proc/self/fd/%d", fd);
	struct log *l = log_open(&(struct log_options){.path = path, .files = 1});
	assert(l);
	for (size_t at = 1; at < size; at += piece) {
		log_write(l, 1, (const char *)data + at, size - at < piece ? size - at : piece);
	}
	log_end(l);

	scoped(buf) struct buf file = BUF_INIT;
	scoped(buf) struct buf said = BUF_INIT;
	scoped(buf) struct buf expected = BUF_INIT;
	int r = path_read(AT_FDCWD, path, 64u << 20, &file);
	assert(r == 0 && strlen(buf_str(&file)) == file.len);
	read_back(buf_str(&file), &said);
	expect_all(&expected, data + 1, size - 1);
	assert(said.len == expected.len &&
		(said.len == 0 || memcmp(said.data, expected.data, said.len) == 0));
	log_free(l);
	return 0;
}
