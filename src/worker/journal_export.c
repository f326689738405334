#include "worker/journal_export.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

struct journal_export {
	struct buf in;   /* begins with the entry that is not complete yet */
	struct buf text; /* names and values of an entry, each with its NUL */
};

struct journal_export *journal_export_new(void)
{
	return xnew(struct journal_export);
}

void journal_export_free(struct journal_export *x)
{
	if (x) {
		buf_deinit(&x->in);
		buf_deinit(&x->text);
		free(x);
	}
}

struct span {
	size_t name, name_n, value, value_n; /* offsets in the input */
};

/* One field at *pos. 1 and *pos behind it; 0: not all of it is here; -EINVAL. */
static int take_field(const char *p, size_t n, size_t *pos, struct span *ret)
{
	const char *line = p + *pos;
	const char *end = memchr(line, '\n', n - *pos);
	if (!end) {
		return 0;
	}
	const char *equals = memchr(line, '=', (size_t)(end - line));
	size_t after = (size_t)(end - p) + 1;
	ret->name = *pos;
	if (equals) {
		ret->name_n = (size_t)(equals - line);
		ret->value = (size_t)(equals - p) + 1;
		ret->value_n = (size_t)(end - equals) - 1;
		*pos = after;
		return ret->name_n > 0 ? 1 : -EINVAL;
	}
	ret->name_n = (size_t)(end - line);
	if (n - after < 8) {
		return 0;
	}
	uint64_t len = 0;
	for (int i = 7; i >= 0; i--) {
		len = len << 8 | (unsigned char)p[after + (size_t)i];
	}
	if (len > JOURNAL_ENTRY_MAX) {
		return -EINVAL;
	}
	if (n - after - 8 < len + 1) {
		return 0;
	}
	ret->value = after + 8;
	ret->value_n = (size_t)len;
	*pos = after + 8 + (size_t)len + 1;
	return p[*pos - 1] == '\n' ? 1 : -EINVAL;
}

static size_t keep(struct buf *text, const char *p, size_t n)
{
	size_t at = text->len;
	buf_append(text, p, n);
	buf_putc(text, '\0');
	return at;
}

/* Everything lies in x->text before anything points there: it may move while it grows. */
static void tell(struct journal_export *x, const struct span *spans, size_t n, journal_entry_fn *fn,
	void *owner)
{
	struct journal_entry en = {.n = n};
	size_t at[JOURNAL_FIELDS_MAX][2];
	buf_clear(&x->text);
	for (size_t i = 0; i < n; i++) {
		at[i][0] = keep(&x->text, x->in.data + spans[i].name, spans[i].name_n);
		at[i][1] = keep(&x->text, x->in.data + spans[i].value, spans[i].value_n);
	}
	for (size_t i = 0; i < n; i++) {
		en.fields[i] = (struct journal_field){
			x->text.data + at[i][0], x->text.data + at[i][1], spans[i].value_n};
	}
	fn(owner, &en);
}

/* One entry from the beginning of the input. Bytes of it, 0: not all of it is here, -EINVAL. */
static ssize_t take_entry(struct journal_export *x, size_t from, journal_entry_fn *fn, void *owner)
{
	struct span spans[JOURNAL_FIELDS_MAX];
	size_t n = 0;
	size_t pos = from;
	while (pos < x->in.len) {
		if (x->in.data[pos] == '\n') {
			pos++;
			if (n > 0) {
				tell(x, spans, n, fn, owner);
			}
			return (ssize_t)(pos - from);
		}
		if (n == JOURNAL_FIELDS_MAX) {
			return -EINVAL;
		}
		int r = take_field(x->in.data, x->in.len, &pos, &spans[n++]);
		if (r <= 0) {
			return r;
		}
	}
	return 0;
}

int journal_export_feed(
	struct journal_export *x, const char *data, size_t n, journal_entry_fn *fn, void *owner)
{
	size_t used = 0;
	ssize_t r;
	buf_append(&x->in, data, n);
	while ((r = take_entry(x, used, fn, owner)) > 0) {
		used += (size_t)r;
	}
	buf_consume(&x->in, used);
	return r < 0 || x->in.len > JOURNAL_ENTRY_MAX ? -EINVAL : 0;
}
