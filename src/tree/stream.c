#include "tree/stream.h"

#include <errno.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"

ssize_t stream_read(struct stream *s, void *data, size_t n, struct err *e)
{
	return s->read(s, data, n, e);
}

void stream_free(struct stream *s)
{
	if (s) {
		s->free(s);
	}
}

int stream_drain(struct stream *s, struct err *e)
{
	char *chunk = xnew_array(char, STREAM_CHUNK);
	ssize_t n;
	do {
		n = stream_read(s, chunk, STREAM_CHUNK, e);
	} while (n > 0);
	free(chunk);
	return n < 0 ? -1 : 0;
}

/* --- a file descriptor --- */

struct fd_stream {
	struct stream base;
	int fd;
};

static ssize_t fd_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct fd_stream *f = container_of(s, struct fd_stream, base);
	ssize_t got;
	do {
		got = read(f->fd, data, n);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? err_sys(e, errno, "cannot read the archive") : got;
}

static void fd_free(struct stream *s)
{
	free(container_of(s, struct fd_stream, base));
}

struct stream *stream_from_fd(int fd)
{
	struct fd_stream *f = xnew(struct fd_stream);
	f->base = (struct stream){fd_read, fd_free};
	f->fd = fd;
	return &f->base;
}
