#include "wherry/demux.h"

#define TYPE_MAX 3

static int read_head(struct demux *d, struct err *e)
{
	if (d->head[0] > TYPE_MAX) {
		return err_set(e, ERR_SYSTEM, "unrecognized stream: %d", d->head[0]);
	}
	d->left = (uint32_t)d->head[4] << 24 | (uint32_t)d->head[5] << 16 |
		  (uint32_t)d->head[6] << 8 | d->head[7];
	return 0;
}

int demux_feed(
	struct demux *d, const char *data, size_t n, demux_fn *fn, void *owner, struct err *e)
{
	while (n > 0) {
		if (d->left == 0) {
			d->head[d->head_n++] = (uint8_t)*data++;
			n--;
			if (d->head_n == DEMUX_HEAD) {
				d->head_n = 0;
				if (read_head(d, e) < 0) {
					return -1;
				}
			}
			continue;
		}
		size_t part = n < d->left ? n : d->left;
		int type = d->head[0] ? d->head[0]
				      : 1; /* 0 is stdin, which dockerd writes to stdout */
		if (fn(owner, type, data, part, e) < 0) {
			return -1;
		}
		d->left -= (uint32_t)part;
		data += part;
		n -= part;
	}
	return 0;
}
