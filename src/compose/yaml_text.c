#include "compose/yaml_text.h"

#include <string.h>

#include "compose/yaml.h"

struct checked {
	const char *file, *text;
	size_t n;
	struct err *e;
};

struct node yaml_position(const char *file, const char *text, size_t offset)
{
	struct node at = {.file = file, .line = 1, .column = 1};
	for (size_t i = 0; i < offset; i++) {
		bool ends = text[i] == '\n';
		bool follows = ((unsigned char)text[i] & 0xc0u) == 0x80u; /* within a character */
		at.line += ends;
		at.column = ends ? 1 : at.column + !follows;
	}
	return at;
}

static int fail_at(const struct checked *c, size_t offset, const char *sentence)
{
	const struct node at = yaml_position(c->file, c->text, offset);
	return node_err(c->e, &at, "%s", sentence);
}

/* The length of the character at p, RFC 3629; 0 when it is none. */
static size_t character(const unsigned char *p, size_t n)
{
	size_t length = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (length == 0 || length > n || p[0] > 0xf4) {
		return 0;
	}
	for (size_t i = 1; i < length; i++) {
		if ((p[i] & 0xc0u) != 0x80u) {
			return 0;
		}
	}
	bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
	bool outside = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
	return overlong || outside ? 0 : length;
}

static int check_characters(const struct checked *c)
{
	const unsigned char *p = (const unsigned char *)c->text;
	if (c->n >= 2 && (memcmp(p, "\xff\xfe", 2) == 0 || memcmp(p, "\xfe\xff", 2) == 0)) {
		return fail_at(c, 0, "the text is UTF-16: UTF-8 is expected");
	}
	for (size_t i = 0, n; i < c->n; i += n) {
		n = character(p + i, c->n - i);
		if (n == 0) {
			return fail_at(c, i, "not UTF-8: the bytes here are no character");
		}
		if (p[i] == '\0') {
			return fail_at(c, i, "a NUL byte: text is expected");
		}
	}
	return 0;
}

/* Counted without regard to quotes: the limits are far beyond what people write. */
static int check_tokens(const struct checked *c)
{
	size_t open = 0;
	size_t in_line = 0;
	for (size_t i = 0; i < c->n; i++) {
		char byte = c->text[i];
		bool closes = byte == ']' || byte == '}';
		open -= closes && open > 0;
		open += byte == '[' || byte == '{';
		in_line = byte == '\n' ? 0 : in_line + (strchr("[]{},:?&*!'\"", byte) != NULL);
		if (open > YAML_OPEN_MAX) {
			return fail_at(c, i, "more than 10000 brackets and braces are not closed");
		}
		if (in_line > YAML_LINE_MAX) {
			return fail_at(c, i, "more than 100000 punctuation marks in one line");
		}
	}
	return 0;
}

/* YAML 1.1 ends lines in six ways: LF, CR, CR LF, NEL, LS, PS. */
static bool begins_line(const char *text, size_t i)
{
	return i == 0 || text[i - 1] == '\n' || text[i - 1] == '\r' ||
	       (i > 1 && memcmp(text + i - 2, "\xc2\x85", 2) == 0) ||
	       (i > 2 && (memcmp(text + i - 3, "\xe2\x80\xa8", 3) == 0 ||
				 memcmp(text + i - 3, "\xe2\x80\xa9", 3) == 0));
}

static bool is_known_directive(const char *text, size_t n)
{
	if (n < 10 || (memcmp(text, "%YAML 1.1", 9) != 0 && memcmp(text, "%YAML 1.2", 9) != 0)) {
		return false;
	}
	size_t i = 9;
	while (i < n && strchr(" \t\r", text[i])) {
		i++;
	}
	return i < n && text[i] == '\n';
}

/* Of directives only "%YAML 1.1" and "%YAML 1.2" mean anything here; libfyaml never returns from
 * some others (the text "%a"). */
static int check_directives(const struct checked *c)
{
	for (size_t i = 0; i < c->n; i++) {
		if (c->text[i] == '%' && begins_line(c->text, i) &&
			!is_known_directive(c->text + i, c->n - i)) {
			return fail_at(c, i,
				"a line that begins with % is a directive: only %YAML 1.1 and %YAML 1.2 are expected");
		}
	}
	return 0;
}

int yaml_check_text(const char *file, const char *text, size_t n, struct err *e)
{
	const struct checked c = {file, text, n, e};
	if (n > YAML_BYTES_MAX) {
		return fail_at(&c, YAML_BYTES_MAX,
			"the text goes on here, beyond the 1 MiB that are read of one");
	}
	return check_characters(&c) < 0 || check_tokens(&c) < 0 || check_directives(&c) < 0 ? -1
											    : 0;
}
