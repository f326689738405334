/* The file: struct head, the entries, the text; of this machine only, as the directory is. */
#include "worker/file_index.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"

#define MAGIC "wherryK1"
#define INDEX_BYTES_MAX (1u << 30)

struct head {
	char magic[8];
	unsigned char boot[16];
	uint64_t durable; /* not part of the digest: it is set later */
	uint64_t n;
	uint64_t text_bytes;
	unsigned char digest[32]; /* SHA-256 of the entries and the text */
};

void file_index_deinit(struct file_index *x)
{
	free(x->v);
	buf_deinit(&x->text);
	*x = (struct file_index){0};
}

static uint64_t add_text(struct file_index *x, const char *text)
{
	size_t at = x->text.len;
	buf_append(&x->text, text, strlen(text) + 1);
	return at;
}

struct file_entry *file_index_add(struct file_index *x, const struct fsutil_stat *st)
{
	if (x->n == x->room) {
		x->room = x->room ? x->room * 2 : 256;
		x->v = xrealloc(x->v, x->room, sizeof(*x->v));
	}
	struct file_entry *f = &x->v[x->n++];
	*f = (struct file_entry){.path = add_text(x, st->path),
		.size = S_ISDIR(st->mode) ? 0 : st->size,
		.mtime_ns = st->mtime_ns,
		.mode = st->mode};
	f->link = *st->link ? add_text(x, st->link) : x->text.len - 1; /* the NUL before */
	return f;
}

size_t file_index_from(const struct file_index *x, const char *path)
{
	size_t low = 0, high = x->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (fsutil_path_compare(file_index_path(x, &x->v[mid]), path) < 0) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	return low;
}

struct file_entry *file_index_find(const struct file_index *x, const char *path)
{
	size_t at = file_index_from(x, path);
	bool is = at < x->n && strcmp(file_index_path(x, &x->v[at]), path) == 0;
	return is ? &x->v[at] : NULL;
}

bool file_index_same(
	const struct file_index *x, const struct file_entry *f, const struct fsutil_stat *st)
{
	return f->mode == st->mode && f->mtime_ns == st->mtime_ns &&
	       (S_ISDIR(st->mode) || f->size == st->size) &&
	       strcmp(file_index_link(x, f), st->link) == 0;
}

/* --- the file --- */

static void read_boot(unsigned char ret[static 16])
{
	scoped(buf) struct buf text = BUF_INIT;
	memset(ret, 0, 16);
	if (path_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 100, &text) < 0) {
		return;
	}
	size_t n = 0;
	for (const char *p = buf_str(&text); *p && n < 32; p++) {
		unsigned digit = *p >= '0' && *p <= '9'   ? (unsigned)(*p - '0')
				 : *p >= 'a' && *p <= 'f' ? (unsigned)(*p - 'a') + 10
							  : 16;
		if (digit < 16) {
			ret[n / 2] = (unsigned char)(ret[n / 2] << 4 | digit);
			n++;
		}
	}
}

static void body_digest(const void *entries, size_t n, const void *text, size_t text_n,
	unsigned char ret[static 32])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	memset(ret, 0, 32);
	if (md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1) {
		EVP_DigestUpdate(md, entries, n);
		EVP_DigestUpdate(md, text, text_n);
		EVP_DigestFinal_ex(md, ret, NULL);
	}
	EVP_MD_CTX_free(md);
}

int file_index_write(const struct file_index *x, int dir_fd, const char *name, struct err *e)
{
	struct head h = {.n = x->n, .text_bytes = x->text.len, .durable = x->durable};
	size_t bytes = x->n * sizeof(*x->v);
	memcpy(h.magic, MAGIC, sizeof(h.magic));
	read_boot(h.boot);
	body_digest(x->v, bytes, x->text.data, x->text.len, h.digest);
	scoped(free) char *temp = xasprintf("%s.tmp", name);
	scoped(close) int fd =
		openat(dir_fd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : path_write_all(fd, &h, sizeof(h));
	r = r < 0 ? r : path_write_all(fd, x->v, bytes);
	r = r < 0 ? r : path_write_all(fd, x->text.data, x->text.len);
	if (r == 0 && renameat(dir_fd, temp, dir_fd, name) < 0) {
		r = -errno;
	}
	return r < 0 ? err_sys(e, -r, "cannot keep the list of the context's files") : 0;
}

int file_index_set_durable(int dir_fd, const char *name)
{
	const uint64_t yes = 1;
	scoped(close) int fd = openat(dir_fd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno
		      : path_write_at(fd, &yes, sizeof(yes), offsetof(struct head, durable));
}

/* In order, and every name inside of the text. */
static bool entries_are_sound(const struct file_index *x)
{
	for (size_t i = 0; i < x->n; i++) {
		const struct file_entry *f = &x->v[i];
		if (f->path >= x->text.len || f->link >= x->text.len ||
			(i > 0 && fsutil_path_compare(
					  file_index_path(x, f - 1), file_index_path(x, f)) >= 0)) {
			return false;
		}
	}
	return x->n == 0 || x->text.data[x->text.len - 1] == '\0';
}

static int distrust(struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "there is no list of the context's files to trust");
}

int file_index_parse(const void *data, size_t n, const unsigned char boot[static 16],
	struct file_index *ret, struct err *e)
{
	struct head h;
	unsigned char digest[32];
	*ret = (struct file_index){0};
	if (n < sizeof(h)) {
		return distrust(e);
	}
	memcpy(&h, data, sizeof(h));
	size_t rest = n - sizeof(h);
	if (memcmp(h.magic, MAGIC, sizeof(h.magic)) != 0 ||
		h.n > rest / sizeof(struct file_entry) ||
		h.text_bytes != rest - h.n * sizeof(struct file_entry) ||
		(h.durable != 1 && memcmp(h.boot, boot, 16) != 0)) {
		return distrust(e);
	}
	size_t bytes = h.n * sizeof(struct file_entry);
	const char *entries = (const char *)data + sizeof(h);
	body_digest(entries, bytes, entries + bytes, h.text_bytes, digest);
	if (memcmp(digest, h.digest, sizeof(digest)) != 0) {
		return distrust(e);
	}
	struct file_index x = {.n = h.n, .room = h.n, .durable = h.durable == 1};
	x.v = xnew_array(struct file_entry, h.n ? h.n : 1);
	memcpy(x.v, entries, bytes);
	buf_append(&x.text, entries + bytes, h.text_bytes);
	if (!entries_are_sound(&x)) {
		file_index_deinit(&x);
		return distrust(e);
	}
	*ret = x;
	return 0;
}

int file_index_read(int dir_fd, const char *name, struct file_index *ret, struct err *e)
{
	unsigned char boot[16];
	scoped(buf) struct buf data = BUF_INIT;
	*ret = (struct file_index){0};
	read_boot(boot);
	if (path_read(dir_fd, name, INDEX_BYTES_MAX, &data) < 0) {
		return distrust(e);
	}
	return file_index_parse(data.data, data.len, boot, ret, e);
}
