#include "worker/diff.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "base/text.h"

#define OPAQUE "trusted.overlay.opaque"

struct diff {
	struct pack *pack;
	diff_skip_fn *skip;
	void *owner;
};

/* "x" is gone: an empty file ".wh.x"; opaque: ".wh..wh..opq" in the directory. */
static int write_marker(const struct diff *d, const char *dir, const char *name,
	const struct stat *like, struct err *e)
{
	scoped(free) char *path =
		*dir ? xasprintf("%s/.wh.%s", dir, name) : xasprintf(".wh.%s", name);
	return pack_marker(d->pack, path, like, e);
}

static int diff_dir(const struct diff *d, int fd, const char *path, int depth, struct err *e);

static int diff_entry(const struct diff *d, int dir, const char *dir_path, const char *name,
	int depth, struct err *e)
{
	struct stat st;
	scoped(free) char *path = *dir_path ? xasprintf("%s/%s", dir_path, name) : xstrdup(name);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return errno == ENOENT ? 0 : err_sys(e, errno, "cannot read %.200s", path);
	}
	if (d->skip && d->skip(d->owner, dir, name, path)) {
		return 0;
	}
	if (text_starts(name, ".wh.")) { /* OCI image-spec layer.md "Whiteouts": reserved */
		return err_set(e, ERR_INVALID,
			"cannot make a layer of %.200s: in a layer, a name that begins with .wh. removes a file",
			path);
	}
	if (S_ISCHR(st.st_mode) && st.st_rdev == 0) {
		return write_marker(d, dir_path, name, &st, e);
	}
	scoped(close) int fd = -1;
	if (pack_entry(d->pack, dir, name, path, &fd, e) < 0) {
		return e->kind == ERR_NOT_FOUND ? 0 : -1; /* a container that runs has removed it */
	}
	char opaque = 0;
	if (fd >= 0 && fgetxattr(fd, OPAQUE, &opaque, 1) == 1 && opaque == 'y' &&
		write_marker(d, path, ".wh..opq", &st, e) < 0) {
		return -1;
	}
	return fd >= 0 ? diff_dir(d, fd, path, depth + 1, e) : 0;
}

static int diff_dir(const struct diff *d, int fd, const char *path, int depth, struct err *e)
{
	scoped(strv) struct strv names = STRV_INIT;
	int r = depth > PACK_DEPTH_MAX ? -ELOOP : path_list(fd, &names);
	if (r < 0) {
		return err_sys(e, -r, "cannot read %.200s", path);
	}
	for (size_t i = 0; i < names.n; i++) {
		if (diff_entry(d, fd, path, names.v[i], depth, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int pack_all(const struct diff *d, int upper_fd, struct diff_result *ret, struct err *e)
{
	if (diff_dir(d, upper_fd, "", 0, e) < 0 || pack_end(d->pack, e) < 0) {
		return -1;
	}
	*ret = (struct diff_result){.bytes = pack_bytes(d->pack), .entries = pack_entries(d->pack)};
	return 0;
}

int diff_pack(int upper_fd, pack_write_fn *write, diff_skip_fn *skip, void *owner,
	struct diff_result *ret, struct err *e)
{
	scoped(pack_free) struct pack *p = pack_new(write, owner);
	const struct diff d = {p, skip, owner};
	return pack_all(&d, upper_fd, ret, e);
}

static int update(void *owner, const void *data, size_t n, struct err *e)
{
	return EVP_DigestUpdate(owner, data, n) == 1
		       ? 0
		       : err_set(e, ERR_SYSTEM, "cannot hash the layer");
}

static int pack_and_hash(EVP_MD_CTX *md, int upper_fd, struct recipe_writer *recipe,
	struct diff_result *ret, struct err *e)
{
	scoped(pack_free) struct pack *p = pack_new(update, md);
	const struct diff d = {.pack = p};
	pack_set_recipe(p, recipe);
	return pack_all(&d, upper_fd, ret, e);
}

int diff_hash(int upper_fd, struct recipe_writer *recipe, struct diff_result *ret, struct err *e)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	if (!md || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(md);
		return err_set(e, ERR_SYSTEM, "cannot hash the layer");
	}
	int r = pack_and_hash(md, upper_fd, recipe, ret, e);
	unsigned char digest[32];
	if (r == 0) {
		EVP_DigestFinal_ex(md, digest, NULL);
		memcpy(ret->diff_id, "sha256:", 7);
		text_hex(digest, sizeof(digest), ret->diff_id + 7);
	}
	EVP_MD_CTX_free(md);
	return r;
}
