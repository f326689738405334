#include "wherry/cp_local.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "tree/pack.h"
#include "tree/unpack.h"
#include "wherry/cp_names.h"

struct cp_pack {
	int dir_fd; /* of the file, or the directory itself */
	char *file; /* NULL for a directory */
	char *name;
	cp_fill_fn *fill; /* instead of a file or directory */
	void *fill_owner;
	int in, out; /* of the pipe between the thread that packs and the reader */
	pthread_t thread;
	bool started;
	struct err error;
	bool failed;
	int64_t bytes;
};

static int pack_tree(struct pack *p, int dir, const char *path, int depth, struct err *e);

static int pack_one(
	struct pack *p, int dir, const char *name, const char *path, int depth, struct err *e)
{
	scoped(close) int fd = -1;
	if (pack_entry(p, dir, name, path, &fd, e) < 0) {
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	}
	return fd < 0 ? 0 : pack_tree(p, fd, path, depth + 1, e);
}

static int pack_tree(struct pack *p, int dir, const char *path, int depth, struct err *e)
{
	scoped(strv) struct strv names = STRV_INIT;
	int r = depth > PACK_DEPTH_MAX ? -ELOOP : path_list(dir, &names);
	if (r < 0) {
		return err_sys(e, -r, "cannot read %.200s", path);
	}
	for (size_t i = 0; i < names.n; i++) {
		scoped(free) char *below =
			*path ? xasprintf("%s/%s", path, names.v[i]) : xstrdup(names.v[i]);
		if (pack_one(p, dir, names.v[i], below, depth, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int write_piece(void *owner, const void *data, size_t n, struct err *e)
{
	const struct cp_pack *p = owner;
	int r = path_write_all(p->out, data, n);
	return r < 0 ? err_sys(e, -r, "cannot send the archive") : 0;
}

static int pack_all(struct cp_pack *c, struct err *e)
{
	scoped(pack_free) struct pack *p = pack_new(write_piece, c);
	if (c->fill) {
		return c->fill(c->fill_owner, p, e) < 0 ? -1 : pack_end(p, e);
	}
	int r = c->file ? pack_entry(p, c->dir_fd, c->file, c->name, NULL, e)
			: pack_directory(p, c->dir_fd, c->name, e);
	if (r == 0 && !c->file) {
		r = pack_tree(p, c->dir_fd, c->name, 0, e);
	}
	return r < 0 ? -1 : pack_end(p, e);
}

static void *run(void *arg)
{
	struct cp_pack *c = arg;
	c->failed = pack_all(c, &c->error) < 0;
	close(c->out);
	return NULL;
}

/* Of a file the directory it is in, so that it is packed as what it is. */
static int open_source(struct cp_pack *c, const char *path, bool follow, struct err *e)
{
	struct stat st;
	scoped(free) char *real = follow ? realpath(path, NULL) : xstrdup(path);
	if (!real || lstat(real, &st) < 0) {
		return err_set(e, ERR_NOT_FOUND, "lstat %.300s: %s", path,
			errno == ENOENT ? "no such file or directory" : strerror(errno));
	}
	if (cp_says_directory(path) && !S_ISDIR(st.st_mode)) {
		return err_set(e, ERR_INVALID, "lstat %.300s: not a directory", path);
	}
	scoped(free) char *dir = NULL;
	if (S_ISDIR(st.st_mode)) {
		dir = TAKE(real);
	} else {
		cp_split_last(real, &dir, &c->file);
	}
	c->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return c->dir_fd < 0 ? err_sys(e, errno, "open %.300s", path) : 0;
}

struct cp_pack *cp_pack_new(const char *path, bool follow, bool *ret_is_dir, struct err *e)
{
	struct cp_pack *c = xnew(struct cp_pack);
	c->dir_fd = c->in = -1;
	if (open_source(c, path, follow || cp_says_directory(path), e) < 0) {
		cp_pack_free(c);
		return NULL;
	}
	*ret_is_dir = !c->file;
	return c;
}

struct cp_pack *cp_pack_of(cp_fill_fn *fill, void *owner)
{
	struct cp_pack *c = xnew(struct cp_pack);
	c->dir_fd = c->in = -1;
	c->fill = fill;
	c->fill_owner = owner;
	return c;
}

int cp_pack_start(struct cp_pack *c, const char *name, struct err *e)
{
	int ends[2];
	c->name = xstrdup(name);
	signal(SIGPIPE, SIG_IGN); /* the engine may refuse while the thread still packs */
	if (pipe2(ends, O_CLOEXEC) < 0) {
		return err_sys(e, errno, "cannot make a pipe");
	}
	c->in = ends[0];
	c->out = ends[1];
	int r = pthread_create(&c->thread, NULL, run, c);
	if (r != 0) {
		close(c->out);
		return err_sys(e, r, "cannot make a thread");
	}
	c->started = true;
	return 0;
}

long cp_pack_read(void *owner, char *data, size_t n)
{
	struct cp_pack *c = owner;
	ssize_t got;
	do {
		got = read(c->in, data, n);
	} while (got < 0 && errno == EINTR);
	c->bytes += got > 0 ? got : 0;
	return got < 0 ? -errno : got;
}

int cp_pack_end(struct cp_pack *c, struct err *e)
{
	scoped_close(&c->in);
	c->in = -1;
	if (c->started) {
		pthread_join(c->thread, NULL);
		c->started = false;
	}
	if (c->failed) {
		*e = c->error;
	}
	return c->failed ? -1 : 0;
}

int64_t cp_pack_bytes(const struct cp_pack *c)
{
	return c->bytes;
}

void cp_pack_free(struct cp_pack *c)
{
	struct err ignored;
	if (!c) {
		return;
	}
	(void)cp_pack_end(c, &ignored);
	scoped_close(&c->dir_fd);
	free(c->file);
	free(c->name);
	free(c);
}

int cp_unpack(const char *dir, const char *old_root, const char *new_root, struct stream *tar,
	struct err *e)
{
	struct unpack_result made;
	const struct unpack_place place = {
		.dir = "/",
		.keep_kinds = true,
		.old_root = old_root,
		.new_root = new_root,
		.lenient = true,
		.set_owner = true,
		.uid = geteuid(),
		.gid = getegid(),
	};
	scoped(close) int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return root < 0 ? err_sys(e, errno, "open %.300s", dir)
			: unpack_files(root, tar, &place, &made, e);
}
