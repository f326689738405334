/* OCI layouts of a build: where an image goes unpacked, caches in directories, named contexts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "codec/ref.h"
#include "wherry/build_layout.h"
#include "wherry/build_request.h"

#define EXPORT "export" /* BuildKit's name of the one that an image goes to */
#define SCHEME "oci-layout://"
#define BUILDKIT_ID 25

/* One that is there already is used for both. */
static struct build_store *add_store(
	struct build_request *r, const char *id, const char *path, bool write)
{
	for (size_t i = 0; i < r->n_stores; i++) {
		if (strcmp(r->stores[i].id, id) == 0) {
			r->stores[i].write = r->stores[i].write || write;
			return &r->stores[i];
		}
	}
	r->stores = xrealloc(r->stores, r->n_stores + 1, sizeof(*r->stores));
	struct build_store *s = &r->stores[r->n_stores++];
	*s = (struct build_store){.id = xstrdup(id), .path = xstrdup(path), .write = write};
	return s;
}

int build_request_export(struct build_request *r, const char *path, struct err *e)
{
	for (size_t i = 0; i < r->n_stores; i++) {
		if (strcmp(r->stores[i].id, EXPORT) == 0) {
			return err_set(
				e, ERR_INVALID, "only one output of a build can have tar=false");
		}
	}
	scoped(close) int fd = build_layout_open(path, true, e);
	if (fd < 0) {
		return -1;
	}
	add_store(r, EXPORT, path, true);
	return 0;
}

/* --- caches --- */

int build_request_cache_to(struct build_request *r, const json_t *attrs, struct err *e)
{
	const char *dest = json_str(attrs, "dest");
	const char *tag = json_str(attrs, "tag");
	if (!*dest) {
		return err_set(e, ERR_INVALID, "local cache exporter requires dest");
	}
	scoped(close) int fd = build_layout_open(dest, true, e);
	if (fd < 0) {
		return -1;
	}
	scoped(free) char *id = xasprintf("local:%s", dest);
	struct build_store *s = add_store(r, id, dest, true);
	free(s->tag);
	s->tag = xstrdup(*tag ? tag : "latest");
	return 0;
}

static int find_cache(const char *src, json_t *attrs, struct err *e)
{
	char digest[72];
	int64_t size;
	const char *tag = json_str(attrs, "tag");
	scoped(close) int dir = build_layout_open(src, false, e);
	if (dir < 0) {
		return -1;
	}
	if (!*json_str(attrs, "digest")) {
		if (build_layout_find(dir, *tag ? tag : "latest", digest, e) < 0) {
			return -1;
		}
		json_put_str(attrs, "digest", digest);
	}
	scoped(close) int blob = build_layout_blob(dir, json_str(attrs, "digest"), &size, e);
	return blob < 0 ? -1 : 0;
}

int build_request_cache_from(struct build_request *r, json_t *attrs, char **ret_why, struct err *e)
{
	const char *src = json_str(attrs, "src");
	struct err why;
	if (!*src) {
		return err_set(e, ERR_INVALID, "local cache importer requires src");
	}
	if (find_cache(src, attrs, &why) < 0) {
		*ret_why = xstrdup(why.msg);
		return 0;
	}
	scoped(free) char *id = xasprintf("local:%s", src);
	add_store(r, id, src, false);
	return 1;
}

/* --- contexts --- */

/* What is behind the last of that character, cut off; "" when it is not there. A tag has no slash.
 */
static const char *cut_behind(char *text, char separator)
{
	char *at = strrchr(text, separator);
	if (!at || strchr(at, '/')) {
		return "";
	}
	*at = '\0';
	return at + 1;
}

static int find_image(int dir, const char *tag, char ret_digest[static 72], struct err *e)
{
	struct err ignored;
	return *tag ? build_layout_find(dir, tag, ret_digest, e)
	       : build_layout_find(dir, "latest", ret_digest, &ignored) == 0
		       ? 0
		       : build_layout_find(dir, "", ret_digest, e);
}

char *build_request_layout(struct build_request *r, const char *value, struct err *e)
{
	char digest[72];
	char id[ID_LEN + 1];
	int64_t size;
	scoped(free) char *path = xstrdup(value + strlen(SCHEME));
	char *at = strrchr(path, '@');
	bool named = at && ref_is_digest(at + 1);
	if (named) {
		memcpy(digest, at + 1, sizeof(digest));
		*at = '\0';
	}
	const char *tag = cut_behind(path, ':');
	scoped(close) int dir = build_layout_open(path, false, e);
	if (dir < 0 || (!named && find_image(dir, tag, digest, e) < 0)) {
		return NULL;
	}
	scoped(close) int blob = build_layout_blob(dir, digest, &size, e);
	if (blob < 0) {
		return NULL;
	}
	id_new(id);
	id[BUILDKIT_ID] = '\0';
	scoped(free) char *store = xasprintf("oci:%s", id);
	add_store(r, store, path, false);
	return xasprintf(SCHEME "%s%s%s@%s", id, *tag ? ":" : "", tag, digest);
}

/* --- afterwards --- */

static int put(const struct build_store *s, const char *text, size_t n, const struct strv *names,
	struct err *e)
{
	scoped(json) json_t *descriptor = json_parse(text, n, "the engine's answer", e);
	scoped(close) int dir = descriptor ? build_layout_open(s->path, true, e) : -1;
	if (dir < 0) {
		return -1;
	}
	if (!ref_is_digest(json_str(descriptor, "digest"))) {
		return err_set(e, ERR_INVALID, "the engine's answer names no content");
	}
	for (size_t i = 0; i < names->n; i++) {
		if (build_layout_put(dir, descriptor, names->v[i], e) < 0) {
			return err_wrap(e, "%s", s->path);
		}
	}
	return 0;
}

static int update_export(const struct build_store *s, const json_t *response, struct err *e)
{
	const char *encoded = json_str(response, "containerimage.descriptor");
	scoped(buf) struct buf text = BUF_INIT;
	scoped(strv) struct strv names = STRV_INIT;
	if (!*encoded || base64_decode(encoded, strlen(encoded), &text) < 0) {
		return err_set(e, ERR_SYSTEM, "the engine does not say what it has written to %s",
			s->path);
	}
	strv_split(&names, json_str(response, "image.name"), ',');
	if (names.n == 0) {
		strv_add(&names, "latest");
	}
	return put(s, buf_str(&text), text.len, &names, e);
}

static int update_cache(const struct build_store *s, const json_t *response, struct err *e)
{
	const char *text = json_str(response, "cache.manifest");
	scoped(strv) struct strv names = STRV_INIT;
	strv_add(&names, s->tag);
	return *text ? put(s, text, strlen(text), &names, e) : 0; /* none was written */
}

int build_stores_update(const struct build_request *r, const json_t *response, struct err *e)
{
	for (size_t i = 0; i < r->n_stores; i++) {
		const struct build_store *s = &r->stores[i];
		int done = strcmp(s->id, EXPORT) == 0 ? update_export(s, response, e)
			   : s->tag                   ? update_cache(s, response, e)
						      : 0;
		if (done < 0) {
			return -1;
		}
	}
	return 0;
}
