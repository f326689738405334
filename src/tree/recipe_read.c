/* A recipe lies on a disk that may be damaged: nothing in it is believed. Every path is opened
 * below the layer's root through no link, every number is checked, and what the tar says in the end
 * is for the digest. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "tree/recipe_format.h"
#include "tree/stream.h"

/* A file that is gone from the directory. */
struct lost {
	struct lost *next;
	uint64_t files_before; /* FILE operations before it went */
	int64_t at;            /* its frame in the recipe */
};

/* Of one path, in the order in which they went. */
struct lost_list {
	struct lost *first, *last;
};

enum source { FROM_OPS, FROM_FILE, FROM_LOST };

struct recipe_stream {
	struct stream base;
	char *layer; /* the directory's name */
	int root_fd, recipe_fd, file_fd;
	struct frame_reader ops, spool;
	uint32_t n_lost;
	struct map *lost; /* path -> struct lost_list, owned */
	uint64_t files;   /* FILE operations so far */
	char path[RECIPE_PATH_MAX + 1];
	enum source file_source; /* of the file's runs */
	enum source source;      /* of what comes now */
	uint64_t left;           /* of it */
	int64_t offset;          /* in the file, of the next byte */
	int64_t extent_at;       /* FROM_LOST: of the next byte in spool */
	uint64_t extent_left;
	bool extents_over;
	int64_t position, tar_bytes;
	bool ended;
	bool headers_only;
};

static int damaged(const struct recipe_stream *r, struct err *e)
{
	return recipe_damaged(r->layer, e);
}

static int file_damaged(const struct recipe_stream *r, struct err *e)
{
	return err_set(e, ERR_INVALID, "the file %.150s of layer %.64s is missing or damaged",
		r->path, r->layer);
}

static uint64_t get_number(const unsigned char *p, int bytes)
{
	uint64_t n = 0;
	for (int i = 0; i < bytes; i++) {
		n |= (uint64_t)p[i] << (8 * i);
	}
	return n;
}

/* --- operations --- */

static int read_op(struct frame_reader *f, enum recipe_op *ret_op, uint64_t *ret_n, struct err *e)
{
	uint64_t op;
	if (recipe_frame_read_number(f, &op, e) < 0 || recipe_frame_read_number(f, ret_n, e) < 0) {
		return -1;
	}
	if (op < RECIPE_KEPT || op > RECIPE_END) {
		return recipe_damaged(f->layer, e);
	}
	*ret_op = (enum recipe_op)op;
	return 0;
}

static int read_path(
	struct frame_reader *f, uint64_t n, char ret[static RECIPE_PATH_MAX + 1], struct err *e)
{
	if (n == 0 || n > RECIPE_PATH_MAX) {
		return recipe_damaged(f->layer, e);
	}
	if (recipe_frame_read_all(f, ret, (size_t)n, e) < 0) {
		return -1;
	}
	ret[n] = '\0';
	return strlen(ret) == n ? 0 : recipe_damaged(f->layer, e);
}

/* After LOST: the frame with the contents, and behind it the next operations. */
static int end_segment(struct recipe_stream *r, int64_t *ret_contents, struct err *e)
{
	unsigned char text[8];
	int64_t at;
	if (recipe_frame_finish(&r->ops, &at, e) < 0) {
		return -1;
	}
	if (pread(r->recipe_fd, text, sizeof(text), at) != (ssize_t)sizeof(text)) {
		return damaged(r, e);
	}
	uint64_t n = get_number(text, 8);
	at += (int64_t)sizeof(text);
	if (n > (uint64_t)(INT64_MAX - at)) {
		return damaged(r, e);
	}
	*ret_contents = at;
	recipe_frame_begin(&r->ops, at + (int64_t)n);
	return 0;
}

/* --- a look ahead: which files are gone --- */

static void add_lost(struct recipe_stream *r, const char *path, uint64_t files, int64_t at)
{
	struct lost *l = xnew(struct lost);
	l->files_before = files;
	l->at = at;
	struct lost_list *list = map_get(r->lost, path);
	if (!list) {
		list = xnew(struct lost_list);
		map_put(r->lost, path, list);
	}
	if (list->last) {
		list->last->next = l;
	} else {
		list->first = l;
	}
	list->last = l;
}

static int scan_op(struct recipe_stream *r, enum recipe_op op, uint64_t n, uint64_t *files,
	uint32_t *lost, size_t *names, struct err *e)
{
	uint64_t skip;
	int64_t at;
	switch (op) {
	case RECIPE_FILE:
		++*files;
		return recipe_frame_skip(&r->ops, n, e);
	case RECIPE_KEPT:
		return recipe_frame_skip(&r->ops, n, e);
	case RECIPE_RUN:
		return recipe_frame_read_number(&r->ops, &skip, e);
	default:
		*names += n;
		if (++*lost > r->n_lost || *names > RECIPE_LOST_NAMES_MAX) {
			return damaged(r, e);
		}
		if (read_path(&r->ops, n, r->path, e) < 0 || end_segment(r, &at, e) < 0) {
			return -1;
		}
		add_lost(r, r->path, *files, at);
		return 0;
	}
}

static int scan_lost(struct recipe_stream *r, struct err *e)
{
	uint64_t files = 0, n;
	uint32_t lost = 0;
	size_t names = 0;
	enum recipe_op op;
	recipe_frame_begin(&r->ops, RECIPE_HEAD);
	while (lost < r->n_lost) {
		if (read_op(&r->ops, &op, &n, e) < 0) {
			return -1;
		}
		if (op == RECIPE_END) {
			return damaged(r, e);
		}
		if (scan_op(r, op, n, &files, &lost, &names, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* --- the files that runs are of --- */

static int open_file(struct recipe_stream *r, struct err *e)
{
	struct open_how how = {
		.flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_XDEV,
	};
	struct stat st;
	scoped(close) int fd = (int)syscall(SYS_openat2, r->root_fd, r->path, &how, sizeof(how));
	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == EIO)) {
		return err_sys(e, errno, "cannot open %.150s of layer %.64s", r->path, r->layer);
	}
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		return file_damaged(r, e);
	}
	r->file_fd = TAKE_FD(fd);
	return 0;
}

static void drop_first(struct lost_list *list)
{
	struct lost *first = list->first;
	list->first = first->next;
	list->last = first->next ? list->last : NULL;
	free(first);
}

/* The one that the file just begun became, or NULL: it is still there. */
static const struct lost *find_lost(struct recipe_stream *r)
{
	struct lost_list *list = map_get(r->lost, r->path);
	while (list && list->first && list->first->files_before < r->files) {
		drop_first(list); /* went before this file came */
	}
	return list ? list->first : NULL;
}

static int begin_file(struct recipe_stream *r, uint64_t n, struct err *e)
{
	if (read_path(&r->ops, n, r->path, e) < 0) {
		return -1;
	}
	if (r->file_fd >= 0) {
		close(r->file_fd);
		r->file_fd = -1;
	}
	r->files++;
	r->offset = 0;
	const struct lost *l = find_lost(r);
	r->file_source = l ? FROM_LOST : FROM_FILE;
	if (l) {
		recipe_frame_begin(&r->spool, l->at);
		r->extent_at = 0;
		r->extent_left = 0;
		r->extents_over = false;
	}
	return 0;
}

static int begin_run(struct recipe_stream *r, uint64_t n, struct err *e)
{
	uint64_t skip;
	if (recipe_frame_read_number(&r->ops, &skip, e) < 0) {
		return -1;
	}
	if (r->files == 0 || skip > (uint64_t)(INT64_MAX - r->offset) ||
		n > (uint64_t)(INT64_MAX - r->offset) - skip) {
		return damaged(r, e);
	}
	r->offset += (int64_t)skip;
	r->source = r->file_source;
	r->left = n;
	bool unopened = r->source == FROM_FILE && r->file_fd < 0 && !r->headers_only;
	return unopened ? open_file(r, e) : 0;
}

static int begin_op(struct recipe_stream *r, struct err *e)
{
	enum recipe_op op;
	uint64_t n;
	int64_t contents;
	if (read_op(&r->ops, &op, &n, e) < 0) {
		return -1;
	}
	switch (op) {
	case RECIPE_KEPT:
		r->source = FROM_OPS;
		r->left = n;
		return 0;
	case RECIPE_FILE:
		return begin_file(r, n, e);
	case RECIPE_RUN:
		return begin_run(r, n, e);
	case RECIPE_LOST:
		return recipe_frame_skip(&r->ops, n, e) < 0 ? -1 : end_segment(r, &contents, e);
	case RECIPE_END:
		break;
	}
	r->ended = true;
	return r->position == r->tar_bytes && n == (uint64_t)r->tar_bytes ? 0 : damaged(r, e);
}

/* --- bytes --- */

static ssize_t read_file(struct recipe_stream *r, void *data, size_t n, struct err *e)
{
	ssize_t got;
	if (r->headers_only) {
		memset(data, 0, n);
		return (ssize_t)n;
	}
	do {
		got = pread(r->file_fd, data, n, r->offset);
	} while (got < 0 && errno == EINTR);
	if (got < 0) {
		return err_sys(e, errno, "cannot read %.150s of layer %.64s", r->path, r->layer);
	}
	return got == 0 ? file_damaged(r, e) : got;
}

/* Positions spool on the extent that has offset, or on the next one behind it. */
static int find_extent(struct recipe_stream *r, struct err *e)
{
	while (!r->extents_over) {
		int64_t behind = r->extent_at + (int64_t)r->extent_left;
		uint64_t skip = 0;
		if (r->extent_left > 0 && r->offset < behind) {
			uint64_t over =
				r->offset > r->extent_at ? (uint64_t)(r->offset - r->extent_at) : 0;
			r->extent_at += (int64_t)over;
			r->extent_left -= over;
			return recipe_frame_skip(&r->spool, over, e);
		}
		if (recipe_frame_skip(&r->spool, r->extent_left, e) < 0 ||
			recipe_frame_read_number(&r->spool, &skip, e) < 0 ||
			recipe_frame_read_number(&r->spool, &r->extent_left, e) < 0) {
			return -1;
		}
		r->extents_over = r->extent_left == 0;
		if (skip > (uint64_t)(INT64_MAX - behind) ||
			r->extent_left > (uint64_t)(INT64_MAX - behind) - skip) {
			return damaged(r, e);
		}
		r->extent_at = behind + (int64_t)skip;
	}
	return 0;
}

static ssize_t read_lost(struct recipe_stream *r, void *data, size_t n, struct err *e)
{
	if (find_extent(r, e) < 0) {
		return -1;
	}
	if (r->extents_over || r->offset < r->extent_at) { /* a hole */
		uint64_t hole = r->extents_over ? n : (uint64_t)(r->extent_at - r->offset);
		n = hole < n ? (size_t)hole : n;
		memset(data, 0, n);
		return (ssize_t)n;
	}
	n = r->extent_left < n ? (size_t)r->extent_left : n;
	ssize_t got = recipe_frame_read(&r->spool, data, n, e);
	if (got > 0) {
		r->extent_at += got;
		r->extent_left -= (uint64_t)got;
	}
	return got;
}

static ssize_t recipe_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct recipe_stream *r = container_of(s, struct recipe_stream, base);
	while (r->left == 0) {
		if (r->ended) {
			return 0;
		}
		if (begin_op(r, e) < 0) {
			return -1;
		}
	}
	n = r->left < n ? (size_t)r->left : n;
	ssize_t got = r->source == FROM_OPS    ? recipe_frame_read(&r->ops, data, n, e)
		      : r->source == FROM_FILE ? read_file(r, data, n, e)
					       : read_lost(r, data, n, e);
	if (got > 0) {
		r->left -= (uint64_t)got;
		r->position += got;
		r->offset += r->source == FROM_OPS ? 0 : got;
	}
	return got;
}

static void recipe_stream_free(struct stream *s)
{
	struct recipe_stream *r = container_of(s, struct recipe_stream, base);
	const int fds[] = {r->root_fd, r->recipe_fd, r->file_fd};
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (fds[i] >= 0) {
			close(fds[i]);
		}
	}
	map_each (r->lost, struct lost_list, list) {
		while (list->first) {
			drop_first(list);
		}
		free(list);
	}
	map_free(r->lost);
	recipe_frame_reader_deinit(&r->ops);
	recipe_frame_reader_deinit(&r->spool);
	free(r->layer);
	free(r);
}

static int read_head(struct recipe_stream *r, struct err *e)
{
	unsigned char head[RECIPE_HEAD];
	if (pread(r->recipe_fd, head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
		memcmp(head, RECIPE_MAGIC, strlen(RECIPE_MAGIC)) != 0) {
		return damaged(r, e);
	}
	uint64_t tar_bytes = get_number(head + 16, 8);
	r->n_lost = (uint32_t)get_number(head + 8, 4);
	if (r->n_lost > RECIPE_LOST_MAX || get_number(head + 12, 4) != 0 || tar_bytes > INT64_MAX) {
		return damaged(r, e);
	}
	r->tar_bytes = (int64_t)tar_bytes;
	if (r->n_lost > 0 && scan_lost(r, e) < 0) {
		return -1;
	}
	recipe_frame_begin(&r->ops, RECIPE_HEAD);
	return 0;
}

int64_t recipe_tar_bytes(const struct stream *recipe)
{
	return container_of(recipe, const struct recipe_stream, base)->tar_bytes;
}

static struct stream *open_recipe(int layers_fd, const char *dir, bool headers_only, struct err *e)
{
	scoped(free) char *name = xasprintf("%s" RECIPE_SUFFIX, dir);
	scoped(close) int root =
		openat(layers_fd, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (root < 0) {
		(void)err_sys(e, errno, "cannot open layer %.64s", dir);
		e->kind = errno == ENOENT ? ERR_NOT_FOUND : e->kind;
		return NULL;
	}
	scoped(close) int fd =
		openat(layers_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		if (errno == ENOENT) {
			(void)err_set(e, ERR_NOT_FOUND,
				"layer %.64s has no recipe: it was made by an older version", dir);
		} else {
			(void)err_sys(e, errno, "cannot open the recipe of layer %.64s", dir);
		}
		return NULL;
	}
	struct recipe_stream *r = xnew(struct recipe_stream);
	r->base = (struct stream){recipe_read, recipe_stream_free};
	r->layer = xstrdup(dir);
	r->root_fd = TAKE_FD(root);
	r->recipe_fd = TAKE_FD(fd);
	r->file_fd = -1;
	r->headers_only = headers_only;
	r->lost = map_new();
	recipe_frame_reader_init(&r->ops, r->recipe_fd, r->layer);
	recipe_frame_reader_init(&r->spool, r->recipe_fd, r->layer);
	if (read_head(r, e) < 0) {
		stream_free(&r->base);
		return NULL;
	}
	return &r->base;
}

struct stream *recipe_open(int layers_fd, const char *dir, struct err *e)
{
	return open_recipe(layers_fd, dir, false, e);
}

struct stream *recipe_open_headers(int layers_fd, const char *dir, struct err *e)
{
	return open_recipe(layers_fd, dir, true, e);
}
