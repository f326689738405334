/* Go's fmt: print, println, printf. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/format_call.h"

#define WIDTH_MAX 4096

json_t *format_print_words(const struct value *args, int n, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	for (int i = 0; i < n; i++) {
		bool both_bare =
			i > 0 && !json_is_string(args[i].json) && !json_is_string(args[i - 1].json);
		buf_puts(&text, both_bare ? " " : "");
		value_put(args[i], &text);
	}
	return json_string(buf_str(&text));
}

json_t *format_print_line(const struct value *args, int n, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	for (int i = 0; i < n; i++) {
		buf_puts(&text, i ? " " : "");
		value_put(args[i], &text);
	}
	buf_putc(&text, '\n');
	return json_string(buf_str(&text));
}

/* One "%-08.3d". */
struct verb {
	bool minus, plus, sharp, space, zero;
	int width, precision; /* -1: none */
	char letter;
};

static const char *read_verb(const char *p, struct verb *ret)
{
	struct verb v = {.width = -1, .precision = -1};
	for (; *p && strchr("-+# 0", *p); p++) {
		v.minus = v.minus || *p == '-';
		v.plus = v.plus || *p == '+';
		v.sharp = v.sharp || *p == '#';
		v.space = v.space || *p == ' ';
		v.zero = v.zero || *p == '0';
	}
	for (; isdigit((unsigned char)*p); p++) {
		v.width = (v.width < 0 ? 0 : v.width) * 10 + (*p - '0');
		v.width = v.width > WIDTH_MAX ? WIDTH_MAX : v.width;
	}
	if (*p == '.') {
		v.precision = 0;
		for (p++; isdigit((unsigned char)*p); p++) {
			v.precision = v.precision * 10 + (*p - '0');
			v.precision = v.precision > WIDTH_MAX ? WIDTH_MAX : v.precision;
		}
	}
	v.letter = *p;
	*ret = v;
	return *p ? p + 1 : p;
}

/* Pads to the width in characters. */
static void put_padded(const struct verb *v, const char *text, struct buf *out)
{
	int chars = 0;
	for (const char *p = text; *p; p++) {
		chars += ((unsigned char)*p & 0xc0) != 0x80;
	}
	int pad = v->width > chars ? v->width - chars : 0;
	bool zeros = v->zero && !v->minus;
	if (!v->minus && zeros && pad > 0 && strchr("+-", *text) && *text) {
		buf_putc(out, *text++); /* the sign stands before the zeros */
	}
	for (int i = 0; !v->minus && i < pad; i++) {
		buf_putc(out, zeros ? '0' : ' ');
	}
	buf_puts(out, text);
	for (int i = 0; v->minus && i < pad; i++) {
		buf_putc(out, ' ');
	}
}

static void quote(const char *text, struct buf *out)
{
	static const char from[] = "\a\b\f\n\r\t\v\\\"";
	static const char to[] = "abfnrtv\\\"";
	buf_putc(out, '"');
	for (; *text; text++) {
		const char *known = strchr(from, *text);
		if (known) {
			buf_printf(out, "\\%c", to[known - from]);
		} else if ((unsigned char)*text < ' ' || *text == 127) {
			buf_printf(out, "\\x%02x", (unsigned char)*text);
		} else {
			buf_putc(out, *text);
		}
	}
	buf_putc(out, '"');
}

/* At most precision characters. */
static void cut(struct buf *text, int precision)
{
	int chars = 0;
	for (size_t i = 0; precision >= 0 && i < text->len; i++) {
		chars += ((unsigned char)text->data[i] & 0xc0) != 0x80;
		if (chars > precision) {
			text->len = i;
			text->data[i] = '\0';
		}
	}
}

static void put_bad(char letter, struct value v, struct buf *out)
{
	buf_printf(out, "%%!%c(%s=", letter, value_type(v));
	value_put(v, out);
	buf_putc(out, ')');
}

static void put_binary(unsigned long long n, struct buf *out)
{
	char digits[65];
	size_t at = sizeof(digits) - 1;
	digits[at] = '\0';
	do {
		digits[--at] = (char)('0' + (n & 1));
		n >>= 1;
	} while (n > 0);
	buf_puts(out, digits + at);
}

/* Integers: false when the letter is none of theirs. */
static bool put_integer(const struct verb *v, long long n, struct buf *out)
{
	unsigned long long size = n < 0 ? 0 - (unsigned long long)n : (unsigned long long)n;
	buf_puts(out, n < 0 ? "-" : v->plus ? "+" : v->space ? " " : "");
	switch (v->letter) {
	case 'd':
	case 'v':
		buf_printf(out, "%llu", size);
		return true;
	case 'x':
		buf_printf(out, v->sharp ? "0x%llx" : "%llx", size);
		return true;
	case 'X':
		buf_printf(out, v->sharp ? "0X%llX" : "%llX", size);
		return true;
	case 'o':
		buf_printf(out, v->sharp ? "0%llo" : "%llo", size);
		return true;
	case 'b':
		put_binary(size, out);
		return true;
	default:
		return false;
	}
}

static bool put_real(const struct verb *v, double n, struct buf *out)
{
	int precision = v->precision < 0 ? 6 : v->precision;
	buf_puts(out, v->plus && n >= 0 ? "+" : "");
	switch (v->letter) {
	case 'f':
	case 'F':
		buf_printf(out, "%.*f", precision, n);
		return true;
	case 'e':
		buf_printf(out, "%.*e", precision, n);
		return true;
	case 'g':
	case 'v':
		buf_printf(out, "%.*g", v->precision < 0 ? 17 : precision, n);
		return true;
	default:
		return false;
	}
}

static bool put_text(const struct verb *v, const char *text, struct buf *out)
{
	scoped(buf) struct buf shown = BUF_INIT;
	buf_puts(&shown, text);
	cut(&shown, v->precision);
	switch (v->letter) {
	case 's':
	case 'v':
		if (v->sharp && v->letter == 'v') {
			quote(buf_str(&shown), out);
		} else {
			buf_append(out, shown.data, shown.len);
		}
		return true;
	case 'q':
		quote(buf_str(&shown), out);
		return true;
	case 'x':
	case 'X':
		for (size_t i = 0; i < shown.len; i++) {
			buf_printf(out, v->letter == 'x' ? "%02x" : "%02X",
				(unsigned char)shown.data[i]);
		}
		return true;
	default:
		return false;
	}
}

static void put_verb(const struct verb *v, struct value arg, struct buf *out)
{
	scoped(buf) struct buf text = BUF_INIT;
	bool known = true;
	if (v->letter == 'T') {
		buf_puts(&text, value_type(arg));
	} else if (json_is_integer(arg.json)) {
		known = put_integer(v, json_integer_value(arg.json), &text);
	} else if (json_is_real(arg.json)) {
		known = put_real(v, json_real_value(arg.json), &text);
	} else if (json_is_string(arg.json)) {
		known = put_text(v, json_string_value(arg.json), &text);
	} else if (json_is_boolean(arg.json)) {
		known = v->letter == 't' || v->letter == 'v';
		value_put(arg, &text);
	} else {
		known = v->letter == 'v' || v->letter == 's';
		value_put(arg, &text);
	}
	if (!known) {
		buf_clear(&text);
		put_bad(v->letter, arg, &text);
	}
	put_padded(v, buf_str(&text), out);
}

static void put_extra(const struct value *args, int n, struct buf *out)
{
	buf_puts(out, "%!(EXTRA ");
	for (int i = 0; i < n; i++) {
		buf_printf(out, "%s%s=", i ? ", " : "", value_type(args[i]));
		value_put(args[i], out);
	}
	buf_putc(out, ')');
}

json_t *format_printf(const struct value *args, int n, struct err *e)
{
	scoped(buf) struct buf out = BUF_INIT;
	int used = 1;
	for (const char *p = json_string_value(args[0].json); *p;) {
		struct verb v;
		if (*p != '%') {
			buf_putc(&out, *p++);
			continue;
		}
		p = read_verb(p + 1, &v);
		if (v.letter == '%') {
			buf_putc(&out, '%');
		} else if (!v.letter) {
			buf_puts(&out, "%!(NOVERB)");
		} else if (used >= n) {
			buf_printf(&out, "%%!%c(MISSING)", v.letter);
		} else {
			put_verb(&v, args[used++], &out);
		}
	}
	if (used < n) {
		put_extra(args + used, n - used, &out);
	}
	return json_string(buf_str(&out));
}
