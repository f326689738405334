/* A form that is taken, written down again percent-encoded, gives the same fields. What is a local
 * redirect has no second host; a normal host is normal; a found cookie stands in its header. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const struct strv *form)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(strv) struct strv second = STRV_INIT;
	for (size_t i = 0; i + 1 < form->n; i += 2) {
		buf_puts(&text, i ? "&" : "");
		percent_encode(form->v[i], &text);
		buf_putc(&text, '=');
		percent_encode(form->v[i + 1], &text);
	}
	if (text.len > FORM_BYTES_MAX) {
		return; /* it has grown */
	}
	assert(form_parse(buf_str(&text), text.len, &second) == 0);
	assert(second.n == form->n);
	for (size_t i = 0; i < form->n; i++) {
		assert(strcmp(second.v[i], form->v[i]) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);
	scoped(strv) struct strv form = STRV_INIT;
	char host[HOST_TEXT_MAX + 1], twice[HOST_TEXT_MAX + 1], value[COOKIE_VALUE_MAX + 1];
	if (form_parse((const char *)data, size, &form) == 0) {
		again(&form);
	}
	if (redirect_is_local(text)) {
		assert(*text == '/' && text[1] != '/' && text[1] != '\\');
		assert(!strpbrk(text, "\r\n\t\\ \""));
	}
	if (host_normal(text, host) == 0) {
		assert(!strpbrk(host, " /\\\"'<>;,=%\r\n"));
		assert(host_normal(host, twice) == 0);
	}
	if (cookie_find(text, "__Host-wherry", value) == 1) {
		assert(strstr(text, value) && !strchr(value, ';'));
	}
	free(text);
	return 0;
}
