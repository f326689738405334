/* Later entries of a tar may replace what earlier ones made. So an entry that does not fit is only
 * suspected, until a later one for the same name, or for a file in the place of a directory above
 * it, fits.
 *
 * What fits is remembered by its inode: in the end everything else in the directory is a stranger,
 * but for directories that only lead to something. */
#include "tree/check.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "base/text.h"
#include "tree/inodes.h"
#include "tree/stream.h"
#include "tree/unpack_entry.h"

#define SUSPECTS_MAX 10000 /* more are not waited for */
#define DEPTH_MAX 500      /* one descriptor each; what lies deeper is not looked for */
#define XATTRS_MAX 65536

struct check {
	int root_fd;
	struct archive *a;
	struct stream *tar;
	char *chunk;
	struct err *stream_error;
	bool stream_failed;
	struct map *suspects; /* path -> what is wrong, owned */
	struct inodes known;
	int parent_fd;
	char *parent_name;
};

/* One entry, and what is there under its name. */
struct item {
	struct check *c;
	struct archive_entry *entry;
	const char *path, *name; /* name: the last part of path */
	struct stat st;
};

static void free_archive(struct archive *a)
{
	archive_read_free(a);
}
SCOPED(struct archive *, free_archive)

/* --- suspects --- */

static void suspect(struct check *c, const char *path, const char *what)
{
	if (map_count(c->suspects) < SUSPECTS_MAX && !map_get(c->suspects, path)) {
		map_put(c->suspects, path, xstrdup(what));
	}
}

/* path fits; with a file there, nothing can be below it. */
static void clear_suspects(struct check *c, const char *path, bool is_dir)
{
	if (map_count(c->suspects) == 0) {
		return;
	}
	free(map_remove(c->suspects, path));
	if (is_dir) {
		return;
	}
	scoped(strv) struct strv below = STRV_INIT;
	scoped(free) char *prefix = xasprintf("%s/", path);
	size_t pos = 0;
	const char *key;
	while (map_next(c->suspects, &pos, &key)) {
		if (text_starts(key, prefix)) {
			strv_add(&below, key);
		}
	}
	for (size_t i = 0; i < below.n; i++) {
		free(map_remove(c->suspects, below.v[i]));
	}
}

/* --- one entry --- */

static int open_parent(struct check *c, const char *path)
{
	const char *slash = strrchr(path, '/');
	scoped(free) char *parent = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
	if (c->parent_name && strcmp(c->parent_name, parent) == 0) {
		return c->parent_fd;
	}
	if (c->parent_fd >= 0) {
		close(c->parent_fd);
	}
	free(c->parent_name);
	c->parent_name = NULL;
	c->parent_fd = path_open_in(c->root_fd, parent, O_RDONLY | O_DIRECTORY, 0);
	if (c->parent_fd >= 0) {
		c->parent_name = TAKE(parent);
	}
	return c->parent_fd;
}

/* A second of 1970 to 2038 is kept by every filesystem; parts of one by most, and by most tars not:
 * what a build made has them, and its tar has not. */
static bool same_time(const struct item *i)
{
	int64_t seconds = archive_entry_mtime(i->entry);
	return seconds < 0 || seconds > INT32_MAX ||
	       (i->st.st_mtim.tv_sec == seconds &&
		       (i->st.st_mtim.tv_nsec == archive_entry_mtime_nsec(i->entry) ||
			       i->st.st_mtim.tv_nsec == 0 ||
			       archive_entry_mtime_nsec(i->entry) == 0));
}

static bool same_link(const struct item *i, int parent)
{
	char to[4097];
	const char *want = archive_entry_symlink(i->entry);
	ssize_t n = readlinkat(parent, i->name, to, sizeof(to) - 1);
	to[n < 0 ? 0 : n] = '\0';
	return n >= 0 && want && strcmp(to, want) == 0;
}

static bool is_layers_own(const char *xattr)
{
	return (text_starts(xattr, "user.") && !text_starts(xattr, "user.overlay.")) ||
	       strcmp(xattr, "security.capability") == 0;
}

/* Of a file or directory. How many the entry brings, or -1 when one of them is not there. */
static int count_same_xattrs(const struct item *i, const char *self)
{
	const char *name;
	const void *value;
	size_t n;
	int count = 0;
	scoped(free) char *there = xnew_array(char, XATTRS_MAX);
	archive_entry_xattr_reset(i->entry);
	while (archive_entry_xattr_next(i->entry, &name, &value, &n) == ARCHIVE_OK) {
		if (!name || !is_layers_own(name)) {
			continue;
		}
		ssize_t got = getxattr(self, name, there, XATTRS_MAX);
		if (got < 0 && errno == ENOTSUP && text_starts(name, "user.")) {
			continue; /* as unpacking: a filesystem without them */
		}
		if (got != (ssize_t)n || memcmp(there, value, n) != 0) {
			return -1;
		}
		count++;
	}
	return count;
}

static bool same_xattrs(const struct item *i, int parent)
{
	char self[64];
	scoped(close) int fd = openat(parent, i->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	int count = fd < 0 ? -1 : count_same_xattrs(i, self);
	if (count < 0) {
		return false;
	}
	scoped(free) char *names = xnew_array(char, XATTRS_MAX);
	ssize_t n = listxattr(self, names, XATTRS_MAX);
	for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
		count -= is_layers_own(p);
	}
	return count == 0;
}

static const char *compare_kind(const struct item *i, int parent, mode_t type)
{
	switch (type) {
	case S_IFREG:
		return i->st.st_size != archive_entry_size(i->entry) ? "has another size"
		       : !same_xattrs(i, parent)                     ? "has other attributes"
								     : NULL;
	case S_IFDIR:
		return same_xattrs(i, parent) ? NULL : "has other attributes";
	case S_IFLNK:
		return same_link(i, parent) ? NULL : "leads elsewhere";
	case S_IFCHR:
	case S_IFBLK:
		return major(i->st.st_rdev) == (unsigned)archive_entry_rdevmajor(i->entry) &&
				       minor(i->st.st_rdev) ==
					       (unsigned)archive_entry_rdevminor(i->entry)
			       ? NULL
			       : "is another device";
	default:
		return NULL;
	}
}

/* What is wrong, or NULL. */
static const char *compare(const struct item *i, int parent)
{
	if (archive_entry_hardlink(i->entry)) {
		return S_ISDIR(i->st.st_mode) ? "is of another kind" : NULL;
	}
	mode_t type = archive_entry_filetype(i->entry);
	if ((i->st.st_mode & S_IFMT) != type) {
		return "is of another kind";
	}
	if (i->st.st_uid != (uid_t)archive_entry_uid(i->entry) ||
		i->st.st_gid != (gid_t)archive_entry_gid(i->entry)) {
		return "has another owner";
	}
	if (type != S_IFLNK && (i->st.st_mode & 07777) != (archive_entry_perm(i->entry) & 07777)) {
		return "has another mode";
	}
	const char *wrong = compare_kind(i, parent, type);
	return wrong ? wrong : same_time(i) ? NULL : "has another time";
}

static bool is_opaque(int dir, const char *name)
{
	char value[8];
	const struct unpack_target t = {dir, name};
	scoped(close) int fd = unpack_open_dir(&t);
	return fd >= 0 && fgetxattr(fd, OVERLAY_OPAQUE, value, sizeof(value)) > 0;
}

/* ".wh.x": x is a whiteout, a directory that hides the one below it, or a file of this layer. */
static void check_whiteout(struct check *c, int parent, const char *path, const char *hidden)
{
	struct stat st;
	scoped(free) char *key = xasprintf(
		"%.*s%s", (int)(strlen(path) - strlen(hidden) - strlen(".wh.")), path, hidden);
	if (fstatat(parent, hidden, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		suspect(c, key, "is missing: it hides a file below");
	} else if (S_ISDIR(st.st_mode) && !is_opaque(parent, hidden)) {
		suspect(c, key, "does not hide what is below");
	} else if (unpack_is_whiteout(&st)) {
		inodes_add(&c->known, st.st_ino);
		clear_suspects(c, key, true);
	}
}

static void check_special(struct check *c, int parent, const char *path, const char *name)
{
	if (strcmp(name, ".wh..wh..opq") == 0) {
		if (!is_opaque(parent, ".")) {
			suspect(c, path, "is missing: it hides a directory below");
		}
	} else if (!text_starts(name, ".wh..wh.")) {
		check_whiteout(c, parent, path, name + strlen(".wh."));
	}
}

static void check_item(struct item *i)
{
	struct check *c = i->c;
	int parent = open_parent(c, i->path);
	if (parent >= 0 && text_starts(i->name, ".wh.")) {
		check_special(c, parent, i->path, i->name);
		return;
	}
	if (parent < 0 || fstatat(parent, i->name, &i->st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (!text_starts(i->name, ".wh.")) {
			suspect(c, i->path, "is missing");
		}
		return;
	}
	const char *wrong = compare(i, parent);
	if (wrong) {
		suspect(c, i->path, wrong);
	} else {
		inodes_add(&c->known, i->st.st_ino);
		clear_suspects(c, i->path, S_ISDIR(i->st.st_mode));
	}
}

static void check_entry(struct check *c, struct archive_entry *entry)
{
	struct err ignored;
	const char *name = archive_entry_pathname(entry);
	scoped(free) char *path = name ? unpack_clean_name(name, &ignored) : NULL;
	if (!path ||
		(!archive_entry_hardlink(entry) && archive_entry_filetype(entry) == S_IFSOCK)) {
		return;
	}
	const char *slash = strrchr(path, '/');
	struct item i = {.c = c, .entry = entry, .path = path, .name = slash ? slash + 1 : path};
	check_item(&i);
}

/* --- strangers --- */

/* Whether something of the layer is in it. */
static bool find_strangers(struct check *c, int dir, const char *path, int depth)
{
	scoped(strv) struct strv names = STRV_INIT;
	bool some = false;
	if (depth > DEPTH_MAX || path_list(dir, &names) < 0) {
		return true;
	}
	for (size_t k = 0; k < names.n; k++) {
		struct stat st;
		scoped(free) char *below = xasprintf("%s%s%s", path, *path ? "/" : "", names.v[k]);
		if (fstatat(dir, names.v[k], &st, AT_SYMLINK_NOFOLLOW) < 0) {
			continue;
		}
		bool known = S_ISSOCK(st.st_mode) || inodes_has(&c->known, st.st_ino);
		if (S_ISDIR(st.st_mode)) {
			const struct unpack_target t = {dir, names.v[k]};
			scoped(close) int fd = unpack_open_dir(&t);
			bool holds = fd >= 0 && find_strangers(c, fd, below, depth + 1);
			known = known || holds;
		}
		if (!known) {
			suspect(c, below, "is not of this layer");
		}
		some = some || known;
	}
	return some;
}

/* --- the tar --- */

static la_ssize_t read_tar(struct archive *a, void *owner, const void **ret)
{
	struct check *c = owner;
	*ret = c->chunk;
	ssize_t n = stream_read(c->tar, c->chunk, STREAM_CHUNK, c->stream_error);
	if (n < 0) {
		c->stream_failed = true;
		archive_set_error(a, EIO, "the source failed");
	}
	return n;
}

static int check_entries(struct check *c, struct err *e)
{
	struct archive_entry *entry;
	int r;
	while ((r = archive_read_next_header(c->a, &entry)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
		check_entry(c, entry);
	}
	if (c->stream_failed) {
		return -1;
	}
	/* what follows a last block without its padding (unpack.h "verified") was never an entry */
	return r == ARCHIVE_EOF || stream_drain(c->tar, e) == 0 ? 0 : -1;
}

static void name_suspects(const struct check *c, char ret[static CHECK_WORDS_MAX])
{
	scoped(buf) struct buf text = BUF_INIT;
	size_t pos = 0, named = 0;
	const char *path, *what;
	while (text.len < CHECK_WORDS_MAX / 3 && (what = map_next(c->suspects, &pos, &path))) {
		buf_printf(&text, "%s%.100s %s", named ? ", " : "", path, what);
		named++;
	}
	if (map_count(c->suspects) > named) {
		buf_printf(&text, ", and %zu more", map_count(c->suspects) - named);
	}
	snprintf(ret, CHECK_WORDS_MAX, "%s", buf_str(&text));
}

static int run(struct check *c, char ret[static CHECK_WORDS_MAX], struct err *e)
{
	if (check_entries(c, e) < 0 || stream_drain(c->tar, e) < 0) {
		return -1;
	}
	find_strangers(c, c->root_fd, "", 0);
	if (map_count(c->suspects) == 0) {
		return 0;
	}
	name_suspects(c, ret);
	return 1;
}

int check_directory(
	int root_fd, struct stream *tar, char ret[static CHECK_WORDS_MAX], struct err *e)
{
	scoped(free_archive) struct archive *a = archive_read_new();
	scoped(free) char *chunk = xnew_array(char, STREAM_CHUNK);
	struct check c = {.root_fd = root_fd,
		.a = a,
		.tar = tar,
		.chunk = chunk,
		.stream_error = e,
		.suspects = map_new(),
		.parent_fd = -1};
	int r = -1;
	if (!a || archive_read_support_format_tar(a) != ARCHIVE_OK ||
		archive_read_support_format_empty(a) != ARCHIVE_OK) {
		(void)err_sys(e, ENOMEM, "cannot read an archive");
	} else if (archive_read_open(a, &c, NULL, read_tar, NULL) == ARCHIVE_OK) {
		r = run(&c, ret, e);
	} else if (!c.stream_failed) {
		(void)err_set(e, ERR_INVALID, "the layer's tar cannot be read");
	}
	map_each (c.suspects, char, what) {
		free(what);
	}
	map_free(c.suspects);
	inodes_deinit(&c.known);
	free(c.parent_name);
	if (c.parent_fd >= 0) {
		close(c.parent_fd);
	}
	return r;
}
