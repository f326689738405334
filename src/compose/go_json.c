#include "compose/go_json.h"

#include <stdbool.h>
#include <string.h>

void go_json_string(struct buf *b, const char *text)
{
	buf_putc(b, '"');
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		bool separator = p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9);
		if (separator) {
			buf_puts(b, p[2] == 0xa8 ? "\\u2028" : "\\u2029");
			p += 2;
		} else if (*p == '"' || *p == '\\') {
			buf_printf(b, "\\%c", *p);
		} else if (*p == '\n' || *p == '\r' || *p == '\t') {
			buf_puts(b, *p == '\n' ? "\\n" : *p == '\r' ? "\\r" : "\\t");
		} else if (*p < 0x20 || strchr("<>&", *p)) {
			buf_printf(b, "\\u%04x", *p);
		} else {
			buf_putc(b, (char)*p);
		}
	}
	buf_putc(b, '"');
}

void go_json_key(struct buf *b, const char *key)
{
	bool first = b->len == 0 || b->data[b->len - 1] == '{';
	buf_puts(b, first ? "" : ",");
	go_json_string(b, key);
	buf_putc(b, ':');
}
