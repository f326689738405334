#include "wherry/build_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "codec/ref.h"
#include "codec/sha256.h"

#define BLOBS "blobs/sha256"
#define INDEX "index.json"
#define INDEX_MAX (4u << 20)
#define INDEX_TYPE "application/vnd.oci.image.index.v1+json"
#define REF_NAME "org.opencontainers.image.ref.name"
#define IMAGE_NAME "io.containerd.image.name"

int build_layout_open(const char *path, bool make, struct err *e)
{
	int made = make ? path_mkdirs(path, 0755) : 0;
	if (made < 0) {
		return err_sys(e, -made, "cannot make %s", path);
	}
	scoped(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return err_sys(e, errno, "cannot open %s", path);
	}
	if (make) {
		int blobs = path_mkdir_in(fd, BLOBS, 0755);
		if (blobs < 0) {
			return err_sys(e, -blobs, "cannot make %s/%s", path, BLOBS);
		}
		close(blobs);
	}
	return TAKE_FD(fd);
}

/* --- index.json --- */

static int read_index(int dir_fd, json_t **ret, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	struct stat st;
	scoped(close) int fd = path_open_beneath(dir_fd, INDEX, O_RDONLY | O_NONBLOCK);
	if (fd == -ENOENT) {
		return err_set(e, ERR_NOT_FOUND, "it has no " INDEX);
	}
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		return err_set(e, ERR_INVALID, "its " INDEX " is no file"); /* a pipe has no end */
	}
	char name[32];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	int r = fd < 0 ? fd : path_read(AT_FDCWD, name, INDEX_MAX, &text);
	if (r < 0) {
		return err_sys(e, -r, "cannot read its " INDEX);
	}
	scoped(json) json_t *index = json_parse(text.data, text.len, INDEX, e);
	if (index && !json_is_object(index)) {
		return err_set(e, ERR_INVALID, INDEX " must hold an object");
	}
	*ret = TAKE(index);
	return *ret ? 0 : -1;
}

static bool has_name(const json_t *entry, const char *key, const char *name)
{
	return strcmp(json_str(json_object_get(entry, "annotations"), key), name) == 0;
}

static const json_t *find_entry(const json_t *entries, const char *name)
{
	static const char *const keys[] = {IMAGE_NAME, REF_NAME};
	size_t i;
	json_t *entry;
	if (!*name) {
		return json_array_size(entries) == 1 ? json_array_get(entries, 0) : NULL;
	}
	for (size_t k = 0; k < 2; k++) {
		json_array_foreach (entries, i, entry) {
			if (has_name(entry, keys[k], name)) {
				return entry;
			}
		}
	}
	return NULL;
}

int build_layout_find(int dir_fd, const char *name, char ret_digest[static 72], struct err *e)
{
	scoped(json) json_t *index = NULL;
	if (read_index(dir_fd, &index, e) < 0) {
		return -1;
	}
	const json_t *entry = find_entry(json_object_get(index, "manifests"), name);
	const char *digest = json_str(entry, "digest");
	if (!entry) {
		return *name ? err_set(e, ERR_NOT_FOUND, "nothing in its " INDEX " is named %.200s",
				       name)
			     : err_set(e, ERR_NOT_FOUND,
				       "it does not hold exactly one image: a tag or a digest must say which");
	}
	if (!ref_is_digest(digest)) {
		return err_set(e, ERR_INVALID, "its " INDEX " names no digest that is one");
	}
	memcpy(ret_digest, digest, REF_DIGEST_LEN + 1);
	return 0;
}

/* As BuildKit's clients name it: the whole name for containerd, its tag for others. */
static json_t *named(const json_t *descriptor, const char *name)
{
	json_t *entry = json_deep_copy(descriptor);
	json_t *annotations = json_object_get(entry, "annotations");
	struct ref r;
	struct err ignored;
	if (!json_is_object(annotations)) {
		annotations = json_object();
		json_put(entry, "annotations", annotations);
	}
	bool image = strchr(name, '/') && ref_parse(name, &r, &ignored) == 0 && *r.tag;
	if (image) {
		json_put_str(annotations, IMAGE_NAME, name);
	}
	json_put_str(annotations, REF_NAME, image ? r.tag : name);
	return entry;
}

static void replace(json_t *entries, json_t *take_entry)
{
	static const char *const keys[] = {IMAGE_NAME, REF_NAME};
	const json_t *mine = json_object_get(take_entry, "annotations");
	for (size_t i = json_array_size(entries); i > 0; i--) {
		const json_t *other = json_array_get(entries, i - 1);
		if (has_name(other, keys[0], json_str(mine, keys[0])) &&
			has_name(other, keys[1], json_str(mine, keys[1]))) {
			json_array_remove(entries, i - 1);
		}
	}
	json_array_append_new(entries, take_entry);
}

static int write_text(int dir_fd, const char *name, const char *text, struct err *e)
{
	int r = path_write(dir_fd, name, text, strlen(text), 0644, false);
	return r < 0 ? err_sys(e, -r, "cannot write its %s", name) : 0;
}

int build_layout_put(int dir_fd, const json_t *descriptor, const char *name, struct err *e)
{
	scoped(json) json_t *index = NULL;
	if (flock(dir_fd, LOCK_EX) < 0) { /* ends with the fd */
		return err_sys(e, errno, "cannot lock it");
	}
	if (read_index(dir_fd, &index, e) < 0) {
		if (e->kind != ERR_NOT_FOUND) {
			return -1;
		}
		index = json_pack(
			"{si ss s[]}", "schemaVersion", 2, "mediaType", INDEX_TYPE, "manifests");
	}
	json_t *entries = json_object_get(index, "manifests");
	if (!json_is_array(entries)) {
		entries = json_array();
		json_put(index, "manifests", entries);
	}
	replace(entries, named(descriptor, name));
	scoped(free) char *text = json_text(index);
	return write_text(dir_fd, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}", e) < 0 ||
			       write_text(dir_fd, INDEX, text, e) < 0
		       ? -1
		       : 0;
}

/* --- blobs --- */

static int blob_path(const char *digest, char ret[static 100], struct err *e)
{
	if (!ref_is_digest(digest)) {
		return err_set(e, ERR_INVALID, "invalid digest %.100s", digest);
	}
	snprintf(ret, 100, BLOBS "/%s", digest + strlen("sha256:"));
	return 0;
}

int build_layout_blob(int dir_fd, const char *digest, int64_t *ret_size, struct err *e)
{
	char path[100];
	struct stat st;
	if (blob_path(digest, path, e) < 0) {
		return -1;
	}
	scoped(close) int fd = path_open_beneath(dir_fd, path, O_RDONLY | O_NONBLOCK);
	if (fd == -ENOENT) {
		return err_set(e, ERR_NOT_FOUND, "content %s: not found", digest);
	}
	if (fd < 0 || fstat(fd, &st) < 0) {
		return err_sys(e, fd < 0 ? -fd : errno, "cannot read the content %.19s", digest);
	}
	if (!S_ISREG(st.st_mode)) {
		return err_set(e, ERR_INVALID, "the content %.19s is no file", digest);
	}
	*ret_size = st.st_size;
	return TAKE_FD(fd);
}

int build_layout_begin(int dir_fd, struct build_layout_write *ret, struct err *e)
{
	char id[ID_LEN + 1];
	*ret = (struct build_layout_write){.dir_fd = -1, .fd = -1};
	int blobs = path_open_plain(dir_fd, BLOBS, O_RDONLY | O_DIRECTORY);
	if (blobs < 0) {
		return err_sys(e, -blobs, "cannot open " BLOBS);
	}
	ret->dir_fd = blobs;
	id_new(id);
	snprintf(ret->name, sizeof(ret->name), ".part-%.12s", id);
	ret->fd = openat(blobs, ret->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return ret->fd < 0 ? err_sys(e, errno, "cannot write to " BLOBS) : 0;
}

int build_layout_append(
	struct build_layout_write *w, int64_t offset, const void *data, size_t n, struct err *e)
{
	if (offset != w->size && offset != 0) {
		return err_set(
			e, ERR_INVALID, "%lld is not where the content ends", (long long)offset);
	}
	if (offset == 0 && w->size > 0 && ftruncate(w->fd, 0) < 0) {
		return err_sys(e, errno, "cannot begin the content anew");
	}
	w->size = offset;
	int r = path_write_at(w->fd, data, n, offset);
	if (r < 0) {
		return err_sys(e, -r, "cannot write the content");
	}
	w->size += (int64_t)n;
	return 0;
}

static int check_digest(const struct build_layout_write *w, const char *digest, struct err *e)
{
	char got[72];
	void *bytes =
		w->size > 0 ? mmap(NULL, (size_t)w->size, PROT_READ, MAP_SHARED, w->fd, 0) : NULL;
	if (bytes == MAP_FAILED) {
		return err_sys(e, errno, "cannot read what was written");
	}
	sha256_digest(bytes, (size_t)w->size, got);
	if (bytes) {
		munmap(bytes, (size_t)w->size);
	}
	return strcmp(got, digest) == 0
		       ? 0
		       : err_set(e, ERR_INVALID, "unexpected commit digest %s, expected %s", got,
				 digest);
}

int build_layout_commit(struct build_layout_write *w, const char *digest, struct err *e)
{
	char path[100];
	if (blob_path(digest, path, e) < 0 || check_digest(w, digest, e) < 0) {
		return -1;
	}
	if (renameat(w->dir_fd, w->name, w->dir_fd, digest + strlen("sha256:")) < 0) {
		return err_sys(e, errno, "cannot keep the content");
	}
	*w->name = '\0';
	return 0;
}

void build_layout_end(struct build_layout_write *w)
{
	if (w->fd >= 0) {
		close(w->fd);
	}
	if (w->dir_fd >= 0) {
		if (*w->name) {
			unlinkat(w->dir_fd, w->name, 0);
		}
		close(w->dir_fd);
	}
	w->fd = w->dir_fd = -1;
}
