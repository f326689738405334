#include "codec/log_record.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"

#define LOCAL_DIGITS 19
#define DEPTH_MAX 32

struct cursor {
	const char *p, *end;
};

/* --- JSON: only what such a line can hold --- */

static bool take(struct cursor *c, char wanted)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\r')) {
		c->p++;
	}
	if (c->p == c->end || *c->p != wanted) {
		return false;
	}
	c->p++;
	return true;
}

/* The raw inside of a string, escapes and all. */
static bool take_raw(struct cursor *c, const char **ret, size_t *ret_n)
{
	if (!take(c, '"')) {
		return false;
	}
	*ret = c->p;
	while (c->p < c->end) {
		const char *quote = memchr(c->p, '"', (size_t)(c->end - c->p));
		const char *slash = quote ? memchr(c->p, '\\', (size_t)(quote - c->p)) : NULL;
		if (!quote) {
			return false;
		}
		if (!slash) {
			*ret_n = (size_t)(quote - *ret);
			c->p = quote + 1;
			return true;
		}
		c->p = slash + 2; /* may be past the end */
	}
	return false;
}

static int hex4(const char *p)
{
	int v = 0;
	for (int i = 0; i < 4; i++) {
		int d = p[i] >= '0' && p[i] <= '9'   ? p[i] - '0'
			: p[i] >= 'a' && p[i] <= 'f' ? p[i] - 'a' + 10
			: p[i] >= 'A' && p[i] <= 'F' ? p[i] - 'A' + 10
						     : -1;
		if (d < 0) {
			return -1;
		}
		v = v << 4 | d;
	}
	return v;
}

static void put_utf8(struct buf *out, uint32_t u)
{
	char t[4];
	size_t n = u < 0x80 ? 1 : u < 0x800 ? 2 : u < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	for (size_t i = n - 1; i > 0; i--) {
		t[i] = (char)(0x80 | (u & 0x3f));
		u >>= 6;
	}
	t[0] = (char)(lead[n] | u);
	buf_append(out, t, n);
}

/* \uXXXX at p (after the u), a surrogate pair as one. Returns how many bytes it took, 0: broken. */
static size_t take_unicode(const char *p, const char *end, struct buf *out)
{
	int high = end - p >= 4 ? hex4(p) : -1;
	if (high < 0) {
		return 0;
	}
	if (high >= 0xd800 && high < 0xe000) {
		int low = high < 0xdc00 && end - p >= 10 && p[4] == '\\' && p[5] == 'u'
				  ? hex4(p + 6)
				  : -1;
		if (low >= 0xdc00 && low < 0xe000) {
			put_utf8(out, 0x10000 + ((uint32_t)(high - 0xd800) << 10) +
					      (uint32_t)(low - 0xdc00));
			return 10;
		}
		high = 0xfffd; /* half a pair, as Go's decoder */
	}
	put_utf8(out, (uint32_t)high);
	return 4;
}

static bool unescape(const char *p, size_t n, struct buf *out)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	const char *end = p + n;
	while (p < end) {
		const char *slash = memchr(p, '\\', (size_t)(end - p));
		const char *stop = slash ? slash : end;
		buf_append(out, p, (size_t)(stop - p));
		if (!slash) {
			break;
		}
		p = slash + 1;
		const char *known = p < end && *p ? strchr(from, *p) : NULL;
		if (known) {
			buf_putc(out, to[known - from]);
			p++;
			continue;
		}
		size_t used = p < end && *p == 'u' ? take_unicode(p + 1, end, out) : 0;
		if (used == 0) {
			return false;
		}
		p += 1 + used;
	}
	return true;
}

/* Any value, up to the ',' or '}' behind it; of no use to us, so only strings and brackets count.
 */
static bool skip_value(struct cursor *c)
{
	const char *raw;
	size_t n;
	int depth = 0;
	while (c->p < c->end) {
		if (*c->p == '"') {
			if (!take_raw(c, &raw, &n)) {
				return false;
			}
			continue;
		}
		if (depth == 0 && (*c->p == ',' || *c->p == '}')) {
			return true;
		}
		depth += *c->p == '{' || *c->p == '[' ? 1 : *c->p == '}' || *c->p == ']' ? -1 : 0;
		if (depth < 0 || depth > DEPTH_MAX) {
			return false;
		}
		c->p++;
	}
	return false;
}

/* Lines of one read of the pipe have the same time. */
static int parse_time(struct log_decoder *d, const char *text, size_t n, int64_t *ret)
{
	if (n == 0 || n >= sizeof(d->time)) {
		return -EINVAL;
	}
	if (memcmp(text, d->time, n) != 0 || d->time[n]) {
		memcpy(d->time, text, n);
		d->time[n] = '\0';
		if (strlen(d->time) != n || clock_parse(d->time, &d->time_ns) < 0) {
			d->time[0] = '\0';
			return -EINVAL;
		}
	}
	*ret = d->time_ns;
	return 0;
}

struct members {
	const char *log, *stream, *time;
	size_t log_n, stream_n, time_n;
	const char *attrs;
	size_t attrs_n;
};

static bool is_word(const char *p, size_t n, const char *word)
{
	return n == strlen(word) && memcmp(p, word, n) == 0;
}

static bool take_member(struct cursor *c, struct members *m)
{
	const char *key;
	size_t n;
	if (!take_raw(c, &key, &n) || !take(c, ':')) {
		return false;
	}
	if (is_word(key, n, "log")) {
		return take_raw(c, &m->log, &m->log_n);
	}
	if (is_word(key, n, "stream")) {
		return take_raw(c, &m->stream, &m->stream_n);
	}
	if (is_word(key, n, "time")) {
		return take_raw(c, &m->time, &m->time_n);
	}
	const char *begin = c->p;
	if (!skip_value(c)) {
		return false;
	}
	if (is_word(key, n, "attrs")) {
		m->attrs = begin;
		m->attrs_n = (size_t)(c->p - begin);
	}
	return true;
}

int log_record_parse_json(struct log_decoder *d, const char *line, size_t n, struct log_record *ret,
	struct buf *ret_text)
{
	struct cursor c = {line, line + n};
	struct members m = {0};
	size_t before = ret_text->len;
	int64_t at;
	if (!take(&c, '{')) {
		return -EINVAL;
	}
	do {
		if (!take_member(&c, &m)) {
			return -EINVAL;
		}
	} while (take(&c, ','));
	if (!take(&c, '}') || !m.log || !m.time || parse_time(d, m.time, m.time_n, &at) < 0) {
		return -EINVAL;
	}
	if (!unescape(m.log, m.log_n, ret_text)) {
		ret_text->len = before;
		return -EINVAL;
	}
	*ret = (struct log_record){at, m.stream && is_word(m.stream, m.stream_n, "stderr") ? 2 : 1,
		m.attrs, m.attrs_n};
	return 0;
}

/* --- local --- */

int log_record_local_time(const char *line, size_t n, int64_t *ret_ns)
{
	int64_t at = 0;
	if (n < LOCAL_DIGITS + 1) {
		return -EINVAL;
	}
	for (int i = 0; i < LOCAL_DIGITS; i++) {
		if (line[i] < '0' || line[i] > '9' || (i == 0 && line[i] > '8')) {
			return -EINVAL; /* 9 x 10^18 would not fit */
		}
		at = at * 10 + (line[i] - '0');
	}
	*ret_ns = at;
	return 0;
}

int log_record_parse_local(const char *line, size_t n, struct log_record *ret, struct buf *ret_text)
{
	int64_t at;
	if (log_record_local_time(line, n, &at) < 0) {
		return -EINVAL;
	}
	char kind = line[LOCAL_DIGITS];
	if (kind != 'o' && kind != 'e' && kind != 'O' && kind != 'E') {
		return -EINVAL;
	}
	buf_append(ret_text, line + LOCAL_DIGITS + 1, n - LOCAL_DIGITS - 1);
	if (kind == 'o' || kind == 'e') {
		buf_putc(ret_text, '\n');
	}
	*ret = (struct log_record){at, kind == 'o' || kind == 'O' ? 1 : 2, NULL, 0};
	return 0;
}
