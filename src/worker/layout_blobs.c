#include "worker/layout_blobs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/path.h"
#include "codec/sha256.h"
#include "tree/recipe.h"
#include "worker/manifest.h"

#define GZIP_LEVEL 3 /* of three */
#define ZSTD_LEVEL 3

const char *layout_blob_name(const char *digest, char ret[static LAYOUT_NAME_MAX])
{
	snprintf(ret, LAYOUT_NAME_MAX, "blobs/sha256/%s", digest + strlen("sha256:"));
	return ret;
}

static const char *compression(const struct layout_blobs *s)
{
	return json_str(s->request, "compression");
}

const char *layout_blobs_layer_type(const struct layout_blobs *s)
{
	const char *how = compression(s);
	return strcmp(how, "gzip") == 0   ? MANIFEST_OCI_LAYER "+gzip"
	       : strcmp(how, "zstd") == 0 ? MANIFEST_OCI_LAYER "+zstd"
					  : MANIFEST_OCI_LAYER;
}

const struct layout_blob *layout_blobs_find(const struct layout_blobs *s, const char *digest)
{
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->v[i].digest, digest) == 0) {
			return &s->v[i];
		}
	}
	return NULL;
}

const struct layout_blob *layout_blobs_find_layer(const struct layout_blobs *s, const char *diff_id)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].diff_id && strcmp(s->v[i].diff_id, diff_id) == 0) {
			return &s->v[i];
		}
	}
	return NULL;
}

static void add_blob(struct layout_blobs *s, const struct layout_blob *b)
{
	if (layout_blobs_find(s, b->digest)) {
		free(b->spooled);
		return;
	}
	if (s->n == s->room) {
		s->room = s->room ? 2 * s->room : 64;
		s->v = xrealloc(s->v, s->room, sizeof(*s->v));
	}
	s->v[s->n++] = *b;
}

void layout_blobs_add_text(
	struct layout_blobs *s, const char *text, size_t n, char ret_digest[static 72])
{
	struct layout_blob b = {.text = text, .text_n = n, .size = (int64_t)n};
	sha256_digest(text, n, b.digest);
	memcpy(ret_digest, b.digest, sizeof(b.digest));
	add_blob(s, &b);
}

/* --- layers --- */

static int check_plain(const struct layout_blob *b, struct stream *hashed, struct err *e)
{
	char digest[STREAM_DIGEST_LEN + 1];
	stream_digest_text(hashed, digest);
	return strcmp(digest, b->diff_id) == 0
		       ? 0
		       : err_set(e, ERR_INVALID, "layer %.19s is damaged", b->diff_id);
}

/* The digest of what is compressed is known only behind its end, but stands before it. */
static int compress_to(const struct layout_blobs *s, struct layout_blob *b, struct stream *tar,
	int fd, struct err *e)
{
	scoped(stream_free) struct stream *plain = stream_digest_new(tar);
	scoped(stream_free) struct stream *packed = strcmp(compression(s), "gzip") == 0
							    ? stream_gzip_new(plain, GZIP_LEVEL)
							    : stream_zstd_new(plain, ZSTD_LEVEL);
	scoped(stream_free) struct stream *hashed = stream_digest_new(packed);
	scoped(free) char *chunk = xnew_array(char, STREAM_CHUNK);
	ssize_t n;
	while ((n = stream_read(hashed, chunk, STREAM_CHUNK, e)) > 0) {
		int r = path_write_all(fd, chunk, (size_t)n);
		if (r < 0) {
			return err_sys(e, -r, "cannot write a compressed layer");
		}
	}
	stream_digest_text(hashed, b->digest);
	b->size = stream_digest_bytes(hashed);
	return n < 0 ? -1 : check_plain(b, plain, e);
}

static int spool(struct layout_blobs *s, struct layout_blob *b, struct stream *tar, struct err *e)
{
	b->spooled = xasprintf("%s/%.24s", json_str(s->request, "spool"), b->diff_id + 7);
	scoped(close) int fd =
		open(b->spooled, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		return err_sys(e, errno, "cannot make %s", b->spooled);
	}
	return compress_to(s, b, tar, fd, e);
}

/* Of a plain one only its size is wanted yet, and whether it is there. */
int layout_blobs_add_layer(struct layout_blobs *s, const json_t *layer, struct err *e)
{
	struct layout_blob b = {
		.dir = json_str(layer, "dir"), .diff_id = json_str(layer, "diff_id")};
	if (layout_blobs_find_layer(s, b.diff_id)) {
		return 0;
	}
	scoped(stream_free) struct stream *tar = recipe_open(s->layers_fd, b.dir, e);
	if (!tar) {
		return err_wrap(e, "layer %.19s cannot be saved", b.diff_id);
	}
	if (*compression(s)) {
		if (spool(s, &b, tar, e) < 0) {
			free(b.spooled);
			return -1;
		}
	} else {
		snprintf(b.digest, sizeof(b.digest), "%s", b.diff_id);
		b.size = recipe_tar_bytes(tar);
	}
	add_blob(s, &b);
	return 0;
}

/* --- the set --- */

int layout_blobs_init(struct layout_blobs *s, const json_t *request, struct err *e)
{
	const char *dir = json_str(request, "layers_dir");
	*s = (struct layout_blobs){.request = request};
	s->layers_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return s->layers_fd < 0 ? err_sys(e, errno, "cannot open %s", dir) : 0;
}

void layout_blobs_deinit(struct layout_blobs *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].spooled) {
			unlink(s->v[i].spooled);
		}
		free(s->v[i].spooled);
	}
	free(s->v);
	if (s->layers_fd >= 0) {
		close(s->layers_fd);
	}
}

static int by_digest(const void *a, const void *b)
{
	return strcmp(
		((const struct layout_blob *)a)->digest, ((const struct layout_blob *)b)->digest);
}

void layout_blobs_sort(struct layout_blobs *s)
{
	if (s->n > 0) {
		qsort(s->v, s->n, sizeof(*s->v), by_digest);
	}
}

/* --- their bytes --- */

/* A blob from wherever it is, and all that this needs. */
struct blob_stream {
	struct stream base;
	const struct layout_blob *blob; /* borrowed */
	int fd;
	size_t at;              /* of a text */
	struct stream *source;  /* of a layer: its file, or its recipe */
	struct stream *checked; /* of one that is made from its recipe */
};

static ssize_t blob_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct blob_stream *b = container_of(s, struct blob_stream, base);
	if (b->blob->text) {
		size_t left = b->blob->text_n - b->at;
		n = n < left ? n : left;
		memcpy(data, b->blob->text + b->at, n);
		b->at += n;
		return (ssize_t)n;
	}
	ssize_t got = stream_read(b->checked ? b->checked : b->source, data, n, e);
	return got == 0 && b->checked && check_plain(b->blob, b->checked, e) < 0 ? -1 : got;
}

static void blob_free(struct stream *s)
{
	struct blob_stream *b = container_of(s, struct blob_stream, base);
	stream_free(b->checked);
	stream_free(b->source);
	if (b->fd >= 0) {
		close(b->fd);
	}
	free(b);
}

struct stream *layout_blobs_open(const struct layout_blobs *s, size_t k, struct err *e)
{
	struct blob_stream *b = xnew(struct blob_stream);
	b->base = (struct stream){blob_read, blob_free};
	b->blob = &s->v[k];
	b->fd = -1;
	scoped(stream_free) struct stream *opened = &b->base;
	if (b->blob->spooled) {
		b->fd = open(b->blob->spooled, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (b->fd < 0) {
			(void)err_sys(e, errno, "cannot open %s", b->blob->spooled);
			return NULL;
		}
		b->source = stream_from_fd(b->fd);
	} else if (!b->blob->text) {
		b->source = recipe_open(s->layers_fd, b->blob->dir, e);
		if (!b->source) {
			return NULL;
		}
		b->checked = stream_digest_new(b->source);
	}
	return TAKE(opened);
}
