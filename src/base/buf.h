/* base/buf.h - a growable run of bytes with a limit.
 *
 * struct buf b = BUF_INIT; or scoped(buf) struct buf b = BUF_INIT;
 * The bytes are always followed by a NUL that is not counted, so data can be read as a string.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/scoped.h"

struct buf {
	char *data; /* NULL while nothing was ever added: use buf_str for a string */
	size_t len;
	size_t cap;
};

#define BUF_INIT  \
	{         \
		0 \
	}

void buf_deinit(struct buf *b);
static inline void scoped_buf(struct buf *b)
{
	buf_deinit(b);
}

void buf_clear(struct buf *b); /* forgets the bytes, keeps the memory */
void buf_append(struct buf *b, const void *data, size_t n); /* our own bytes: aborts on OOM */
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
/* Room for n more bytes behind the present ones: write there, then buf_added. */
char *buf_room(struct buf *b, size_t n);
void buf_added(struct buf *b, size_t n);
void buf_consume(struct buf *b, size_t n); /* drops the first n bytes; n <= len */

/* A peer's bytes: -ENOBUFS when len + n would pass limit, -ENOMEM, or 0. */
int buf_append_limited(struct buf *b, const void *data, size_t n, size_t limit);

/* The bytes as a string, "" when empty; borrowed until the next change. */
const char *buf_str(const struct buf *b);
/* The bytes as a string of the caller's; b is empty afterwards. Never NULL. */
char *buf_take_str(struct buf *b);
