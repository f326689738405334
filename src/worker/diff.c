#include "worker/diff.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "base/text.h"

#define DEPTH_MAX 512
#define CHUNK_BYTES (64u << 10)
#define XATTR_NAMES_MAX 65536
#define OPAQUE "trusted.overlay.opaque"

struct packer {
	struct archive *a;
	struct map *links; /* "dev:ino" to the first name, owned */
	char *chunk;
	diff_write_fn *write;
	void *owner;
	struct err *write_error;
	bool write_failed;
	struct diff_result result;
};

static void free_entry(struct archive_entry *entry)
{
	archive_entry_free(entry);
}
SCOPED(struct archive_entry *, free_entry)

static int pack_error(struct packer *p, struct err *e, const char *path)
{
	if (p->write_failed) {
		return -1; /* *e is the writer's */
	}
	return err_set(e, ERR_SYSTEM, "cannot pack %.200s: %s", path,
		archive_error_string(p->a) ? archive_error_string(p->a) : "out of memory");
}

static la_ssize_t on_write(struct archive *a, void *owner, const void *data, size_t n)
{
	struct packer *p = owner;
	if (p->write(p->owner, data, n, p->write_error) < 0) {
		p->write_failed = true;
		archive_set_error(a, EIO, "the writer failed");
		return -1;
	}
	return (la_ssize_t)n;
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
	struct packer *p, struct archive_entry *entry, const char *path, struct err *e)
{
	if (++p->result.entries > DIFF_ENTRIES_MAX) {
		return err_set(
			e, ERR_INVALID, "the step changed more than %d files", DIFF_ENTRIES_MAX);
	}
	return archive_write_header(p->a, entry) < ARCHIVE_WARN ? pack_error(p, e, path) : 0;
}

/* "x" is gone: an empty file ".wh.x"; opaque: ".wh..wh..opq" in the directory. */
static int write_marker(
	struct packer *p, const char *dir, const char *name, const struct stat *like, struct err *e)
{
	scoped(free) char *path =
		*dir ? xasprintf("%s/.wh.%s", dir, name) : xasprintf(".wh.%s", name);
	struct stat st = *like;
	st.st_mode = S_IFREG;
	st.st_uid = 0;
	st.st_gid = 0;
	st.st_size = 0;
	scoped(free_entry) struct archive_entry *entry = new_entry(path, &st);
	return write_header(p, entry, path, e);
}

static int write_content(
	struct packer *p, int fd, const struct stat *st, const char *path, struct err *e)
{
	off_t left = st->st_size;
	while (left > 0) {
		ssize_t n = read(fd, p->chunk, left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return err_sys(e, n < 0 ? errno : EIO, "cannot read %.200s", path);
		}
		if (archive_write_data(p->a, p->chunk, (size_t)n) < 0) {
			return pack_error(p, e, path);
		}
		left -= n;
	}
	p->result.bytes += st->st_size;
	return 0;
}

/* The first name of a file with several brings its content, the others are links to it. */
static const char *first_name(struct packer *p, const struct stat *st, const char *path)
{
	char key[64];
	if (st->st_nlink < 2) {
		return NULL;
	}
	snprintf(key, sizeof(key), "%jx:%jx", (uintmax_t)st->st_dev, (uintmax_t)st->st_ino);
	const char *first = map_get(p->links, key);
	if (!first) {
		map_put(p->links, key, xstrdup(path));
	}
	return first;
}

static int pack_regular(struct packer *p, int dir, const char *name, const char *path,
	const struct stat *st, struct err *e)
{
	scoped(free_entry) struct archive_entry *entry = new_entry(path, st);
	const char *first = first_name(p, st, path);
	if (first) {
		archive_entry_set_hardlink(entry, first);
		archive_entry_set_size(entry, 0);
		return write_header(p, entry, path, e);
	}
	scoped(close) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		return err_sys(e, errno, "cannot read %.200s", path);
	}
	add_xattrs(fd, entry);
	return write_header(p, entry, path, e) < 0 ? -1 : write_content(p, fd, st, path, e);
}

static int pack_special(struct packer *p, int dir, const char *name, const char *path,
	const struct stat *st, struct err *e)
{
	char link[4097];
	scoped(free_entry) struct archive_entry *entry = new_entry(path, st);
	if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlinkat(dir, name, link, sizeof(link) - 1);
		if (n < 0) {
			return err_sys(e, errno, "cannot read %.200s", path);
		}
		link[n] = '\0';
		archive_entry_set_symlink(entry, link);
	} else {
		const char *first = first_name(p, st, path);
		if (first) {
			archive_entry_set_hardlink(entry, first);
		}
		archive_entry_set_rdevmajor(entry, major(st->st_rdev));
		archive_entry_set_rdevminor(entry, minor(st->st_rdev));
	}
	return write_header(p, entry, path, e);
}

static int pack_dir(struct packer *p, int fd, const char *path, int depth, struct err *e);

static int pack_subdir(struct packer *p, int dir, const char *name, const char *path,
	const struct stat *st, int depth, struct err *e)
{
	scoped(close) int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		return err_sys(e, errno, "cannot read %.200s", path);
	}
	scoped(free) char *with_slash = xasprintf("%s/", path);
	scoped(free_entry) struct archive_entry *entry = new_entry(with_slash, st);
	add_xattrs(fd, entry);
	if (write_header(p, entry, path, e) < 0) {
		return -1;
	}
	char opaque = 0;
	if (fgetxattr(fd, OPAQUE, &opaque, 1) == 1 && opaque == 'y' &&
		write_marker(p, path, ".wh..opq", st, e) < 0) {
		return -1;
	}
	return pack_dir(p, fd, path, depth + 1, e);
}

static int pack_entry(
	struct packer *p, int dir, const char *dir_path, const char *name, int depth, struct err *e)
{
	struct stat st;
	scoped(free) char *path = *dir_path ? xasprintf("%s/%s", dir_path, name) : xstrdup(name);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return err_sys(e, errno, "cannot read %.200s", path);
	}
	if (S_ISCHR(st.st_mode) && st.st_rdev == 0) {
		return write_marker(p, dir_path, name, &st, e);
	}
	if (S_ISSOCK(st.st_mode)) {
		return 0;
	}
	if (S_ISDIR(st.st_mode)) {
		return pack_subdir(p, dir, name, path, &st, depth, e);
	}
	return S_ISREG(st.st_mode) ? pack_regular(p, dir, name, path, &st, e)
				   : pack_special(p, dir, name, path, &st, e);
}

static int pack_dir(struct packer *p, int fd, const char *path, int depth, struct err *e)
{
	scoped(strv) struct strv names = STRV_INIT;
	int r = depth > DEPTH_MAX ? -ELOOP : path_list(fd, &names);
	if (r < 0) {
		return err_sys(e, -r, "cannot read %.200s", path);
	}
	for (size_t i = 0; i < names.n; i++) {
		if (pack_entry(p, fd, path, names.v[i], depth, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* pax, because names, numbers and times of any size must come back as they were. */
static int open_archive(struct packer *p)
{
	p->a = archive_write_new();
	return p->a && archive_write_set_format_pax_restricted(p->a) == ARCHIVE_OK &&
			       archive_write_set_bytes_per_block(p->a, 0) == ARCHIVE_OK &&
			       archive_write_open(p->a, p, NULL, on_write, NULL) == ARCHIVE_OK
		       ? 0
		       : -1;
}

int diff_pack(
	int upper_fd, diff_write_fn *write, void *owner, struct diff_result *ret, struct err *e)
{
	struct packer p = {.links = map_new(),
		.chunk = xnew_array(char, CHUNK_BYTES),
		.write = write,
		.owner = owner,
		.write_error = e};
	int r = open_archive(&p) < 0 ? err_sys(e, ENOMEM, "cannot make an archive")
				     : pack_dir(&p, upper_fd, "", 0, e);
	if (r == 0 && archive_write_close(p.a) != ARCHIVE_OK) {
		r = pack_error(&p, e, "the layer");
	}
	archive_write_free(p.a);
	map_each (p.links, char, path) {
		free(path);
	}
	map_free(p.links);
	free(p.chunk);
	if (r == 0) {
		*ret = p.result;
	}
	return r;
}

static int update(void *owner, const void *data, size_t n, struct err *e)
{
	return EVP_DigestUpdate(owner, data, n) == 1
		       ? 0
		       : err_set(e, ERR_SYSTEM, "cannot hash the layer");
}

int diff_hash(int upper_fd, struct diff_result *ret, struct err *e)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	if (!md || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(md);
		return err_set(e, ERR_SYSTEM, "cannot hash the layer");
	}
	int r = diff_pack(upper_fd, update, md, ret, e);
	unsigned char digest[32];
	if (r == 0) {
		EVP_DigestFinal_ex(md, digest, NULL);
		memcpy(ret->diff_id, "sha256:", 7);
		text_hex(digest, sizeof(digest), ret->diff_id + 7);
	}
	EVP_MD_CTX_free(md);
	return r;
}
