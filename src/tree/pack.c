#include "tree/pack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "tree/recipe.h"

#define CHUNK_BYTES (64u << 10)
#define XATTR_NAMES_MAX 65536

struct pack {
	struct archive *a;
	struct map *links; /* "dev:ino" to the first name, owned */
	char *chunk;
	pack_write_fn *write;
	void *owner;
	struct recipe_writer *recipe; /* or NULL */
	struct err write_error;
	bool write_failed;
	int64_t bytes, entries;
};

/* What is packed now: its name outside, its name in the tar. */
struct item {
	int fd; /* O_PATH */
	const char *path;
	struct stat st;
};

static void free_entry(struct archive_entry *entry)
{
	archive_entry_free(entry);
}
SCOPED(struct archive_entry *, free_entry)

static int pack_error(struct pack *p, struct err *e, const char *path)
{
	if (p->write_failed) {
		*e = p->write_error;
		return -1;
	}
	return err_set(e, ERR_SYSTEM, "cannot pack %.200s: %s", path,
		archive_error_string(p->a) ? archive_error_string(p->a) : "out of memory");
}

static int read_error(struct err *e, int errnum, const char *path)
{
	if (errnum == ENOENT) {
		return err_set(e, ERR_NOT_FOUND, "cannot read %.200s: it is gone", path);
	}
	return err_sys(e, errnum, "cannot read %.200s", path);
}

static la_ssize_t on_write(struct archive *a, void *owner, const void *data, size_t n)
{
	struct pack *p = owner;
	bool ok = p->write(p->owner, data, n, &p->write_error) == 0;
	if (ok && p->recipe) {
		ok = recipe_pass(p->recipe, data, n, &p->write_error) == 0 &&
		     recipe_settle(p->recipe, INT64_MAX, &p->write_error) == 0;
	}
	if (!ok) {
		p->write_failed = true;
		archive_set_error(a, EIO, "the writer failed");
		return -1;
	}
	return (la_ssize_t)n;
}

struct pack *pack_new(pack_write_fn *write, void *owner)
{
	struct pack *p = xnew(struct pack);
	p->links = map_new();
	p->chunk = xnew_array(char, CHUNK_BYTES);
	p->write = write;
	p->owner = owner;
	p->a = archive_write_new();
	/* pax, because names, numbers and times of any size must come back as they were */
	if (!p->a || archive_write_set_format_pax_restricted(p->a) != ARCHIVE_OK) {
		abort(); /* out of memory */
	}
	/* attributes in the one form that everybody reads; an older library writes two */
	(void)archive_write_set_format_option(p->a, "pax", "xattrheader", "SCHILY");
	if (archive_write_set_bytes_per_block(p->a, 0) != ARCHIVE_OK ||
		archive_write_open(p->a, p, NULL, on_write, NULL) != ARCHIVE_OK) {
		abort(); /* out of memory */
	}
	return p;
}

void pack_set_recipe(struct pack *p, struct recipe_writer *recipe)
{
	p->recipe = recipe;
}

void pack_free(struct pack *p)
{
	if (!p) {
		return;
	}
	archive_write_free(p->a);
	map_each (p->links, char, path) {
		free(path);
	}
	map_free(p->links);
	free(p->chunk);
	free(p);
}

int64_t pack_bytes(const struct pack *p)
{
	return p->bytes;
}

int64_t pack_entries(const struct pack *p)
{
	return p->entries;
}

int pack_reopen(int path_fd, int flags)
{
	char self[64];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", path_fd);
	int fd = open(self, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* overlayfs' own attributes are book-keeping of this mount, never part of a layer. */
static void add_xattrs(int fd, struct archive_entry *entry)
{
	scoped(free) char *names = xnew_array(char, XATTR_NAMES_MAX);
	ssize_t n = flistxattr(fd, names, XATTR_NAMES_MAX);
	for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
		char value[4096];
		bool wanted = text_starts(p, "user.") || strcmp(p, "security.capability") == 0;
		ssize_t size = wanted ? fgetxattr(fd, p, value, sizeof(value)) : -1;
		if (size >= 0) {
			archive_entry_xattr_add_entry(entry, p, value, (size_t)size);
		}
	}
}

static struct archive_entry *new_entry(const char *path, const struct stat *st)
{
	struct archive_entry *entry = archive_entry_new();
	archive_entry_set_pathname(entry, path);
	archive_entry_set_mode(entry, st->st_mode);
	archive_entry_set_uid(entry, st->st_uid);
	archive_entry_set_gid(entry, st->st_gid);
	archive_entry_set_mtime(entry, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	archive_entry_set_size(entry, S_ISREG(st->st_mode) ? st->st_size : 0);
	return entry;
}

static int write_header(
	struct pack *p, struct archive_entry *entry, const char *path, struct err *e)
{
	if (++p->entries > PACK_ENTRIES_MAX) {
		return err_set(e, ERR_INVALID, "more than %d files to pack", PACK_ENTRIES_MAX);
	}
	return archive_write_header(p->a, entry) < ARCHIVE_WARN ? pack_error(p, e, path) : 0;
}

int pack_marker(struct pack *p, const char *path, const struct stat *like, struct err *e)
{
	struct stat st = *like;
	st.st_mode = S_IFREG;
	st.st_uid = 0;
	st.st_gid = 0;
	st.st_size = 0;
	scoped(free_entry) struct archive_entry *entry = new_entry(path, &st);
	return write_header(p, entry, path, e);
}

/* As many bytes as the header says; libarchive fills up what a shorter file does not have. */
static int write_content(struct pack *p, const struct item *i, int fd, struct err *e)
{
	off_t left = i->st.st_size;
	if (p->recipe && recipe_file(p->recipe, i->path, e) < 0) {
		return -1;
	}
	while (left > 0) {
		ssize_t n = read(fd, p->chunk, left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return read_error(e, errno, i->path);
		}
		if (n == 0) {
			break;
		}
		/* unbuffered: the next bytes of the tar are these */
		if (p->recipe && recipe_run(p->recipe, recipe_passed(p->recipe), n,
					 i->st.st_size - left, e) < 0) {
			return -1;
		}
		if (archive_write_data(p->a, p->chunk, (size_t)n) < 0) {
			return pack_error(p, e, i->path);
		}
		left -= n;
	}
	p->bytes += i->st.st_size;
	return 0;
}

/* The first name of a file with several brings its content, the others are links to it. */
static const char *first_name(struct pack *p, const struct item *i)
{
	char key[64];
	if (i->st.st_nlink < 2) {
		return NULL;
	}
	snprintf(key, sizeof(key), "%jx:%jx", (uintmax_t)i->st.st_dev, (uintmax_t)i->st.st_ino);
	const char *first = map_get(p->links, key);
	if (!first) {
		map_put(p->links, key, xstrdup(i->path));
	}
	return first;
}

static int pack_regular(struct pack *p, struct item *i, struct err *e)
{
	scoped(free_entry) struct archive_entry *entry = new_entry(i->path, &i->st);
	const char *first = first_name(p, i);
	if (first) {
		archive_entry_set_hardlink(entry, first);
		archive_entry_set_size(entry, 0);
		return write_header(p, entry, i->path, e);
	}
	scoped(close) int fd = pack_reopen(i->fd, O_RDONLY);
	if (fd < 0) {
		return read_error(e, -fd, i->path);
	}
	add_xattrs(fd, entry);
	return write_header(p, entry, i->path, e) < 0 ? -1 : write_content(p, i, fd, e);
}

static int pack_special(struct pack *p, const struct item *i, struct err *e)
{
	char link[4097];
	scoped(free_entry) struct archive_entry *entry = new_entry(i->path, &i->st);
	if (S_ISLNK(i->st.st_mode)) {
		ssize_t n = readlinkat(i->fd, "", link, sizeof(link) - 1);
		if (n < 0) {
			return read_error(e, errno, i->path);
		}
		link[n] = '\0';
		archive_entry_set_symlink(entry, link);
	} else {
		const char *first = first_name(p, i);
		if (first) {
			archive_entry_set_hardlink(entry, first);
		}
		archive_entry_set_rdevmajor(entry, major(i->st.st_rdev));
		archive_entry_set_rdevminor(entry, minor(i->st.st_rdev));
	}
	return write_header(p, entry, i->path, e);
}

static int write_directory(struct pack *p, int fd, const char *path, struct err *e)
{
	struct stat st;
	if (fstat(fd, &st) < 0) {
		return read_error(e, errno, path);
	}
	size_t n = strlen(path);
	bool slash = n > 0 && path[n - 1] == '/';
	scoped(free) char *with_slash = xasprintf("%s%s", path, slash ? "" : "/");
	scoped(free_entry) struct archive_entry *entry = new_entry(with_slash, &st);
	add_xattrs(fd, entry);
	return write_header(p, entry, path, e);
}

int pack_directory(struct pack *p, int dir_fd, const char *path, struct err *e)
{
	scoped(close) int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? read_error(e, errno, path) : write_directory(p, fd, path, e);
}

static int pack_subdir(struct pack *p, const struct item *i, int *ret_dir, struct err *e)
{
	scoped(close) int fd = pack_reopen(i->fd, O_RDONLY | O_DIRECTORY);
	if (fd < 0) {
		return read_error(e, -fd, i->path);
	}
	if (write_directory(p, fd, i->path, e) < 0) {
		return -1;
	}
	if (ret_dir) {
		*ret_dir = TAKE_FD(fd);
	}
	return 0;
}

int pack_entry(
	struct pack *p, int dir_fd, const char *name, const char *path, int *ret_dir, struct err *e)
{
	scoped(close) int fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct item i = {.fd = fd, .path = path};
	if (ret_dir) {
		*ret_dir = -1;
	}
	if (fd < 0 || fstat(fd, &i.st) < 0) {
		return read_error(e, errno, path);
	}
	switch (i.st.st_mode & S_IFMT) {
	case S_IFSOCK:
		return 0; /* means nothing without the process that made it */
	case S_IFDIR:
		return pack_subdir(p, &i, ret_dir, e);
	case S_IFREG:
		return pack_regular(p, &i, e);
	default:
		return pack_special(p, &i, e);
	}
}

int pack_end(struct pack *p, struct err *e)
{
	if (archive_write_close(p->a) != ARCHIVE_OK) {
		return pack_error(p, e, "the archive");
	}
	return p->recipe ? recipe_end(p->recipe, e) : 0;
}
