#include "wherry/build_screen.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

#define REPLACEMENT 0xfffdu
#define WIDE_REST 0u /* the second column of a wide character */
#define ESCAPE_MAX 64

enum escape { PLAIN, AFTER_ESC, IN_CSI, IN_STRING, IN_STRING_ESC };

struct build_screen {
	size_t lines;
	size_t row, column; /* where the next character goes; row counts all lines ever */
	enum escape escape;
	size_t escape_n;
	uint32_t partial; /* of a UTF-8 sequence */
	unsigned partial_left;
	size_t width[SCREEN_LINES_MAX];
	uint32_t cells[SCREEN_LINES_MAX][SCREEN_COLUMNS];
};

struct build_screen *build_screen_new(size_t lines)
{
	struct build_screen *s = xnew(struct build_screen);
	s->lines = lines < 1 ? 1 : lines > SCREEN_LINES_MAX ? SCREEN_LINES_MAX : lines;
	return s;
}

void build_screen_free(struct build_screen *s)
{
	free(s);
}

/* East Asian wide and emoji, by their blocks (Unicode TR 11): enough to keep columns straight. */
static size_t columns_of(uint32_t c)
{
	bool combining = (c >= 0x300 && c <= 0x36f) || (c >= 0x200b && c <= 0x200f) ||
			 (c >= 0xfe00 && c <= 0xfe0f);
	bool wide = (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) ||
		    (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) ||
		    (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
		    (c >= 0x1f300 && c <= 0x1faff) || (c >= 0x20000 && c <= 0x3fffd);
	return combining ? 0 : wide ? 2 : 1;
}

static void put_utf8(uint32_t c, struct buf *ret)
{
	if (c < 0x80) {
		buf_putc(ret, (char)c);
	} else if (c < 0x800) {
		buf_putc(ret, (char)(0xc0 | (c >> 6)));
		buf_putc(ret, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		buf_putc(ret, (char)(0xe0 | (c >> 12)));
		buf_putc(ret, (char)(0x80 | ((c >> 6) & 0x3f)));
		buf_putc(ret, (char)(0x80 | (c & 0x3f)));
	} else {
		buf_putc(ret, (char)(0xf0 | (c >> 18)));
		buf_putc(ret, (char)(0x80 | ((c >> 12) & 0x3f)));
		buf_putc(ret, (char)(0x80 | ((c >> 6) & 0x3f)));
		buf_putc(ret, (char)(0x80 | (c & 0x3f)));
	}
}

static void next_line(struct build_screen *s)
{
	s->row++;
	s->column = 0;
	s->width[s->row % s->lines] = 0;
}

static void put_cell(struct build_screen *s, uint32_t c)
{
	size_t n = columns_of(c);
	size_t row = s->row % s->lines;
	if (n == 0 || s->column + n > SCREEN_COLUMNS) {
		return; /* the rest of an overlong line is not shown */
	}
	while (s->width[row] < s->column) { /* the cursor was moved past the end by a tab */
		s->cells[row][s->width[row]++] = ' ';
	}
	s->cells[row][s->column++] = c;
	if (n == 2) {
		s->cells[row][s->column++] = WIDE_REST;
	}
	if (s->width[row] < s->column) {
		s->width[row] = s->column;
	}
}

static void put_control(struct build_screen *s, unsigned char c)
{
	switch (c) {
	case '\n':
		next_line(s);
		break;
	case '\r':
		s->column = 0;
		break;
	case '\b':
		s->column -= s->column > 0;
		break;
	case '\t':
		s->column = (s->column / 8 + 1) * 8;
		s->column = s->column > SCREEN_COLUMNS ? SCREEN_COLUMNS : s->column;
		break;
	case 0x1b:
		s->escape = AFTER_ESC;
		s->escape_n = 0;
		break;
	default:
		break;
	}
}

/* True when the byte belonged to an escape sequence (ECMA-48: CSI, OSC and the other strings). */
static bool in_escape(struct build_screen *s, unsigned char c)
{
	if (s->escape == PLAIN) {
		return false;
	}
	bool string = s->escape == IN_STRING || s->escape == IN_STRING_ESC;
	if (c == '\n' || (++s->escape_n > ESCAPE_MAX && !string)) { /* broken off */
		s->escape = PLAIN;
		return false;
	}
	switch (s->escape) {
	case AFTER_ESC:
		s->escape = c == '['                  ? IN_CSI
			    : c && strchr("]PX^_", c) ? IN_STRING
			    : c >= 0x20 && c <= 0x2f  ? AFTER_ESC
						      : PLAIN;
		break;
	case IN_CSI:
		if (c == 'K') {
			size_t *width = &s->width[s->row % s->lines];
			*width = *width > s->column ? s->column : *width;
		}
		s->escape = c >= 0x40 && c <= 0x7e ? PLAIN : IN_CSI;
		break;
	case IN_STRING:
		s->escape = c == 0x07 ? PLAIN : c == 0x1b ? IN_STRING_ESC : IN_STRING;
		break;
	default:
		s->escape = c == '\\' ? PLAIN : IN_STRING;
		break;
	}
	return true;
}

/* Feeds one byte to a decoder; *ret is a character when it returns true. A broken sequence gives
 * U+FFFD and *ret_again: the byte has to be looked at once more. */
static bool decode(
	uint32_t *partial, unsigned *left, unsigned char c, uint32_t *ret, bool *ret_again)
{
	*ret_again = false;
	if (*left > 0) {
		if ((c & 0xc0) != 0x80) {
			*left = 0;
			*ret = REPLACEMENT;
			*ret_again = true;
			return true;
		}
		*partial = (*partial << 6) | (c & 0x3f);
		*ret = *partial;
		return --*left == 0;
	}
	if (c < 0x80) {
		*ret = c;
		return true;
	}
	*left = c >= 0xf0 && c < 0xf5   ? 3
		: c >= 0xe0 && c < 0xf0 ? 2
		: c >= 0xc2 && c < 0xe0 ? 1
					: 0;
	*partial = c & (*left == 3 ? 0x07 : *left == 2 ? 0x0f : 0x1f);
	*ret = REPLACEMENT;
	return *left == 0;
}

void build_screen_write(struct build_screen *s, const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char byte = (unsigned char)data[i];
		if (in_escape(s, byte)) {
			continue;
		}
		uint32_t c;
		for (bool again = true; again;) {
			if (!decode(&s->partial, &s->partial_left, byte, &c, &again)) {
				continue;
			}
			if (c < 0x20 || (c >= 0x7f && c < 0xa0)) {
				put_control(s, (unsigned char)c);
			} else {
				put_cell(s, c);
			}
		}
	}
}

/* The physical rows in use, oldest first; skips blank ones. */
static size_t find_line(const struct build_screen *s, size_t wanted)
{
	size_t first = s->row + 1 > s->lines ? s->row + 1 - s->lines : 0;
	size_t seen = 0;
	for (size_t row = first; row <= s->row; row++) {
		size_t at = row % s->lines;
		bool blank = true;
		for (size_t i = 0; i < s->width[at] && blank; i++) {
			blank = s->cells[at][i] == ' ';
		}
		if (!blank && seen++ == wanted) {
			return at;
		}
	}
	return SCREEN_LINES_MAX + seen;
}

size_t build_screen_used(const struct build_screen *s)
{
	return find_line(s, SIZE_MAX) - SCREEN_LINES_MAX;
}

void build_screen_line(const struct build_screen *s, size_t i, size_t columns, struct buf *ret)
{
	size_t at = find_line(s, i);
	if (at >= SCREEN_LINES_MAX) {
		return;
	}
	for (size_t k = 0; k < s->width[at]; k++) {
		uint32_t c = s->cells[at][k];
		if (c == WIDE_REST) {
			continue;
		}
		if (k + columns_of(c) > columns) {
			return;
		}
		put_utf8(c, ret);
	}
}

size_t screen_clip(const char *text, size_t columns, struct buf *ret)
{
	uint32_t partial = 0;
	unsigned left = 0;
	size_t used = 0;
	for (const char *p = text; *p; p++) {
		uint32_t c;
		for (bool again = true; again;) {
			if (!decode(&partial, &left, (unsigned char)*p, &c, &again)) {
				continue;
			}
			c = c < 0x20 || (c >= 0x7f && c < 0xa0) ? ' ' : c;
			size_t n = columns_of(c);
			if (used + n > columns) {
				return used;
			}
			put_utf8(c, ret);
			used += n;
		}
	}
	return used;
}

void screen_text(const char *text, struct buf *ret)
{
	while (*text) {
		size_t n = strcspn(text, "\n\t");
		scoped(free) char *part = xstrndup(text, n);
		screen_clip(part, SIZE_MAX, ret);
		if (text[n]) {
			buf_putc(ret, text[n++]);
		}
		text += n;
	}
}
