/* Rotated logs, compressed and back.
 *
 * compress-log INODE: gzip of fd 0 to fd 1; its head has the subfield "WL" with the inode of the
 * plain file, which tells readers whose content it is (container/log_files.h). Run by a shim,
 * without rpc. unpack-log: {"count": bool}; fd 0 is such a file. Its bytes to fd 1, or {"lines":
 * N}.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/json.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/scoped.h"
#include "worker/jobs.h"

#define CHUNK (128u << 10)
#define GZIP_WINDOW (15 + 16) /* zlib.h: a gzip head and tail */
#define ANY_WINDOW (15 + 32)

struct buffers {
	unsigned char in[CHUNK], out[CHUNK];
};

/* -errno, or the bytes; 0 at the end. */
static ssize_t read_some(int fd, void *data, size_t n)
{
	ssize_t r;
	do {
		r = read(fd, data, n);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static int compress_all(z_stream *z, struct buffers *b)
{
	ssize_t n;
	do {
		n = read_some(STDIN_FILENO, b->in, CHUNK);
		if (n < 0) {
			return (int)n;
		}
		z->next_in = b->in;
		z->avail_in = (unsigned)n;
		do {
			z->next_out = b->out;
			z->avail_out = CHUNK;
			deflate(z, n == 0 ? Z_FINISH : Z_NO_FLUSH);
			int r = path_write_all(STDOUT_FILENO, b->out, CHUNK - z->avail_out);
			if (r < 0) {
				return r;
			}
		} while (z->avail_out == 0);
	} while (n > 0);
	return 0;
}

int worker_compress_log(const char *inode)
{
	static struct buffers b;
	unsigned char field[12] = {'W', 'L', 8, 0};
	int64_t ino;
	z_stream z = {0};
	gz_header head = {.extra = field, .extra_len = sizeof(field), .os = 3};
	if (parse_i64(inode, 0, INT64_MAX, &ino) < 0) {
		return 2;
	}
	for (int i = 0; i < 8; i++) {
		field[4 + i] = (unsigned char)((uint64_t)ino >> (8 * i));
	}
	if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) !=
		Z_OK) {
		return 1;
	}
	deflateSetHeader(&z, &head);
	int r = compress_all(&z, &b);
	deflateEnd(&z);
	return r < 0 ? 1 : 0;
}

static int64_t count_lines(const unsigned char *data, size_t n)
{
	int64_t lines = 0;
	const unsigned char *end = data + n;
	for (const unsigned char *p = data; (p = memchr(p, '\n', (size_t)(end - p))); p++) {
		lines++;
	}
	return lines;
}

/* What is there of a damaged file is good enough: the end comes as an error all the same. */
static int unpack_all(z_stream *z, struct buffers *b, bool count, int64_t *ret_lines, struct err *e)
{
	int state = Z_OK;
	while (state != Z_STREAM_END) {
		ssize_t n = read_some(STDIN_FILENO, b->in, CHUNK);
		if (n <= 0) {
			return n < 0 ? err_sys(e, (int)-n, "cannot read the compressed log")
				     : err_set(e, ERR_SYSTEM, "the compressed log is cut off");
		}
		z->next_in = b->in;
		z->avail_in = (unsigned)n;
		do {
			z->next_out = b->out;
			z->avail_out = CHUNK;
			state = inflate(z, Z_NO_FLUSH);
			if (state != Z_OK && state != Z_STREAM_END && state != Z_BUF_ERROR) {
				return err_set(e, ERR_SYSTEM, "the compressed log is damaged");
			}
			size_t have = CHUNK - z->avail_out;
			*ret_lines += count_lines(b->out, have);
			int r = count ? 0 : path_write_all(STDOUT_FILENO, b->out, have);
			if (r < 0) {
				return err_sys(e, -r, "nobody reads the log");
			}
		} while (z->avail_out == 0 && state != Z_STREAM_END);
	}
	return 0;
}

json_t *worker_unpack_log(struct rpc *r, const json_t *request, struct err *e)
{
	static struct buffers b;
	int64_t lines = 0;
	z_stream z = {0};
	if (inflateInit2(&z, ANY_WINDOW) != Z_OK) {
		(void)err_set(e, ERR_SYSTEM, "cannot begin to unpack a log");
		return NULL;
	}
	int result = unpack_all(&z, &b, json_bool(request, "count"), &lines, e);
	inflateEnd(&z);
	return result < 0 ? NULL : json_pack("{sI}", "lines", (json_int_t)lines);
}
