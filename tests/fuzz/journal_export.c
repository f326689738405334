/* What journalctl says, in one piece and byte by byte: the same entries. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "worker/journal_export.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hear(void *owner, const struct journal_entry *en)
{
	struct buf *said = owner;
	assert(en->n > 0);
	for (size_t i = 0; i < en->n; i++) {
		assert(en->fields[i].value[en->fields[i].n] == '\0');
		buf_puts(said, en->fields[i].name);
		buf_putc(said, '\1');
		buf_append(said, en->fields[i].value, en->fields[i].n);
		buf_putc(said, '\2');
	}
	buf_putc(said, '\3');
}

static int feed(const uint8_t *data, size_t size, size_t piece, struct buf *said)
{
	struct journal_export *x = journal_export_new();
	int r = 0;
	for (size_t at = 0; at < size && r == 0; at += piece) {
		r = journal_export_feed(x, (const char *)data + at,
			size - at < piece ? size - at : piece, hear, said);
	}
	journal_export_free(x);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(buf) struct buf whole = BUF_INIT;
	scoped(buf) struct buf pieces = BUF_INIT;
	int a = feed(data, size, size, &whole);
	int b = feed(data, size, 1, &pieces);
	assert(a == b);
	assert(whole.len == pieces.len);
	assert(whole.len == 0 || memcmp(whole.data, pieces.data, whole.len) == 0);
	return 0;
}
