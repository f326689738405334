/* A received tree, merged into a directory of the caller's. */
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/scoped.h"
#include "buildkit/fsutil.h"
#include "buildkit/fsutil_writer.h"

/* A file whose content was asked for. */
struct pending {
	uint32_t id;
	int fd;     /* -1 before its first piece */
	char *path; /* NULL when it is complete */
	mode_t mode;
	int64_t mtime_ns;
	size_t n_xattrs;
	struct fsutil_xattr *xattrs; /* one allocation with all that they point to */
};

/* Another name of a file, which has to be there first. */
struct name {
	char *path, *of;
};

struct tree {
	struct fsutil_writer *w;
	struct pending *v; /* by id */
	size_t n, room;
	struct name *names;
	size_t n_names, names_room;
};

static struct fsutil_xattr *copy_xattrs(const struct fsutil_stat *st)
{
	if (st->n_xattrs == 0) {
		return NULL;
	}
	size_t bytes = st->n_xattrs * sizeof(*st->xattrs);
	for (size_t i = 0; i < st->n_xattrs; i++) {
		bytes += strlen(st->xattrs[i].key) + 1 + st->xattrs[i].n;
	}
	struct fsutil_xattr *v = xcalloc(bytes, 1); /* of one message: bounded */
	char *p = (char *)(v + st->n_xattrs);
	for (size_t i = 0; i < st->n_xattrs; i++) {
		const struct fsutil_xattr *x = &st->xattrs[i];
		size_t n = strlen(x->key) + 1;
		v[i] = (struct fsutil_xattr){memcpy(p, x->key, n), p + n, x->n};
		if (x->n > 0) {
			memcpy(p + n, x->value, x->n);
		}
		p += n + x->n;
	}
	return v;
}

static int add_name(struct tree *t, const struct fsutil_stat *st)
{
	if (t->n_names == t->names_room) {
		t->names_room = t->names_room ? t->names_room * 2 : 16;
		t->names = xrealloc(t->names, t->names_room, sizeof(*t->names));
	}
	t->names[t->n_names++] = (struct name){xstrdup(st->path), xstrdup(st->link)};
	return 0;
}

static int take_entry(
	void *owner, uint32_t id, const struct fsutil_stat *st, bool *ret_want, struct err *e)
{
	struct tree *t = owner;
	if (!S_ISREG(st->mode)) {
		return fsutil_writer_make(t->w, st, e);
	}
	if (*st->link) {
		return add_name(t, st);
	}
	if (t->n == t->room) {
		t->room = t->room ? t->room * 2 : 64;
		t->v = xrealloc(t->v, t->room, sizeof(*t->v));
	}
	t->v[t->n++] = (struct pending){
		id, -1, xstrdup(st->path), st->mode, st->mtime_ns, st->n_xattrs, copy_xattrs(st)};
	*ret_want = true;
	return 0;
}

static struct pending *find(struct tree *t, uint32_t id)
{
	size_t low = 0, high = t->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (t->v[mid].id < id) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	return &t->v[low]; /* the receiver has checked that it was asked for */
}

static int take_data(void *owner, uint32_t id, const void *data, size_t n, struct err *e)
{
	struct tree *t = owner;
	struct pending *p = find(t, id);
	if (p->fd < 0 && fsutil_writer_open(t->w, p->path, &p->fd, e) < 0) {
		return -1;
	}
	if (n > 0) {
		return fsutil_writer_write(t->w, p->fd, data, n, p->path, e);
	}
	const struct fsutil_stat st = {.path = p->path,
		.mode = p->mode,
		.mtime_ns = p->mtime_ns,
		.n_xattrs = p->n_xattrs,
		.xattrs = p->xattrs};
	int r = fsutil_writer_close(t->w, TAKE_FD(p->fd), &st, e);
	free(TAKE(p->path));
	free(TAKE(p->xattrs));
	return r;
}

static int make_names(struct tree *t, struct err *e)
{
	for (size_t i = 0; i < t->n_names; i++) {
		const struct fsutil_stat st = {
			.path = t->names[i].path, .mode = S_IFREG, .link = t->names[i].of};
		if (fsutil_writer_make(t->w, &st, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int complete(void *owner, struct err *e)
{
	struct tree *t = owner;
	return make_names(t, e) < 0 ? -1 : fsutil_writer_end(t->w, e);
}

static void tree_deinit(struct tree *t)
{
	for (size_t i = 0; i < t->n; i++) {
		if (t->v[i].fd >= 0) {
			close(t->v[i].fd);
		}
		free(t->v[i].path);
		free(t->v[i].xattrs);
	}
	free(t->v);
	for (size_t i = 0; i < t->n_names; i++) {
		free(t->names[i].path);
		free(t->names[i].of);
	}
	free(t->names);
}

int fsutil_receive_tree(
	const struct fsutil_stream *s, int root_fd, uid_t uid, gid_t gid, struct err *e)
{
	scoped(fsutil_writer_free) struct fsutil_writer *w = fsutil_writer_new(root_fd, uid, gid);
	struct tree t = {.w = w};
	const struct fsutil_receiver r = {
		.entry = take_entry, .data = take_data, .owner = &t, .complete = complete};
	int result = fsutil_receive(s, &r, e);
	tree_deinit(&t);
	return result;
}
