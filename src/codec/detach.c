#include "codec/detach.h"

#include <string.h>

#include "base/strv.h"
#include "base/text.h"

/* 0 or the byte that the key sends. */
static int key_code(const char *key, char *ret)
{
	if (strlen(key) == 1) {
		*ret = key[0];
		return 0;
	}
	if (!text_starts(key, "ctrl-") || strlen(key) != 6) {
		return -1;
	}
	char c = key[5];
	if (c >= 'a' && c <= 'z') {
		*ret = (char)(c - 'a' + 1);
		return 0;
	}
	if (c == '@' || (c >= '[' && c <= '_')) {
		*ret = (char)(c - '@');
		return 0;
	}
	return -1;
}

int detach_parse(const char *text, struct detach *ret, struct err *e)
{
	struct detach d = {0};
	scoped(strv) struct strv keys = STRV_INIT;
	strv_split(&keys, text, ',');
	for (size_t i = 0; i < keys.n; i++) {
		if (d.n == DETACH_KEYS_MAX || key_code(keys.v[i], &d.keys[d.n]) < 0) {
			return err_set(e, ERR_INVALID,
				"invalid detach keys (%s): Unknown character: '%s'", text,
				keys.v[i]);
		}
		d.n++;
	}
	*ret = d;
	return 0;
}

bool detach_feed(struct detach *d, const char *data, size_t n, struct buf *ret)
{
	if (d->n == 0) {
		buf_append(ret, data, n);
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		if (data[i] != d->keys[d->matched] && d->matched > 0) {
			buf_append(ret, d->keys, d->matched);
			d->matched = 0;
		}
		if (data[i] != d->keys[d->matched]) {
			buf_putc(ret, data[i]);
		} else if (++d->matched == d->n) {
			d->matched = 0;
			return true;
		}
	}
	return false;
}
