/* Parse, write down with every character quoted, parse again: the same challenge. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_quoted(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "%s=\"", name);
	for (; *value; value++) {
		assert((unsigned char)*value >= 0x20); /* would break a request line or a header */
		buf_putc(b, '\\');
		buf_putc(b, *value);
	}
	buf_puts(b, "\", ");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);
	struct challenge first, again;
	if (challenge_parse(text, &first)) {
		scoped(buf) struct buf b = BUF_INIT;
		assert(!first.bearer || *first.realm);
		buf_puts(&b, first.bearer ? "Bearer " : "Basic ");
		put_quoted(&b, "realm", first.realm);
		put_quoted(&b, "scope", first.scope);
		put_quoted(&b, "service", first.service);
		assert(challenge_parse(buf_str(&b), &again));
		assert(first.bearer == again.bearer && strcmp(first.realm, again.realm) == 0);
		assert(strcmp(first.scope, again.scope) == 0 &&
			strcmp(first.service, again.service) == 0);
	}
	free(text);
	return 0;
}
