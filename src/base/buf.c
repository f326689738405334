#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void buf_deinit(struct buf *b)
{
	free(b->data);
	*b = (struct buf)BUF_INIT;
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	if (b->data) {
		b->data[0] = '\0';
	}
}

/* Makes room for n more bytes and the NUL. -EOVERFLOW or -ENOMEM. */
static int reserve(struct buf *b, size_t n)
{
	if (n > SIZE_MAX / 4 - b->len) {
		return -EOVERFLOW;
	}
	size_t want = b->len + n + 1;
	if (want <= b->cap) {
		return 0;
	}
	size_t cap = b->cap ? b->cap : 64;
	while (cap < want) {
		cap *= 2;
	}
	char *data = realloc(b->data, cap);
	if (!data) {
		return -ENOMEM;
	}
	b->data = data;
	b->cap = cap;
	return 0;
}

static void must_reserve(struct buf *b, size_t n)
{
	if (reserve(b, n) < 0) {
		fputs("out of memory\n", stderr);
		abort();
	}
}

void buf_append(struct buf *b, const void *data, size_t n)
{
	must_reserve(b, n);
	if (n > 0) {
		memcpy(b->data + b->len, data, n);
	}
	b->len += n;
	b->data[b->len] = '\0';
}

char *buf_room(struct buf *b, size_t n)
{
	must_reserve(b, n);
	return b->data + b->len;
}

void buf_added(struct buf *b, size_t n)
{
	b->len += n;
	b->data[b->len] = '\0';
}

int buf_append_limited(struct buf *b, const void *data, size_t n, size_t limit)
{
	if (b->len > limit || n > limit - b->len) {
		return -ENOBUFS;
	}
	int r = reserve(b, n);
	if (r < 0) {
		return r;
	}
	buf_append(b, data, n);
	return 0;
}

void buf_puts(struct buf *b, const char *s)
{
	buf_append(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
	buf_append(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	va_list again;
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n > 0) {
		must_reserve(b, (size_t)n);
		vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

void buf_consume(struct buf *b, size_t n)
{
	if (n == 0) {
		return;
	}
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
	b->data[b->len] = '\0';
}

const char *buf_str(const struct buf *b)
{
	return b->data ? b->data : "";
}

char *buf_take_str(struct buf *b)
{
	if (!b->data) {
		return xstrdup("");
	}
	char *text = b->data;
	*b = (struct buf)BUF_INIT;
	return text;
}
