#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static const char hex_digits[] = "0123456789abcdef";

void text_hex(const void *data, size_t n, char *ret)
{
	const unsigned char *p = data;
	for (size_t i = 0; i < n; i++) {
		ret[2 * i] = hex_digits[p[i] >> 4];
		ret[2 * i + 1] = hex_digits[p[i] & 15u];
	}
	ret[2 * n] = '\0';
}

void id_new(char ret[static ID_LEN + 1])
{
	unsigned char bytes[ID_LEN / 2];
	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) {
		fputs("getrandom failed\n", stderr);
		abort();
	}
	text_hex(bytes, sizeof(bytes), ret);
}

bool text_is_hex(const char *s, size_t n)
{
	return strlen(s) == n && strspn(s, hex_digits) == n;
}

bool text_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool text_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s);
	size_t m = strlen(suffix);
	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

void base64_encode(const void *data, size_t n, struct buf *ret)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = data;
	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		unsigned v = (unsigned)p[i] << 16;
		v |= left > 1 ? (unsigned)p[i + 1] << 8 : 0;
		v |= left > 2 ? (unsigned)p[i + 2] : 0;
		buf_putc(ret, digits[v >> 18]);
		buf_putc(ret, digits[(v >> 12) & 63]);
		buf_putc(ret, left > 1 ? digits[(v >> 6) & 63] : '=');
		buf_putc(ret, left > 2 ? digits[v & 63] : '=');
	}
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z') {
		return c - 'A';
	}
	if (c >= 'a' && c <= 'z') {
		return c - 'a' + 26;
	}
	if (c >= '0' && c <= '9') {
		return c - '0' + 52;
	}
	if (c == '+' || c == '-') {
		return 62;
	}
	return c == '/' || c == '_' ? 63 : -1;
}

int base64_decode(const char *text, size_t n, struct buf *ret)
{
	while (n > 0 && text[n - 1] == '=') {
		n--;
	}
	if (n % 4 == 1) {
		return -EINVAL;
	}
	unsigned bits = 0;
	int have = 0;
	for (size_t i = 0; i < n; i++) {
		int v = base64_value(text[i]);
		if (v < 0) {
			return -EINVAL;
		}
		bits = bits << 6 | (unsigned)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			buf_putc(ret, (char)(bits >> have & 0xffu));
		}
	}
	return 0;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int percent_decode(const char *text, size_t n, bool plus, struct buf *ret)
{
	for (size_t i = 0; i < n; i++) {
		char c = text[i];
		if (c == '+' && plus) {
			c = ' ';
		} else if (c == '%') {
			if (n - i < 3 || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0) {
				return -EINVAL;
			}
			c = (char)(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]));
			i += 2;
		}
		if (c == '\0') {
			return -EINVAL;
		}
		buf_putc(ret, c);
	}
	return 0;
}

void percent_encode(const char *text, struct buf *ret)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			(*p >= '0' && *p <= '9') || strchr("-._~", *p)) {
			buf_putc(ret, (char)*p);
		} else {
			buf_printf(ret, "%%%02X", *p);
		}
	}
}

unsigned text_distance(const char *a, const char *b)
{
	unsigned row[32];
	size_t m = strnlen(b, 31);
	for (unsigned j = 0; j <= m; j++) {
		row[j] = j;
	}
	for (unsigned i = 1; *a && i < 32; a++, i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			unsigned best = diagonal + (*a != b[j - 1]);
			diagonal = row[j];
			best = diagonal + 1 < best ? diagonal + 1 : best;
			row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
		}
	}
	return row[m];
}
