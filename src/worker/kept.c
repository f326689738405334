/* Invariants
 * 1. Entry number id of the new index is the sender's file id.
 * 2. DIR/KEY/index is there only while the tree is what it says.
 */
#include "worker/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "buildkit/fsutil_writer.h"

#define INDEX "index"
#define TREE "tree"

/* A file that is being received. */
struct incoming {
	uint32_t id;
	int fd;
	EVP_MD_CTX *md;
};

struct kept {
	int dir_fd, tree_fd;
	bool temporary;
	bool dirty; /* the tree is changing: there is no index */
	struct file_index index;
};

/* One transfer. */
struct transfer {
	struct kept *k;
	struct fsutil_writer *w;
	const struct ignore *ignore;
	struct file_index now; /* what the sender has */
	size_t before;         /* the next of k->index to compare */
	struct incoming *open;
	size_t n_open, open_room;
	void (*progress)(void *owner, const struct kept_progress *p);
	void *owner;
	struct kept_progress done;
};

/* --- directories --- */

static int open_dir(int dir_fd, const char *name)
{
	if (mkdirat(dir_fd, name, 0755) < 0 && errno != EEXIST) {
		return -errno;
	}
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static struct kept *kept_new(int take_dir_fd, bool temporary, struct err *e)
{
	struct kept *k = xnew(struct kept);
	k->dir_fd = take_dir_fd;
	k->temporary = temporary;
	k->tree_fd = open_dir(k->dir_fd, TREE);
	if (k->tree_fd < 0) {
		(void)err_sys(e, -k->tree_fd, "cannot make a directory for the context");
		kept_close(k);
		return NULL;
	}
	return k;
}

static int lock_dir(const char *dir, const char *key, struct err *e)
{
	int r = path_mkdirs(dir, 0700);
	scoped(close) int all = r < 0 ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped(close) int fd = all < 0 ? -1 : open_dir(all, key);
	if (fd < 0) {
		return err_sys(e, r < 0 ? -r : errno, "cannot make %s/%s", dir, key);
	}
	struct stat mine, there;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &mine) < 0 ||
		fstatat(all, key, &there, 0) < 0 || mine.st_ino != there.st_ino) {
		return err_set(e, ERR_BUSY, "another build uses the context"); /* or removes it */
	}
	return TAKE_FD(fd);
}

struct kept *kept_open(const char *dir, const char *key, struct err *e)
{
	struct err none;
	int fd = lock_dir(dir, key, e);
	struct kept *k = fd < 0 ? NULL : kept_new(fd, false, e);
	if (!k) {
		return NULL;
	}
	if (file_index_read(k->dir_fd, INDEX, &k->index, &none) == 0) {
		futimens(k->dir_fd, NULL); /* when it was used last */
		return k;
	}
	/* Nobody knows what is in it. The files' sizes, times and modes cannot say: the list went
	 * when the tree began to change, or is damaged, and with it which boot that was; after a
	 * power cut a complete inode may have blocks that were never written. */
	close(k->tree_fd);
	int r = path_remove_tree(k->dir_fd, TREE);
	k->tree_fd = r < 0 ? r : open_dir(k->dir_fd, TREE);
	if (k->tree_fd < 0) {
		(void)err_sys(e, -k->tree_fd, "cannot empty %s/%s", dir, key);
		kept_close(k);
		return NULL;
	}
	return k;
}

struct kept *kept_temporary(int take_dir_fd, struct err *e)
{
	return kept_new(take_dir_fd, true, e);
}

void kept_close(struct kept *k)
{
	if (!k) {
		return;
	}
	bool listed = k->index.n > 0 && !k->dirty && !k->temporary;
	if (listed && !k->index.durable && syncfs(k->dir_fd) == 0) {
		file_index_set_durable(k->dir_fd, INDEX);
	}
	file_index_deinit(&k->index);
	if (k->dirty && !k->temporary) { /* of no use: a full disk gets its space back */
		path_remove_tree(k->dir_fd, TREE);
	}
	if (k->tree_fd >= 0) {
		close(k->tree_fd);
	}
	close(k->dir_fd); /* and the lock with it */
	free(k);
}

int kept_tree_fd(const struct kept *k)
{
	return k->tree_fd;
}

const struct file_index *kept_index(const struct kept *k)
{
	return &k->index;
}

/* --- the tree changes --- */

static int begin_change(struct kept *k, struct err *e)
{
	if (k->dirty) {
		return 0;
	}
	if (unlinkat(k->dir_fd, INDEX, 0) < 0 && errno != ENOENT) {
		return err_sys(e, errno, "cannot change the kept context");
	}
	k->dirty = true;
	return 0;
}

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);
	return strncmp(path, dir, n) == 0 && path[n] == '/';
}

/* Entries of the old index before path (NULL: all that are left) are no more. */
static int remove_before(struct transfer *t, const char *path, struct err *e)
{
	const struct file_index *old = &t->k->index;
	const char *removed = NULL;
	for (; t->before < old->n; t->before++) {
		const char *name = file_index_path(old, &old->v[t->before]);
		if (path && fsutil_path_compare(name, path) >= 0) {
			return 0;
		}
		if (removed && is_below(name, removed)) {
			continue; /* went with it */
		}
		if (begin_change(t->k, e) < 0 || fsutil_writer_remove(t->w, name, e) < 0) {
			return -1;
		}
		removed = name;
	}
	return 0;
}

/* The old index's entry of that path, if the file there is the one that is told. */
static const struct file_entry *find_same(struct transfer *t, const struct fsutil_stat *st)
{
	const struct file_index *old = &t->k->index;
	if (t->before == old->n ||
		strcmp(file_index_path(old, &old->v[t->before]), st->path) != 0) {
		return NULL;
	}
	const struct file_entry *f = &old->v[t->before++];
	return file_index_same(old, f, st) ? f : NULL;
}

static bool is_hard_link(const struct file_index *x, const struct file_entry *f)
{
	return S_ISREG(f->mode) && *file_index_link(x, f);
}

/* An entry of the list that is no file: what clients have of sockets, and what is ignored. */
static bool is_left_out(const struct transfer *t, const struct fsutil_stat *st)
{
	return ignore_match(t->ignore, st->path) &&
	       !(S_ISDIR(st->mode) && ignore_may_hold_kept(t->ignore, st->path));
}

static int take_entry(
	void *owner, uint32_t id, const struct fsutil_stat *told, bool *ret_want, struct err *e)
{
	struct transfer *t = owner;
	struct fsutil_stat left_out = *told;
	const struct fsutil_stat *st = told;
	if (t->ignore && is_left_out(t, told)) {
		left_out.mode = S_IFSOCK;
		left_out.link = "";
		st = &left_out;
	}
	if (remove_before(t, st->path, e) < 0) {
		return -1;
	}
	const struct file_entry *same = find_same(t, st);
	struct file_entry *f = file_index_add(&t->now, st);
	t->done.files++;
	if (same) {
		f->has_digest = same->has_digest;
		memcpy(f->digest, same->digest, sizeof(f->digest));
		return 0;
	}
	f->changed = true;
	if (begin_change(t->k, e) < 0) {
		return -1;
	}
	if (S_ISREG(st->mode)) {
		*ret_want = !*st->link; /* other names follow when their file is there */
		return 0;
	}
	if (S_ISCHR(st->mode) || S_ISBLK(st->mode) || S_ISSOCK(st->mode)) {
		return fsutil_writer_remove(t->w, st->path, e); /* no business of a client */
	}
	return fsutil_writer_make(t->w, st, e);
}

/* --- contents --- */

static struct incoming *find_incoming(struct transfer *t, uint32_t id)
{
	for (size_t i = 0; i < t->n_open; i++) {
		if (t->open[i].id == id) {
			return &t->open[i];
		}
	}
	return NULL;
}

static struct incoming *open_incoming(struct transfer *t, uint32_t id, struct err *e)
{
	struct incoming in = {.id = id, .md = EVP_MD_CTX_new()};
	const char *path = file_index_path(&t->now, &t->now.v[id]);
	if (!in.md || EVP_DigestInit_ex(in.md, EVP_sha256(), NULL) != 1 ||
		fsutil_writer_open(t->w, path, &in.fd, e) < 0) {
		EVP_MD_CTX_free(in.md);
		return NULL;
	}
	if (t->n_open == t->open_room) {
		t->open_room = t->open_room ? t->open_room * 2 : 16;
		t->open = xrealloc(t->open, t->open_room, sizeof(*t->open));
	}
	t->open[t->n_open] = in;
	return &t->open[t->n_open++];
}

static int close_incoming(struct transfer *t, struct incoming *in, struct err *e)
{
	struct file_entry *f = &t->now.v[in->id];
	const struct fsutil_stat st = {.path = file_index_path(&t->now, f),
		.mode = f->mode,
		.mtime_ns = f->mtime_ns,
		.link = ""};
	int fd = in->fd;
	EVP_DigestFinal_ex(in->md, f->digest, NULL);
	EVP_MD_CTX_free(in->md);
	f->has_digest = true;
	*in = t->open[--t->n_open];
	return fsutil_writer_close(t->w, fd, &st, e);
}

static int take_data(void *owner, uint32_t id, const void *data, size_t n, struct err *e)
{
	struct transfer *t = owner;
	struct incoming *in = find_incoming(t, id);
	if (!in && !(in = open_incoming(t, id, e))) {
		return -1;
	}
	if (n == 0) {
		return close_incoming(t, in, e);
	}
	EVP_DigestUpdate(in->md, data, n);
	t->done.bytes += (int64_t)n;
	if (t->progress) {
		t->progress(t->owner, &t->done);
	}
	const char *path = file_index_path(&t->now, &t->now.v[id]);
	return fsutil_writer_write(t->w, in->fd, data, n, path, e);
}

/* --- the end --- */

/* A name of a file that was fetched again still names the old one. */
static int make_hard_link(struct transfer *t, struct file_entry *f, struct err *e)
{
	const char *first = file_index_link(&t->now, f);
	const struct file_entry *of = file_index_find(&t->now, first);
	if (!of || is_hard_link(&t->now, of)) {
		return err_set(e, ERR_INVALID, "invalid file list: '%.200s' is no file",
			first); /* checked when it came */
	}
	f->has_digest = of->has_digest;
	memcpy(f->digest, of->digest, sizeof(f->digest));
	if (!f->changed && !of->changed) {
		return 0;
	}
	const struct fsutil_stat st = {
		.path = file_index_path(&t->now, f), .mode = f->mode, .link = first};
	return begin_change(t->k, e) < 0 ? -1 : fsutil_writer_make(t->w, &st, e);
}

static int make_hard_links(struct transfer *t, struct err *e)
{
	for (size_t i = 0; i < t->now.n; i++) {
		if (is_hard_link(&t->now, &t->now.v[i]) && make_hard_link(t, &t->now.v[i], e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* Whatever was done in them, directories have the times that were told. */
static int touch_dirs(struct transfer *t, struct err *e)
{
	scoped(fsutil_writer_free) struct fsutil_writer *w =
		fsutil_writer_new(t->k->tree_fd, (uid_t)-1, (gid_t)-1);
	for (size_t i = 0; i < t->now.n; i++) {
		const struct file_entry *f = &t->now.v[i];
		const struct fsutil_stat st = {.path = file_index_path(&t->now, f),
			.mode = f->mode,
			.mtime_ns = f->mtime_ns,
			.link = ""};
		if (S_ISDIR(f->mode)) {
			fsutil_writer_touch(w, &st);
		}
	}
	return fsutil_writer_end(w, e);
}

static int finish(struct transfer *t, struct err *e)
{
	struct kept *k = t->k;
	if (remove_before(t, NULL, e) < 0 || make_hard_links(t, e) < 0) {
		return -1;
	}
	if (k->dirty && touch_dirs(t, e) < 0) {
		return -1;
	}
	t->now.durable = !k->dirty && k->index.durable;
	file_index_deinit(&k->index);
	k->index = t->now;
	t->now = (struct file_index){0};
	if (k->dirty && !k->temporary && file_index_write(&k->index, k->dir_fd, INDEX, e) < 0) {
		return -1;
	}
	k->dirty = false;
	return 0;
}

int kept_receive(struct kept *k, const struct fsutil_stream *s, const struct ignore *ignore,
	void (*progress)(void *owner, const struct kept_progress *p), void *owner, struct err *e)
{
	scoped(fsutil_writer_free) struct fsutil_writer *w =
		fsutil_writer_new(k->tree_fd, (uid_t)-1, (gid_t)-1);
	struct transfer t = {
		.k = k, .w = w, .ignore = ignore, .progress = progress, .owner = owner};
	const struct fsutil_receiver r = {.entry = take_entry, .data = take_data, .owner = &t};
	int result = fsutil_receive(s, &r, e);
	if (result == 0) {
		result = finish(&t, e);
	}
	for (size_t i = 0; i < t.n_open; i++) {
		close(t.open[i].fd);
		EVP_MD_CTX_free(t.open[i].md);
	}
	free(t.open);
	file_index_deinit(&t.now);
	return result;
}
