/* Invariants
 * 1. A name is only ever resolved below root_fd (RESOLVE_IN_ROOT); its last component is never
 * followed.
 * 2. An extended attribute of overlayfs is only ever written by us: a layer that brings its own
 * could redirect to other directories of the host.
 * 3. parent_fd is the directory named parent_name; it is forgotten whenever something was removed:
 * nothing else changes what a name that could be opened means.
 */
#include "tree/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "base/text.h"
#include "tree/kernel_fs.h"
#include "tree/stream.h"
#include "tree/unpack_entry.h"
#include "tree/write_behind.h"

static void free_archive(struct archive *a)
{
	archive_read_free(a);
}
SCOPED(struct archive *, free_archive)

char *unpack_clean_name(const char *name, struct err *e)
{
	scoped(free) char *clean = path_clean(name);
	const char *p = clean;
	while (*p == '/') {
		p++;
	}
	if (strcmp(p, "..") == 0 || text_starts(p, "../")) {
		(void)err_set(e, ERR_INVALID,
			"invalid archive: the entry '%s' is outside of its root", name);
		return NULL;
	}
	return xstrdup(*p ? p : ".");
}

static char *rename_root(const struct unpack_place *p, const char *clean)
{
	size_t n = p->old_root ? strlen(p->old_root) : 0;
	if (!p->old_root) {
		return xstrdup(clean);
	}
	if (n == 0) {
		return path_join(p->new_root, clean);
	}
	bool is_root = strncmp(clean, p->old_root, n) == 0 && (clean[n] == '/' || !clean[n]);
	return is_root ? xasprintf("%s%s", p->new_root, clean + n) : xstrdup(clean);
}

char *unpack_path(const struct unpack *u, const char *name, struct err *e)
{
	char *clean = unpack_clean_name(name, e);
	if (!u->place) {
		return clean;
	}
	if (!clean) {
		(void)err_set(e, ERR_INVALID, "\"%s\" is outside of \"%s\"", name, u->place->dir);
		return NULL;
	}
	scoped(free) char *renamed = rename_root(u->place, clean);
	free(clean);
	return path_join(u->place->dir, renamed);
}

static void forget_parent(struct unpack *u)
{
	if (u->parent_fd >= 0) {
		close(u->parent_fd);
	}
	u->parent_fd = -1;
	free(u->parent_name);
	free(u->parent_path);
	u->parent_name = u->parent_path = NULL;
}

/* Opens (and makes) the directory that holds path; ret->name is inside path. A directory that no
 * entry names is root's with mode 0755, as in Docker: what it is in a layer below cannot be known,
 * because this layer may stand on several. */
static int open_parent(struct unpack *u, char *path, struct unpack_target *ret, struct err *e)
{
	char *slash = strrchr(path, '/');
	const char *parent = u->place ? "/" : ".";
	if (slash && slash > path) {
		*slash = '\0';
		parent = path;
	}
	if (!u->parent_name || strcmp(u->parent_name, parent) != 0) {
		forget_parent(u);
		int fd = path_mkdir_in(u->root_fd, parent, 0755);
		if (fd < 0) {
			return unpack_entry_error(e, -fd, path);
		}
		u->parent_fd = fd;
		u->parent_name = xstrdup(parent);
	}
	if (u->place && kernel_fs_is(u->parent_fd)) {
		return unpack_entry_error(e, EPERM, path);
	}
	*ret = (struct unpack_target){u->parent_fd, slash ? slash + 1 : path};
	return 0;
}

static int check_kinds(const struct unpack_place *place, const char *path, bool is_dir,
	bool want_dir, struct err *e)
{
	if (!place->keep_kinds || is_dir == want_dir) {
		return 0;
	}
	return err_set(e, ERR_INVALID, "cannot overwrite %s \"%.200s\" with %s \"%.200s\"",
		is_dir ? "directory" : "non-directory", path,
		is_dir ? "non-directory" : "directory", place->dir);
}

/* Clears the way for an entry. A directory stays for a directory. */
static int make_room(struct unpack *u, const struct unpack_target *t, const char *path,
	bool want_dir, bool *ret_is_dir, bool *ret_was_whiteout, struct err *e)
{
	struct stat st;
	*ret_is_dir = *ret_was_whiteout = false;
	if (fstatat(t->dir_fd, t->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return errno == ENOENT ? 0 : unpack_entry_error(e, errno, t->name);
	}
	if (u->place && check_kinds(u->place, path, S_ISDIR(st.st_mode), want_dir, e) < 0) {
		return -1;
	}
	if (want_dir && S_ISDIR(st.st_mode)) {
		*ret_is_dir = true;
		return 0;
	}
	*ret_was_whiteout = !u->place && unpack_is_whiteout(&st);
	if (unpack_recipe_lost(u, t, e) < 0) {
		return -1;
	}
	int r = path_remove_tree(t->dir_fd, t->name);
	u->removed = true;
	return r < 0 ? unpack_entry_error(e, -r, t->name) : 0;
}

/* ".wh.x": x of the layers below is gone. What this layer itself brings stays. */
static int make_whiteout(const struct unpack_target *t, struct err *e)
{
	const struct unpack_target hidden = {t->dir_fd, t->name + strlen(".wh.")};
	struct stat st;
	if (!path_is_component(hidden.name)) {
		return err_set(e, ERR_INVALID, "invalid archive: the whiteout '%s' names nothing",
			t->name);
	}
	if (fstatat(hidden.dir_fd, hidden.name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		return S_ISDIR(st.st_mode) ? unpack_make_opaque(&hidden, e) : 0;
	}
	if (mknodat(hidden.dir_fd, hidden.name, S_IFCHR, makedev(0, 0)) < 0) {
		return unpack_entry_error(e, errno, hidden.name);
	}
	return 0;
}

static int make_opaque_parent(struct unpack *u, struct err *e)
{
	const struct unpack_target self = {u->parent_fd, "."};
	return unpack_make_opaque(&self, e);
}

static int make_root(struct unpack *u, struct archive_entry *entry, struct err *e)
{
	if (archive_entry_filetype(entry) != S_IFDIR || archive_entry_hardlink(entry)) {
		return err_set(e, ERR_INVALID, "invalid archive: its root is not a directory");
	}
	if (u->place) {
		return 0; /* the place itself stays as it is (moby archive.Unpack) */
	}
	const struct unpack_target self = {u->root_fd, "."};
	return unpack_make_dir(u, entry, &self, ".", true, false, e);
}

static int make_by_type(struct unpack *u, struct archive_entry *entry, const char *path,
	const struct unpack_target *t, struct err *e)
{
	const char *link = archive_entry_hardlink(entry);
	mode_t type = link ? 0 : archive_entry_filetype(entry);
	bool is_dir, was_whiteout;
	if (type == S_IFSOCK) {
		return 0; /* means nothing without the process that made it */
	}
	if (make_room(u, t, path, type == S_IFDIR, &is_dir, &was_whiteout, e) < 0) {
		return -1;
	}
	if (link) {
		return unpack_make_hardlink(u, link, t, e);
	}
	switch (type) {
	case S_IFREG:
		return unpack_make_file(u, entry, t, e);
	case S_IFDIR:
		return unpack_make_dir(u, entry, t, path, is_dir, was_whiteout, e);
	case S_IFLNK:
		return unpack_make_symlink(u, entry, t, e);
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
		return unpack_make_node(u, entry, t, e);
	default:
		return err_set(e, ERR_INVALID, "invalid archive: '%s' is of an unknown type", path);
	}
}

/* Names that mean something in a layer. 1: this is none. */
static int make_special(struct unpack *u, const struct unpack_target *t, struct err *e)
{
	if (strcmp(t->name, ".wh..wh..opq") == 0) {
		return make_opaque_parent(u, e);
	}
	if (text_starts(t->name, ".wh..wh.")) {
		return 0; /* aufs' own book-keeping in images of 2014 */
	}
	return text_starts(t->name, ".wh.") ? make_whiteout(t, e) : 1;
}

static bool is_root(const struct unpack *u, const char *path)
{
	return strcmp(path, u->place ? u->place->dir : ".") == 0;
}

static int make_entry(struct unpack *u, struct archive_entry *entry, struct err *e)
{
	const char *name = archive_entry_pathname(entry);
	if (!name) {
		return err_set(e, ERR_INVALID, "invalid archive: an entry has no readable name");
	}
	scoped(free) char *path = unpack_path(u, name, e);
	if (!path || unpack_check_owner(u, entry, e) < 0) {
		return -1;
	}
	if (is_root(u, path)) {
		return make_root(u, entry, e);
	}
	scoped(free) char *copy = xstrdup(path);
	struct unpack_target t = {-1, ""};
	if (open_parent(u, copy, &t, e) < 0) {
		/* umoci deletes what was below a directory that the same layer makes a file: the
		 * file hides it all */
		const char *slash = strrchr(path, '/');
		bool hidden = !u->place && slash && text_starts(slash, "/.wh.");
		return e->sys == ENOTDIR && hidden ? 0 : -1;
	}
	int r = u->place ? 1 : make_special(u, &t, e);
	if (r <= 0) {
		return r;
	}
	u->removed = false;
	r = make_by_type(u, entry, path, &t, e);
	if (u->removed) {
		forget_parent(u); /* invariant 3 */
	}
	return r;
}

static void set_dir_times(struct unpack *u)
{
	const char *p = buf_str(&u->dirs);
	const char *end = p + u->dirs.len;
	while (p < end) {
		struct timespec times[2];
		const char *path = p;
		p += strlen(path) + 1;
		memcpy(times, p, sizeof(times));
		p += sizeof(times);
		scoped(close) int fd = path_open_in(
			u->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK, 0);
		if (fd >= 0) { /* a later entry may have replaced it */
			futimens(fd, times);
		}
	}
}

/* The runtime mounts a tmpfs on /dev before anything runs; through a link it would mount on, and
 * make nodes in, a directory that the image chose (CVE-2026-47766). */
static int check_dev(int root_fd, struct err *e)
{
	struct stat st;
	if (fstatat(root_fd, "dev", &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode) ||
		unpack_is_whiteout(&st)) {
		return 0;
	}
	return err_set(e, ERR_INVALID, "invalid image: /dev of a layer is not a directory");
}

static la_ssize_t read_tar(struct archive *a, void *owner, const void **ret)
{
	struct unpack *u = owner;
	*ret = u->chunk;
	ssize_t n = unpack_recipe_settle(u, u->stream_error);
	if (n == 0) {
		n = stream_read(u->tar, u->chunk, STREAM_CHUNK, u->stream_error);
	}
	if (n > 0 && unpack_recipe_pass(u, (size_t)n, u->stream_error) < 0) {
		n = -1;
	}
	if (n < 0) {
		u->stream_failed = true;
		archive_set_error(a, EIO, "the source failed");
		return n;
	}
	if (n == 0 && u->pad && u->tar_bytes % 512 != 0) {
		n = 512 - u->tar_bytes % 512;
		memset(u->chunk, 0, (size_t)n);
	}
	u->tar_bytes += n;
	return n;
}

static int unpack_entries(struct unpack *u, struct err *e)
{
	struct archive_entry *entry;
	for (;;) {
		int r = archive_read_next_header(u->archive, &entry);
		if (r == ARCHIVE_EOF) {
			return 0;
		}
		/* ARCHIVE_WARN: some detail was not understood; a name that could not be read is
		 * caught below */
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN) {
			return unpack_archive_error(u, e);
		}
		if (++u->result.entries > UNPACK_ENTRIES_MAX) {
			return err_set(e, ERR_INVALID, "invalid archive: more than %d entries",
				UNPACK_ENTRIES_MAX);
		}
		if (make_entry(u, entry, e) < 0) {
			return -1;
		}
	}
}

static int unpack_archive(struct unpack *u, struct err *e)
{
	scoped(free_archive) struct archive *a = archive_read_new();
	if (!a || archive_read_support_format_tar(a) != ARCHIVE_OK ||
		archive_read_support_format_empty(a) != ARCHIVE_OK) {
		return err_sys(e, ENOMEM, "cannot read an archive");
	}
	u->archive = a;
	if (archive_read_open(a, u, NULL, read_tar, NULL) != ARCHIVE_OK) {
		return unpack_archive_error(u, e);
	}
	if (unpack_entries(u, e) < 0 ||
		(u->recipe ? unpack_recipe_end(u, e) : stream_drain(u->tar, e)) < 0) {
		return -1;
	}
	set_dir_times(u);
	return u->place ? 0 : check_dev(u->root_fd, e);
}

static int unpack_run(struct unpack *u, struct unpack_result *ret, struct err *e)
{
	scoped(free) char *chunk = xnew_array(char, STREAM_CHUNK);
	u->chunk = chunk;
	u->stream_error = e;
	u->parent_fd = -1;
	u->behind = u->place ? NULL : write_behind_new();
	int r = unpack_archive(u, e);
	write_behind_free(u->behind);
	forget_parent(u);
	free(u->root_name);
	buf_deinit(&u->dirs);
	if (r == 0) {
		*ret = u->result;
	}
	return r;
}

int unpack_layer(int root_fd, struct stream *tar, bool verified, struct recipe_writer *recipe,
	struct unpack_result *ret, struct err *e)
{
	struct unpack u = {.root_fd = root_fd, .tar = tar, .pad = verified, .recipe = recipe};
	return unpack_run(&u, ret, e);
}

int unpack_files(int root_fd, struct stream *tar, const struct unpack_place *place,
	struct unpack_result *ret, struct err *e)
{
	struct unpack u = {.root_fd = root_fd, .tar = tar, .place = place};
	return unpack_run(&u, ret, e);
}

int unpack_sync(int root_fd, struct err *e)
{
	if (syncfs(root_fd) < 0) {
		return err_sys(e, errno, "cannot write the layer to disk");
	}
	return 0;
}
