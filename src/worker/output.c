#include "worker/output.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"

#define PIECE_BYTES (64u << 10)

struct output {
	int fd;
	struct buf piece;
};

struct output *output_new(int fd)
{
	struct output *o = xnew(struct output);
	o->fd = fd;
	return o;
}

void output_free(struct output *o)
{
	if (o) {
		buf_deinit(&o->piece);
		free(o);
	}
}

int output_flush(struct output *o, struct err *e)
{
	int r = path_write_all(o->fd, buf_str(&o->piece), o->piece.len);
	buf_clear(&o->piece);
	return r < 0 ? err_sys(e, -r, "cannot write") : 0;
}

int output_write(void *owner, const void *data, size_t n, struct err *e)
{
	struct output *o = owner;
	buf_append(&o->piece, data, n);
	return o->piece.len < PIECE_BYTES ? 0 : output_flush(o, e);
}
