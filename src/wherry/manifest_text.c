#include "wherry/manifest_text.h"

#include <stdbool.h>
#include <string.h>

#include "base/json.h"

/* What a browser could mistake for markup, or a script for a new line, is escaped in Go. */
void manifest_compact(const json_t *doc, struct buf *ret)
{
	scoped(free) char *text = json_text(doc);
	for (const char *p = text; *p; p++) {
		bool separator =
			strncmp(p, "\xe2\x80\xa8", 3) == 0 || strncmp(p, "\xe2\x80\xa9", 3) == 0;
		if (*p == '<' || *p == '>' || *p == '&') {
			buf_printf(ret, "\\u%04x", (unsigned)*p);
		} else if (separator) {
			buf_puts(ret, p[2] == '\xa8' ? "\\u2028" : "\\u2029");
			p += 2;
		} else {
			buf_putc(ret, *p);
		}
	}
}

static void new_line(struct buf *ret, const char *indent, int depth)
{
	buf_putc(ret, '\n');
	while (depth-- > 0) {
		buf_puts(ret, indent);
	}
}

/* The length of the string that begins at text, both quotes included. */
static size_t string_length(const char *text, size_t n)
{
	size_t i = 1;
	while (i < n && text[i] != '"') {
		i += text[i] == '\\' ? 2 : 1;
	}
	return i < n ? i + 1 : n;
}

void manifest_indent(const char *text, size_t n, const char *indent, struct buf *ret)
{
	int depth = 0;
	bool opened = false; /* a bracket that nothing has followed yet */
	for (size_t i = 0; i < n; i++) {
		char c = text[i];
		if (strchr(" \t\r\n", c)) {
			continue;
		}
		bool closes = c == '}' || c == ']';
		if (closes) {
			depth--;
		}
		if (closes != opened) {
			new_line(ret, indent, depth);
		}
		opened = false;
		if (c == '"') {
			size_t length = string_length(text + i, n - i);
			buf_append(ret, text + i, length);
			i += length - 1;
			continue;
		}
		buf_putc(ret, c);
		if (c == '{' || c == '[') {
			depth++;
			opened = true;
		} else if (c == ',') {
			new_line(ret, indent, depth);
		} else if (c == ':') {
			buf_putc(ret, ' ');
		}
	}
}

void manifest_print(const json_t *doc, const char *indent, struct buf *ret)
{
	scoped(buf) struct buf text = BUF_INIT;
	manifest_compact(doc, &text);
	manifest_indent(buf_str(&text), text.len, indent, ret);
}
