#include "codec/udev_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/scoped.h"
#include "base/text.h"

void udev_record_deinit(struct udev_record *r)
{
	strv_deinit(&r->links);
	strv_deinit(&r->properties);
}

void udev_record_parse(const char *text, struct udev_record *ret)
{
	scoped(strv) struct strv lines = STRV_INIT;
	*ret = (struct udev_record){STRV_INIT, STRV_INIT};
	strv_split(&lines, text, '\n');
	for (size_t i = 0; i < lines.n; i++) {
		const char *line = lines.v[i];
		if (text_starts(line, "S:") && ret->links.n < UDEV_LINKS_MAX) {
			strv_addf(&ret->links, "/dev/%s", line + 2);
		} else if (text_starts(line, "E:")) {
			strv_add(&ret->properties, line + 2);
		}
	}
	strv_sort(&ret->links);
}

char *udev_text_decode(const char *text)
{
	struct buf b = BUF_INIT;
	for (const char *p = text; p && *p;) {
		char digits[3] = "";
		if (p[0] == '\\' && p[1] == 'x') {
			memcpy(digits, p + 2, strnlen(p + 2, 2));
		}
		char *end;
		unsigned long byte = strtoul(digits, &end, 16);
		bool escaped = end == digits + 2 && byte >= ' ' && byte < 0x7f;
		buf_putc(&b, escaped ? (char)byte : *p);
		p += escaped ? 4 : 1;
	}
	return text ? buf_take_str(&b) : NULL;
}
