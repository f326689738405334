#include "wherry/context.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strv.h"

#define PIECE (64u << 10)
#define DEPTH_MAX 256

/* A directory being walked: names still to come, sorted. */
struct level {
	int fd;
	char *path; /* "" or "a/b" */
	struct strv names;
	size_t next;
};

struct context {
	struct archive *archive;
	struct ignore *ignore;
	struct buf out;       /* made, not yet read */
	struct level *levels; /* the innermost last */
	size_t depth;
	int file; /* being copied, or -1 */
	int64_t file_left;
	bool failed, closed;
	struct err error;
	int64_t sent_bytes;
};

static ssize_t archive_out(struct archive *a, void *owner, const void *data, size_t n)
{
	struct context *c = owner;
	buf_append(&c->out, data, n);
	return (ssize_t)n;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Opens the directory and reads its names; path is taken. */
static int enter(struct context *c, int parent_fd, const char *name, char *take_path)
{
	scoped(free) char *path = take_path;
	if (c->depth == DEPTH_MAX) {
		return err_set(&c->error, ERR_INVALID,
			"%s: directories are nested more than %d deep", path, DEPTH_MAX);
	}
	scoped(close) int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int list_fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	scoped(closedir) DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
	if (!dir) {
		scoped_close(&list_fd);
		return err_sys(&c->error, errno, "checking context: cannot read the directory '%s'",
			*path ? path : name);
	}
	struct level l = {.fd = -1};
	for (struct dirent *d; (d = readdir(dir));) {
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0) {
			strv_add(&l.names, d->d_name);
		}
	}
	if (l.names.n > 0) {
		qsort(l.names.v, l.names.n, sizeof(*l.names.v), by_text);
	}
	l.fd = TAKE_FD(fd);
	l.path = TAKE(path);
	c->levels = xrealloc(c->levels, c->depth + 1, sizeof(struct level));
	c->levels[c->depth++] = l;
	return 0;
}

static void leave(struct context *c)
{
	struct level *l = &c->levels[--c->depth];
	close(l->fd);
	free(l->path);
	strv_deinit(&l->names);
}

struct context *context_new(const char *dir, struct ignore *take_ignore, struct err *e)
{
	struct context *c = xnew(struct context);
	c->file = -1;
	c->ignore = take_ignore;
	c->archive = archive_write_new();
	archive_write_set_format_pax_restricted(c->archive);
	archive_write_set_bytes_per_block(c->archive, 0);
	archive_write_set_bytes_in_last_block(c->archive, 1);
	archive_write_open2(c->archive, c, NULL, archive_out, NULL, NULL);
	if (enter(c, AT_FDCWD, dir, xstrdup("")) < 0) {
		*e = c->error;
		context_free(c);
		return NULL;
	}
	return c;
}

void context_free(struct context *c)
{
	if (!c) {
		return;
	}
	while (c->depth > 0) {
		leave(c);
	}
	scoped_close(&c->file);
	free(c->levels);
	archive_write_free(c->archive);
	ignore_free(c->ignore);
	buf_deinit(&c->out);
	free(c);
}

void context_add(struct context *c, const char *name, const char *data, size_t n)
{
	struct archive_entry *entry = archive_entry_new();
	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0600);
	archive_entry_set_size(entry, (la_int64_t)n);
	archive_write_header(c->archive, entry);
	archive_write_data(c->archive, data, n);
	archive_write_finish_entry(c->archive);
	archive_entry_free(entry);
}

/* File capabilities are part of what a program can do; nothing else of the client's attributes is.
 */
static void copy_capability(struct archive_entry *entry, int dir_fd, const char *name)
{
	char value[256];
	scoped(close) int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : fgetxattr(fd, "security.capability", value, sizeof(value));
	if (n > 0) {
		archive_entry_xattr_add_entry(entry, "security.capability", value, (size_t)n);
	}
}

static int put_link(struct context *c, struct archive_entry *entry, int dir_fd, const char *name,
	const char *path)
{
	char target[4096];
	ssize_t n = readlinkat(dir_fd, name, target, sizeof(target) - 1);
	if (n < 0) {
		return err_sys(&c->error, errno, "cannot read the link '%s'", path);
	}
	target[n] = '\0';
	archive_entry_set_symlink(entry, target);
	return 0;
}

static int put_header(
	struct context *c, int dir_fd, const char *name, const char *path, const struct stat *st)
{
	struct archive_entry *entry = archive_entry_new();
	bool is_dir = S_ISDIR(st->st_mode);
	scoped(free) char *shown = xasprintf("%s%s", path, is_dir ? "/" : "");
	archive_entry_set_pathname(entry, shown);
	archive_entry_set_mode(entry, st->st_mode);
	archive_entry_set_mtime(entry, st->st_mtim.tv_sec, 0);
	archive_entry_set_size(entry, S_ISREG(st->st_mode) ? st->st_size : 0);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		archive_entry_set_rdev(entry, st->st_rdev);
	}
	int r = S_ISLNK(st->st_mode) ? put_link(c, entry, dir_fd, name, path) : 0;
	if (S_ISREG(st->st_mode)) {
		copy_capability(entry, dir_fd, name);
	}
	if (r == 0 && archive_write_header(c->archive, entry) < ARCHIVE_WARN) {
		r = err_set(&c->error, ERR_SYSTEM, "cannot add '%s' to the context: %s", path,
			archive_error_string(c->archive));
	}
	archive_entry_free(entry);
	return r;
}

/* One name of the innermost directory. */
static int add_name(struct context *c, const struct level *l, const char *name)
{
	struct stat st;
	scoped(free) char *path = *l->path ? xasprintf("%s/%s", l->path, name) : xstrdup(name);
	if (fstatat(l->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return errno == ENOENT ? 0 : err_sys(&c->error, errno, "cannot read '%s'", path);
	}
	bool is_dir = S_ISDIR(st.st_mode);
	bool ignored = ignore_match(c->ignore, path);
	if (ignored && !(is_dir && ignore_may_hold_kept(c->ignore, path))) {
		return 0;
	}
	if (S_ISSOCK(st.st_mode)) {
		return 0; /* tar has no sockets */
	}
	if (S_ISREG(st.st_mode)) {
		c->file = openat(l->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (c->file < 0) {
			return err_sys(&c->error, errno, "error from sender: open %s", path);
		}
		c->file_left = st.st_size;
	}
	if (!ignored && put_header(c, l->fd, name, path, &st) < 0) {
		return -1;
	}
	return is_dir ? enter(c, l->fd, name, TAKE(path)) : 0;
}

/* A piece of the open file. One that shrank is filled with zeros: the header has promised its size.
 */
static int copy_piece(struct context *c)
{
	char data[PIECE];
	size_t want = c->file_left < (int64_t)sizeof(data) ? (size_t)c->file_left : sizeof(data);
	ssize_t n = want > 0 ? read(c->file, data, want) : 0;
	if (n < 0 && errno != EINTR) {
		return err_sys(&c->error, errno, "cannot read a file of the context");
	}
	if (n > 0) {
		archive_write_data(c->archive, data, (size_t)n);
		c->file_left -= n;
	}
	if (n == 0) {
		archive_write_finish_entry(c->archive);
		close(c->file);
		c->file = -1;
	}
	return 0;
}

/* One step further. */
static int advance(struct context *c)
{
	if (c->file >= 0) {
		return copy_piece(c);
	}
	if (c->depth == 0) {
		archive_write_close(c->archive);
		c->closed = true;
		return 0;
	}
	struct level *l = &c->levels[c->depth - 1];
	if (l->next == l->names.n) {
		leave(c);
		return 0;
	}
	return add_name(c, l, l->names.v[l->next++]);
}

long context_read(void *context, char *data, size_t n)
{
	struct context *c = context;
	while (c->out.len == 0 && !c->closed) {
		if (advance(c) < 0) {
			c->failed = true;
			return c->error.sys ? -c->error.sys : -EIO;
		}
	}
	size_t have = c->out.len < n ? c->out.len : n;
	memcpy(data, buf_str(&c->out), have);
	buf_consume(&c->out, have);
	c->sent_bytes += (int64_t)have;
	return (long)have;
}

const struct err *context_error(const struct context *c)
{
	return c->failed ? &c->error : NULL;
}

int64_t context_sent_bytes(const struct context *c)
{
	return c->sent_bytes;
}
