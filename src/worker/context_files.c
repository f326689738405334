/* Reading, pruning and hashing the files of a context. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "base/text.h"
#include "worker/context.h"
#include "worker/file_index.h"

#define DEPTH_MAX 256
#define CHUNK_BYTES (64u << 10)

int context_read(int context_fd, const char *path, size_t limit, struct buf *ret, struct err *e)
{
	scoped(close) int fd = path_open_in(context_fd, path, O_RDONLY | O_NONBLOCK, 0);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		return err_set(e, ERR_NOT_FOUND, "no such file in the build context: %.200s", path);
	}
	char chunk[16384];
	ssize_t n;
	while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
		if (buf_append_limited(ret, chunk, (size_t)n, limit) < 0) {
			return err_set(
				e, ERR_INVALID, "%.200s is larger than %zu KiB", path, limit >> 10);
		}
	}
	return n < 0 ? err_sys(e, errno, "cannot read %.200s", path) : 0;
}

static char *join(const char *dir, const char *name)
{
	return *dir ? xasprintf("%s/%s", dir, name) : xstrdup(name);
}

/* --- .dockerignore --- */

static int prune_dir(int fd, const char *path, const struct ignore *g, int depth, struct err *e);

static int prune_entry(int dir, const char *name, const char *path, const struct ignore *g,
	int depth, struct err *e)
{
	struct stat st;
	bool ignored = ignore_match(g, path);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return err_sys(e, errno, "cannot read %.200s", path);
	}
	if (S_ISDIR(st.st_mode) && (!ignored || ignore_may_hold_kept(g, path))) {
		scoped(close) int fd =
			openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0) {
			return err_sys(e, errno, "cannot read %.200s", path);
		}
		const struct timespec times[2] = {st.st_atim, st.st_mtim};
		if (prune_dir(fd, path, g, depth + 1, e) < 0) {
			return -1;
		}
		futimens(fd, times);
		if (ignored) {
			unlinkat(dir, name,
				AT_REMOVEDIR); /* stays when something in it was taken back */
		}
		return 0;
	}
	if (!ignored) {
		return 0;
	}
	int r = path_remove_tree(dir, name);
	return r < 0 ? err_sys(e, -r, "cannot remove %.200s", path) : 0;
}

static int prune_dir(int fd, const char *path, const struct ignore *g, int depth, struct err *e)
{
	scoped(strv) struct strv names = STRV_INIT;
	int r = depth > DEPTH_MAX ? -ELOOP : path_list(fd, &names);
	if (r < 0) {
		return err_sys(e, -r, "cannot read the context's directory %.200s", path);
	}
	for (size_t i = 0; i < names.n; i++) {
		scoped(free) char *below = join(path, names.v[i]);
		if (prune_entry(fd, names.v[i], below, g, depth, e) < 0) {
			return -1;
		}
	}
	return 0;
}

int context_prune(int context_fd, const struct ignore *g, struct err *e)
{
	return prune_dir(context_fd, "", g, 0, e);
}

/* --- digests --- */

struct hasher {
	EVP_MD_CTX *md;   /* of everything */
	EVP_MD_CTX *file; /* of one content */
	bool with_owners;
	copy_filter *filter;
	void *owner;
	const char *top;
	char *chunk;
};

/* What an entry is, but for the content of a file. */
struct hashed {
	mode_t mode;
	uid_t uid;
	gid_t gid;
	dev_t rdev;
	int64_t size;
};

static void hasher_init(struct hasher *h)
{
	h->md = EVP_MD_CTX_new();
	h->file = EVP_MD_CTX_new();
	if (!h->md || !h->file || EVP_DigestInit_ex(h->md, EVP_sha256(), NULL) != 1) {
		abort(); /* out of memory */
	}
}

static void hasher_end(struct hasher *h, char ret[static 65])
{
	unsigned char digest[32];
	EVP_DigestFinal_ex(h->md, digest, NULL);
	text_hex(digest, sizeof(digest), ret);
	EVP_MD_CTX_free(h->md);
	EVP_MD_CTX_free(h->file);
}

/* A directory that is there for what may be below it counts: at worst a copy is made once more. */
static enum copy_verdict verdict_of(const struct hasher *h, const char *path)
{
	return h->filter ? h->filter(h->owner, h->top, path) : COPY_TAKE;
}

static int hash_file(struct hasher *h, int dir, const char *name, const char *path, struct err *e)
{
	scoped(close) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		return err_sys(e, errno, "cannot read %.200s", path);
	}
	ssize_t n;
	EVP_DigestInit_ex(h->file, EVP_sha256(), NULL);
	while ((n = read(fd, h->chunk, CHUNK_BYTES)) > 0) {
		EVP_DigestUpdate(h->file, h->chunk, (size_t)n);
	}
	unsigned char digest[32];
	EVP_DigestFinal_ex(h->file, digest, NULL);
	EVP_DigestUpdate(h->md, digest, sizeof(digest));
	return n < 0 ? err_sys(e, errno, "cannot read %.200s", path) : 0;
}

static int hash_entry(
	struct hasher *h, int dir, const char *name, const char *path, int depth, struct err *e);

static int hash_dir(
	struct hasher *h, int dir, const char *name, const char *path, int depth, struct err *e)
{
	scoped(strv) struct strv names = STRV_INIT;
	scoped(close) int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? -errno : depth > DEPTH_MAX ? -ELOOP : path_list(fd, &names);
	if (r < 0) {
		return err_sys(e, -r, "cannot read %.200s", path);
	}
	for (size_t i = 0; i < names.n; i++) {
		scoped(free) char *below = join(path, names.v[i]);
		if (verdict_of(h, below) == COPY_SKIP) {
			continue;
		}
		if (hash_entry(h, fd, names.v[i], below, depth + 1, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* Every text goes in with its NUL, every content as its digest: no two trees give the same bytes.
 */
static void hash_head(struct hasher *h, const char *path, const struct hashed *i)
{
	char head[160];
	mode_t mode = S_ISLNK(i->mode) ? S_IFLNK : i->mode;
	int n = snprintf(head, sizeof(head), "%o %u:%u %jx %jd", mode, h->with_owners ? i->uid : 0,
		h->with_owners ? i->gid : 0,
		(uintmax_t)(S_ISCHR(mode) || S_ISBLK(mode) ? i->rdev : 0),
		(intmax_t)(S_ISREG(mode) ? i->size : 0));
	EVP_DigestUpdate(h->md, path, strlen(path) + 1);
	EVP_DigestUpdate(h->md, head, (size_t)n + 1);
}

static int hash_entry(
	struct hasher *h, int dir, const char *name, const char *path, int depth, struct err *e)
{
	struct stat st;
	char link[4097] = "";
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return err_sys(e, errno, "cannot read %.200s", path);
	}
	const struct hashed i = {st.st_mode, st.st_uid, st.st_gid, st.st_rdev, st.st_size};
	hash_head(h, path, &i);
	if (S_ISREG(st.st_mode)) {
		return hash_file(h, dir, name, path, e);
	}
	if (S_ISLNK(st.st_mode)) {
		ssize_t len = readlinkat(dir, name, link, sizeof(link) - 1);
		EVP_DigestUpdate(h->md, link, len > 0 ? (size_t)len + 1 : 1);
	}
	return S_ISDIR(st.st_mode) ? hash_dir(h, dir, name, path, depth, e) : 0;
}

int context_digest(int root_fd, const char *path, bool with_owners, copy_filter *filter,
	void *owner, char ret[static 65], struct err *e)
{
	scoped(free) char *clean = path_clean(path);
	scoped(free) char *parent = xstrdup(clean);
	char *slash = strrchr(parent, '/');
	const char *name = slash ? clean + (slash - parent) + 1 : clean;
	if (slash) {
		*slash = '\0';
	}
	const char *dir_path = !slash ? "." : *parent ? parent : "/";
	scoped(close) int dir = path_open_in(root_fd, dir_path, O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0) {
		return err_sys(e, -dir, "cannot read %.200s", path);
	}
	scoped(free) char *chunk = xnew_array(char, CHUNK_BYTES);
	struct hasher h = {.with_owners = with_owners,
		.filter = filter,
		.owner = owner,
		.top = path,
		.chunk = chunk};
	hasher_init(&h);
	/* the top's own name does not matter: what it becomes is said by the destination */
	int r = hash_entry(&h, dir, *name ? name : ".", "", 0, e);
	hasher_end(&h, ret);
	return r;
}

/* --- of an index --- */

static void hash_indexed(
	struct hasher *h, const struct file_index *x, const struct file_entry *f, const char *path)
{
	const char *link = file_index_link(x, f);
	const struct file_entry *of = S_ISREG(f->mode) && *link ? file_index_find(x, link) : f;
	const struct hashed i = {.mode = f->mode, .size = of ? of->size : f->size};
	hash_head(h, path, &i);
	if (S_ISREG(f->mode)) {
		EVP_DigestUpdate(h->md, f->digest, sizeof(f->digest));
	} else if (S_ISLNK(f->mode)) {
		EVP_DigestUpdate(h->md, link, strlen(link) + 1);
	}
}

/* Sockets and devices of a client are in its list, not in the directory. */
static bool is_made(mode_t mode)
{
	return !S_ISSOCK(mode) && !S_ISCHR(mode) && !S_ISBLK(mode);
}

/* What is below path, n bytes long; 0: everything. */
static void hash_below(struct hasher *h, const struct file_index *x, const char *path, size_t n)
{
	const char *skipped = NULL; /* its children come next */
	size_t skipped_n = 0;
	for (size_t at = n ? file_index_from(x, path) + 1 : 0; at < x->n; at++) {
		const struct file_entry *f = &x->v[at];
		const char *name = file_index_path(x, f);
		if (n && (strncmp(name, path, n) != 0 || name[n] != '/')) {
			return;
		}
		bool below =
			skipped && strncmp(name, skipped, skipped_n) == 0 && name[skipped_n] == '/';
		if (below || !is_made(f->mode)) {
			continue;
		}
		const char *told = n ? name + n + 1 : name;
		if (verdict_of(h, told) == COPY_SKIP) {
			skipped = name;
			skipped_n = strlen(name);
			continue;
		}
		hash_indexed(h, x, f, told);
	}
}

int context_digest_index(const struct file_index *x, const char *path, copy_filter *filter,
	void *owner, char ret[static 65], struct err *e)
{
	bool top = strcmp(path, ".") == 0;
	const struct file_entry *f = top ? NULL : file_index_find(x, path);
	if (!top && (!f || !is_made(f->mode))) {
		return err_set(e, ERR_NOT_FOUND, "cannot read %.200s", path);
	}
	struct hasher h = {.filter = filter, .owner = owner, .top = path};
	hasher_init(&h);
	if (top) {
		hash_head(&h, "", &(struct hashed){.mode = S_IFDIR | 0755});
	} else {
		hash_indexed(&h, x, f, "");
	}
	if (top || S_ISDIR(f->mode)) {
		hash_below(&h, x, path, top ? 0 : strlen(path));
	}
	hasher_end(&h, ret);
	return 0;
}
