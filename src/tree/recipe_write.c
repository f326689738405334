/* Invariants
 * 1. done is the position up to which the recipe accounts for the tar; the rest of what has passed
 * is in kept and chunk, without a gap.
 * 2. A run that was said last is written when something else follows: pieces of one file are one
 * operation.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strv.h"
#include "tree/pack.h"
#include "tree/recipe_format.h"

#define UNSETTLED_MAX (32u << 20) /* libarchive reads no further ahead than a header's few MiB */

struct recipe_writer {
	int fd;
	struct frame_writer frame;
	struct buf kept; /* passed before chunk, not settled */
	const char *chunk;
	size_t chunk_n;
	int64_t passed; /* to the end of chunk */
	int64_t done;
	int64_t run_skip, run_n; /* said, not yet written */
	int64_t file_end;        /* behind the last run of the file, written or not */
	uint32_t n_lost;
	size_t lost_names;
};

static void put_number(unsigned char *p, uint64_t n, int bytes)
{
	for (int i = 0; i < bytes; i++) {
		p[i] = (unsigned char)(n >> (8 * i));
	}
}

static void make_head(unsigned char ret[static RECIPE_HEAD], uint32_t n_lost, int64_t tar_bytes)
{
	memset(ret, 0, RECIPE_HEAD);
	memcpy(ret, RECIPE_MAGIC, 8);
	put_number(ret + 8, n_lost, 4);
	put_number(ret + 16, (uint64_t)tar_bytes, 8);
}

struct recipe_writer *recipe_writer_new(int dir_fd, const char *name, struct err *e)
{
	unsigned char head[RECIPE_HEAD];
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		(void)err_sys(e, errno, "cannot make the recipe");
		return NULL;
	}
	make_head(head, RECIPE_UNFINISHED, 0);
	int r = path_write_all(fd, head, sizeof(head));
	if (r < 0) {
		close(fd);
		(void)err_sys(e, -r, "cannot write the recipe");
		return NULL;
	}
	struct recipe_writer *w = xnew(struct recipe_writer);
	w->fd = fd;
	recipe_frame_writer_init(&w->frame, fd);
	w->frame.at = RECIPE_HEAD;
	return w;
}

void recipe_writer_free(struct recipe_writer *w)
{
	if (!w) {
		return;
	}
	recipe_frame_writer_deinit(&w->frame);
	buf_deinit(&w->kept);
	close(w->fd);
	free(w);
}

int64_t recipe_passed(const struct recipe_writer *w)
{
	return w->passed;
}

/* --- operations --- */

static int write_op(struct recipe_writer *w, enum recipe_op op, uint64_t n, struct err *e)
{
	return recipe_frame_write_number(&w->frame, op, e) < 0
		       ? -1
		       : recipe_frame_write_number(&w->frame, n, e);
}

static int write_run(struct recipe_writer *w, struct err *e)
{
	if (w->run_n == 0) {
		return 0;
	}
	int r = write_op(w, RECIPE_RUN, (uint64_t)w->run_n, e);
	r = r < 0 ? r : recipe_frame_write_number(&w->frame, (uint64_t)w->run_skip, e);
	w->run_n = 0;
	return r;
}

static int write_kept(struct recipe_writer *w, int64_t to, struct err *e)
{
	int64_t chunk_at = w->passed - (int64_t)w->chunk_n;
	int64_t kept_at = chunk_at - (int64_t)w->kept.len;
	if (write_run(w, e) < 0 || write_op(w, RECIPE_KEPT, (uint64_t)(to - w->done), e) < 0) {
		return -1;
	}
	if (w->done < chunk_at) {
		int64_t end = to < chunk_at ? to : chunk_at;
		if (recipe_frame_write(&w->frame, w->kept.data + (w->done - kept_at),
			    (size_t)(end - w->done), e) < 0) {
			return -1;
		}
		w->done = end;
	}
	if (w->done < to) {
		if (recipe_frame_write(&w->frame, w->chunk + (w->done - chunk_at),
			    (size_t)(to - w->done), e) < 0) {
			return -1;
		}
		w->done = to;
	}
	return 0;
}

static int write_up_to(struct recipe_writer *w, int64_t position, struct err *e)
{
	int64_t to = position < w->passed ? position : w->passed;
	return to > w->done ? write_kept(w, to, e) : 0;
}

/* What of the chunk is not settled must outlive it. */
static int keep_rest(struct recipe_writer *w, struct err *e)
{
	int64_t chunk_at = w->passed - (int64_t)w->chunk_n;
	int64_t from = w->done > chunk_at ? w->done : chunk_at;
	if (w->done >= chunk_at) {
		buf_clear(&w->kept);
	} else {
		buf_consume(&w->kept, w->kept.len - (size_t)(chunk_at - w->done));
	}
	if (from < w->passed && buf_append_limited(&w->kept, w->chunk + (from - chunk_at),
					(size_t)(w->passed - from), UNSETTLED_MAX) < 0) {
		return err_set(e, ERR_INVALID, "invalid archive: its headers are too large");
	}
	w->chunk = NULL;
	w->chunk_n = 0;
	return 0;
}

int recipe_settle(struct recipe_writer *w, int64_t position, struct err *e)
{
	return write_up_to(w, position, e) < 0 ? -1 : keep_rest(w, e);
}

int recipe_pass(struct recipe_writer *w, const void *data, size_t n, struct err *e)
{
	if (keep_rest(w, e) < 0) { /* nothing after recipe_settle */
		return -1;
	}
	w->chunk = data;
	w->chunk_n = n;
	w->passed += (int64_t)n;
	return 0;
}

int recipe_file(struct recipe_writer *w, const char *path, struct err *e)
{
	if (write_run(w, e) < 0 || write_op(w, RECIPE_FILE, strlen(path), e) < 0 ||
		recipe_frame_write(&w->frame, path, strlen(path), e) < 0) {
		return -1;
	}
	w->run_skip = 0;
	w->file_end = 0;
	return 0;
}

int recipe_run(struct recipe_writer *w, int64_t position, int64_t n, int64_t offset, struct err *e)
{
	if (n <= 0) {
		return 0;
	}
	if (offset < w->file_end || n > INT64_MAX - offset || position < w->done ||
		n > INT64_MAX - position) {
		return err_set(e, ERR_INVALID,
			"invalid archive: the pieces of a sparse file are not in order");
	}
	if (write_up_to(w, position, e) < 0) {
		return -1;
	}
	if (w->run_n > 0 && offset == w->file_end) {
		w->run_n += n;
	} else {
		if (write_run(w, e) < 0) {
			return -1;
		}
		w->run_skip = offset - w->file_end;
		w->run_n = n;
	}
	w->file_end = offset + n;
	w->done = position + n;
	return 0;
}

int recipe_end(struct recipe_writer *w, struct err *e)
{
	unsigned char head[RECIPE_HEAD];
	if (recipe_settle(w, w->passed, e) < 0 || write_run(w, e) < 0 ||
		write_op(w, RECIPE_END, (uint64_t)w->passed, e) < 0 ||
		recipe_frame_end(&w->frame, e) < 0) {
		return -1;
	}
	if (w->done != w->passed) {
		return err_set(e, ERR_SYSTEM, "the layer's tar ended early");
	}
	make_head(head, w->n_lost, w->passed);
	int r = path_write_at(w->fd, head, sizeof(head), 0);
	return r < 0 ? err_sys(e, -r, "cannot write the recipe") : 0;
}

/* --- what goes from the directory --- */

static int write_extent(struct recipe_writer *w, int fd, int64_t from, int64_t to, struct err *e)
{
	char chunk[16384];
	while (from < to) {
		size_t want =
			to - from < (int64_t)sizeof(chunk) ? (size_t)(to - from) : sizeof(chunk);
		ssize_t n = pread(fd, chunk, want, from);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return err_sys(e, n < 0 ? errno : EIO, "cannot read back the layer");
		}
		if (recipe_frame_write(&w->frame, chunk, (size_t)n, e) < 0) {
			return -1;
		}
		from += n;
	}
	return 0;
}

/* (skip, n, bytes)... : holes stay away, they can be larger than any disk. */
static int write_contents(struct recipe_writer *w, int fd, struct err *e)
{
	int64_t end = 0;
	for (;;) {
		int64_t from = lseek(fd, end, SEEK_DATA);
		if (from < 0 && errno == ENXIO) {
			break;
		}
		int64_t to = from < 0 ? -1 : lseek(fd, from, SEEK_HOLE);
		if (to < 0) {
			return err_sys(e, errno, "cannot read back the layer");
		}
		if (recipe_frame_write_number(&w->frame, (uint64_t)(from - end), e) < 0 ||
			recipe_frame_write_number(&w->frame, (uint64_t)(to - from), e) < 0 ||
			write_extent(w, fd, from, to, e) < 0) {
			return -1;
		}
		end = to;
	}
	return recipe_frame_write(&w->frame, "\0\0", 2, e) < 0 ? -1
							       : recipe_frame_end(&w->frame, e);
}

static int lose_file(struct recipe_writer *w, int fd, const char *path, struct err *e)
{
	unsigned char length[8] = {0};
	w->lost_names += strlen(path);
	if (++w->n_lost > RECIPE_LOST_MAX || w->lost_names > RECIPE_LOST_NAMES_MAX) {
		return err_set(e, ERR_INVALID,
			"invalid archive: it replaces more than %d of its own files",
			RECIPE_LOST_MAX);
	}
	if (write_run(w, e) < 0 || write_op(w, RECIPE_LOST, strlen(path), e) < 0 ||
		recipe_frame_write(&w->frame, path, strlen(path), e) < 0 ||
		recipe_frame_end(&w->frame, e) < 0) {
		return -1;
	}
	int64_t length_at = w->frame.at;
	int r = path_write_all(w->fd, length, sizeof(length));
	w->frame.at += (int64_t)sizeof(length);
	if (r == 0 && write_contents(w, fd, e) < 0) {
		return -1;
	}
	put_number(length, (uint64_t)(w->frame.at - length_at) - sizeof(length), 8);
	r = r < 0 ? r : path_write_at(w->fd, length, sizeof(length), length_at);
	return r < 0 ? err_sys(e, -r, "cannot write the recipe") : 0;
}

static int lose(struct recipe_writer *w, int dir_fd, const char *name, const char *path, int depth,
	struct err *e);

static int lose_directory(
	struct recipe_writer *w, int fd, const char *path, int depth, struct err *e)
{
	scoped(strv) struct strv names = STRV_INIT;
	int r = depth > PACK_DEPTH_MAX ? -ELOOP : path_list(fd, &names);
	if (r < 0) {
		return err_sys(e, -r, "cannot read back the layer");
	}
	for (size_t i = 0; i < names.n; i++) {
		scoped(free) char *below = xasprintf("%s/%s", path, names.v[i]);
		if (lose(w, fd, names.v[i], below, depth + 1, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int lose(struct recipe_writer *w, int dir_fd, const char *name, const char *path, int depth,
	struct err *e)
{
	struct stat st;
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return err_sys(e, errno, "cannot read back the layer");
	}
	bool is_dir = S_ISDIR(st.st_mode);
	if ((!is_dir && !S_ISREG(st.st_mode)) || strlen(path) > RECIPE_PATH_MAX) {
		return 0;
	}
	scoped(close) int fd = openat(dir_fd, name,
		O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (is_dir ? O_DIRECTORY : 0));
	if (fd < 0) {
		return err_sys(e, errno, "cannot read back the layer");
	}
	return is_dir ? lose_directory(w, fd, path, depth, e) : lose_file(w, fd, path, e);
}

int recipe_lost(
	struct recipe_writer *w, int dir_fd, const char *name, const char *path, struct err *e)
{
	return lose(w, dir_fd, name, path, 0, e);
}
