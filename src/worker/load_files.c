#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/ref.h"
#include "worker/archive_reader.h"
#include "worker/load.h"
#include "worker/rpc.h"

#define BEGINNING 512 /* of a file, enough to tell what it is */
#define LINKS_MAX 8

static void free_file(struct load *l, struct load_file *f)
{
	if (f->kind == LOAD_LAYER && !f->recorded) {
		layer_drop(l->request, f->n);
	}
	if (f->kind == LOAD_TEXT) {
		l->text_bytes -= f->text.len;
	}
	buf_deinit(&f->text);
	free(f);
}

void load_files_free(struct load *l)
{
	map_each (l->files, struct load_file, f) {
		free_file(l, f);
	}
	map_free(l->files);
	map_free(l->digests);
}

/* A name that comes again means the later file, as in any tar. */
static struct load_file *add_file(
	struct load *l, const char *name, enum load_kind kind, struct err *e)
{
	if (map_count(l->files) >= LOAD_FILES_MAX) {
		(void)err_set(e, ERR_INVALID, "invalid archive: more than %d documents and layers",
			LOAD_FILES_MAX);
		return NULL;
	}
	struct load_file *f = xnew(struct load_file);
	f->kind = kind;
	struct load_file *before = map_put(l->files, name, f);
	if (before) {
		size_t pos = 0;
		const char *digest;
		const struct load_file *named;
		while ((named = map_next(l->digests, &pos, &digest))) {
			if (named == before) {
				map_remove(l->digests, digest);
				break;
			}
		}
		free_file(l, before);
	}
	return f;
}

static void name_digest(struct load *l, struct load_file *f, const char *digest)
{
	if (!map_get(l->digests, digest)) {
		map_put(l->digests, digest, f);
	}
}

static void set_digest(struct load *l, struct load_file *f, struct stream *hashed)
{
	char digest[STREAM_DIGEST_LEN + 1];
	stream_digest_text(hashed, digest);
	name_digest(l, f, digest);
}

/* --- documents --- */

/* Manifests, indexes and configurations have one of these members; SBOMs and provenance, which can
 * be long, do not. */
static bool may_matter(const char *name, const struct buf *text)
{
	static const char *const members[] = {"\"rootfs\"", "\"layers\"", "\"manifests\""};
	if (!strchr(name, '/')) {
		return true;
	}
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
		if (strstr(buf_str(text), members[i])) {
			return true;
		}
	}
	return false;
}

static int read_text(struct load *l, const char *name, struct stream *hashed, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(free) char *chunk = xnew_array(char, STREAM_CHUNK);
	ssize_t n;
	while ((n = stream_read(hashed, chunk, STREAM_CHUNK, e)) > 0) {
		if (buf_append_limited(&text, chunk, (size_t)n, LOAD_TEXT_MAX) < 0) {
			return 0; /* whoever names it will miss it */
		}
	}
	if (n < 0) {
		return -1;
	}
	if (!may_matter(name, &text)) {
		return 0;
	}
	if (l->text_bytes + text.len > LOAD_TEXTS_MAX) {
		return err_set(e, ERR_INVALID,
			"invalid archive: its documents are larger than %u bytes", LOAD_TEXTS_MAX);
	}
	struct load_file *f = add_file(l, name, LOAD_TEXT, e);
	if (!f) {
		return -1;
	}
	l->text_bytes += text.len;
	f->text = text;
	text = (struct buf)BUF_INIT;
	set_digest(l, f, hashed);
	return 0;
}

/* --- layers --- */

/* The diff id that a file is named after, in today's `docker save` ("blobs/sha256/HEX", plain) and
 * skopeo's ("HEX.tar"). */
static bool named_diff_id(const char *name, char ret[static STREAM_DIGEST_LEN + 1])
{
	const char *slash = strrchr(name, '/');
	const char *base = slash ? slash + 1 : name;
	size_t n = strcspn(base, ".");
	if (n != 64 || (base[n] && strcmp(base + n, ".tar") != 0)) {
		return false;
	}
	snprintf(ret, STREAM_DIGEST_LEN + 1, "sha256:%.64s", base);
	return ref_is_digest(ret);
}

/* 1: the engine has this layer, 0: it does not, -1 with *e. */
static int is_known(struct load *l, const char *diff_id, struct err *e)
{
	scoped(json) json_t *answer = rpc_ask(l->rpc,
		json_pack("{ss ss sb}", "ask", "layer", "diff_id", diff_id, "wait", false), e);
	return answer ? strcmp(json_str(answer, "state"), "have") == 0 : -1;
}

/* Twelve digits for people: of the name where it has them. */
static void choose_id(const char *name, char ret[static ID_SHORT_LEN + 1])
{
	static const char digits[] = "0123456789abcdef";
	for (const char *p = name; *p; p += strspn(p, digits)) {
		p += strcspn(p, digits);
		if (strspn(p, digits) >= ID_SHORT_LEN) {
			snprintf(ret, ID_SHORT_LEN + 1, "%s", p);
			return;
		}
	}
	snprintf(ret, ID_SHORT_LEN + 1, "%s", name);
}

/* A layer in the archive. The digest of a plain one is its diff id, which unpacking finds anyway.
 */
struct layer_file {
	const struct archive_file *file;
	struct stream *bytes;
	struct stream *hashed; /* the same when it is compressed, or NULL */
};

/* A file that is not the layer it looks like must not spoil an archive that never names it. */
static int keep_reason(
	struct load *l, const struct layer_file *in, const struct err *why, struct err *e)
{
	struct err ignored; /* of a cut archive: the next header tells */
	char named[STREAM_DIGEST_LEN + 1];
	struct load_file *f = add_file(l, in->file->name, LOAD_BROKEN, e);
	if (!f) {
		return -1;
	}
	buf_puts(&f->text, why->msg);
	bool whole = stream_drain(in->bytes, &ignored) == 0;
	if (whole && in->hashed) {
		set_digest(l, f, in->hashed);
	} else if (whole && named_diff_id(in->file->name, named)) {
		name_digest(l, f, named); /* only for the reason that is told */
	}
	return 0;
}

static int read_layer(struct load *l, const struct layer_file *in, struct err *e)
{
	char id[ID_SHORT_LEN + 1];
	struct err why;
	struct layer made;
	int64_t size = in->file->size;
	choose_id(in->file->name, id);
	scoped(stream_free) struct stream *metered =
		layers_meter_new(in->bytes, &l->progress, id, "Loading layer", size);
	int n = l->n_layers++;
	if (layer_unpack(l->request, n, metered, true, &made, &why) < 0) {
		if (why.kind != ERR_INVALID) {
			*e = why;
			return -1;
		}
		return keep_reason(l, in, &why, e);
	}
	if (stream_drain(metered, e) < 0) {
		return -1;
	}
	layers_say_bytes(&l->progress, id, "Loading layer", size, size);
	struct load_file *f = add_file(l, in->file->name, LOAD_LAYER, e);
	if (!f) {
		return -1;
	}
	f->n = n;
	f->layer = made;
	if (in->hashed) {
		set_digest(l, f, in->hashed);
	} else {
		name_digest(l, f, made.diff_id);
	}
	return 0;
}

static int skip_known(struct load *l, const char *name, const char *diff_id, struct err *e)
{
	struct load_file *f = add_file(l, name, LOAD_HAVE, e);
	if (!f) {
		return -1;
	}
	snprintf(f->layer.diff_id, sizeof(f->layer.diff_id), "%s", diff_id);
	name_digest(l, f, diff_id); /* the file is plain */
	return 0;
}

/* --- the archive --- */

static int read_file(struct load *l, const struct archive_file *file, struct err *e)
{
	scoped(stream_free) struct stream *peekable = stream_peek_new(file->stream);
	const void *begin;
	char diff_id[STREAM_DIGEST_LEN + 1];
	ssize_t n = stream_peek(peekable, &begin, BEGINNING, e);
	if (n < 0) {
		return -1;
	}
	bool is_tar = archive_is_tar(begin, (size_t)n);
	if (is_tar && named_diff_id(file->name, diff_id)) {
		int known = is_known(l, diff_id, e);
		if (known != 0) {
			return known < 0 ? -1 : skip_known(l, file->name, diff_id, e);
		}
	}
	bool is_compressed = stream_is_compressed(begin, (size_t)n);
	if (is_tar && !is_compressed) {
		const struct layer_file plain = {file, peekable, NULL};
		return read_layer(l, &plain, e);
	}
	scoped(stream_free) struct stream *hashed = stream_digest_new(peekable);
	if (is_compressed) {
		const struct layer_file packed = {file, hashed, hashed};
		return read_layer(l, &packed, e);
	}
	size_t blank = 0;
	const char *text = begin;
	while (blank < (size_t)n && strchr(" \t\r\n", text[blank])) {
		blank++;
	}
	if (blank < (size_t)n && (text[blank] == '{' || text[blank] == '[') &&
		file->size <= LOAD_TEXT_MAX) {
		return read_text(l, file->name, hashed, e);
	}
	return 0;
}

static int read_link(struct load *l, const struct archive_file *file, struct err *e)
{
	struct load_file *f = *file->target ? add_file(l, file->name, LOAD_LINK, e) : NULL;
	if (!f) {
		return *file->target ? -1
				     : 0; /* whoever names a link that leads out will miss it */
	}
	buf_puts(&f->text, file->target);
	return 0;
}

int load_read(struct load *l, struct err *e)
{
	scoped(stream_free) struct stream *in = stream_from_fd(STDIN_FILENO);
	scoped(stream_free) struct stream *plain = stream_decompress_new(in);
	scoped(archive_reader_free) struct archive_reader *archive = archive_reader_new(plain);
	struct archive_file file;
	int r;
	while ((r = archive_reader_next(archive, &file, e)) > 0) {
		if (file.kind == ARCHIVE_FILE) {
			r = read_file(l, &file, e);
		} else if (file.kind == ARCHIVE_LINK) {
			r = read_link(l, &file, e);
		}
		if (r < 0) {
			return -1;
		}
	}
	return r < 0 ? -1 : stream_drain(in, e); /* the daemon has written all: nothing of it may be
						    left in a pipe */
}

struct load_file *load_find(const struct load *l, const char *name)
{
	struct load_file *f = map_get(l->files, name);
	for (int hops = 0; f && f->kind == LOAD_LINK; hops++) {
		f = hops < LINKS_MAX ? map_get(l->files, buf_str(&f->text)) : NULL;
	}
	return f;
}

struct load_file *load_find_digest(const struct load *l, const char *digest)
{
	return map_get(l->digests, digest);
}
