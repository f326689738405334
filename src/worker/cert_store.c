#include "worker/cert_store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"

#define INDEX "index.json"
#define INDEX_MAX (1u << 20)
#define NAME_DIGITS 20 /* of the digest, in a name */

int cert_write(int dir_fd, const char *name, const struct buf *text, mode_t mode, struct err *e)
{
	int r = path_write(dir_fd, name, text->data, text->len, mode, true);
	if (r == 0 && fsync(dir_fd) < 0) {
		r = -errno;
	}
	return r < 0 ? err_sys(e, -r, "cannot write %s", name) : 0;
}

static void stored_cert_free(struct stored_cert *c)
{
	X509_free(c->cert);
	strv_deinit(&c->names);
	free(c->name);
	free(c);
}

void cert_store_deinit(struct cert_store *s)
{
	for (size_t i = 0; i < s->n; i++) {
		stored_cert_free(s->v[i]);
	}
	scoped_close(&s->dir_fd);
	json_decref(s->index);
	free(s->v);
	free(s->path);
}

static struct stored_cert *remember(struct cert_store *s, const char *name, X509 *take_cert)
{
	struct stored_cert *c = xnew(struct stored_cert);
	c->name = xstrdup(name);
	c->cert = take_cert;
	pki_names(c->cert, &c->names);
	s->v = xrealloc(s->v, s->n + 1, sizeof(struct stored_cert *));
	s->v[s->n++] = c;
	return c;
}

/* A pair of which a file is damaged or missing is as good as none. */
static void load(struct cert_store *s, const char *file)
{
	struct err e;
	scoped(free) char *name = xstrndup(file, strlen(file) - strlen(".crt"));
	scoped(free) char *cert = xasprintf("%s/%s.crt", s->path, name);
	scoped(free) char *key = xasprintf("%s/%s.key", s->path, name);
	X509 *read = access(key, R_OK) == 0 ? pki_read_cert(cert, &e) : NULL;
	if (read) {
		remember(s, name, read);
	}
}

int cert_store_open(struct cert_store *s, const char *dir, struct err *e)
{
	*s = (struct cert_store){.dir_fd = -1};
	s->path = xasprintf("%s/hosts", dir);
	int r = path_mkdirs(s->path, 0700);
	if (r == 0) {
		s->dir_fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = s->dir_fd < 0 ? -errno : 0;
	}
	scoped(strv) struct strv files = STRV_INIT;
	if (r < 0 || (r = path_list(s->dir_fd, &files)) < 0) {
		return err_sys(e, -r, "cannot open %s", s->path);
	}
	for (size_t i = 0; i < files.n && s->n < CERT_STORE_MAX; i++) {
		if (text_ends(files.v[i], ".crt")) {
			load(s, files.v[i]);
		}
	}
	scoped(buf) struct buf text = BUF_INIT;
	struct err ignored; /* a damaged index costs nothing but kept files */
	if (path_read(s->dir_fd, INDEX, INDEX_MAX, &text) == 0) {
		s->index = json_parse(buf_str(&text), text.len, INDEX, &ignored);
	}
	s->index = s->index ? s->index : json_object();
	return 0;
}

struct stored_cert *cert_store_find(const struct cert_store *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->v[i]->name, name) == 0) {
			return s->v[i];
		}
	}
	return NULL;
}

struct stored_cert *cert_store_kept(const struct cert_store *s, const char *path)
{
	return cert_store_find(s, json_str(json_object_get(s->index, "kept"), path));
}

struct stored_cert *cert_store_add(
	struct cert_store *s, const char *source, const struct pki_pair *p, struct err *e)
{
	char digest[65];
	pki_digest(p->cert, digest);
	scoped(free) char *name = xasprintf("%s-%.*s", source, NAME_DIGITS, digest);
	struct stored_cert *c = cert_store_find(s, name);
	if (!c) {
		scoped(buf) struct buf cert = BUF_INIT;
		scoped(buf) struct buf key = BUF_INIT;
		scoped(free) char *cert_file = xasprintf("%s.crt", name);
		scoped(free) char *key_file = xasprintf("%s.key", name);
		pki_cert_pem(p, &cert);
		int r = pki_key_pem(p, &key, e);
		r = r < 0 ? r : cert_write(s->dir_fd, key_file, &key, 0600, e);
		OPENSSL_cleanse(key.data, key.len);
		if (r < 0 || cert_write(s->dir_fd, cert_file, &cert, 0644, e) < 0 ||
			!X509_up_ref(p->cert)) {
			return NULL;
		}
		c = remember(s, name, p->cert);
	}
	c->wanted = true;
	return c;
}

static bool list_has(const json_t *list, const char *name)
{
	size_t i;
	json_t *item;
	json_array_foreach (list, i, item) {
		if (json_is_string(item) && strcmp(json_string_value(item), name) == 0) {
			return true;
		}
	}
	return false;
}

static json_t *wanted_names(const struct cert_store *s)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i]->wanted) {
			json_array_append_new(list, json_string(s->v[i]->name));
		}
	}
	return list;
}

/* Everything here that is neither the index nor of a pair that stays: also halves of pairs. */
static void sweep(const struct cert_store *s, const json_t *now, const json_t *before)
{
	scoped(strv) struct strv files = STRV_INIT;
	path_list(s->dir_fd, &files);
	for (size_t i = 0; i < files.n; i++) {
		const char *file = files.v[i];
		const char *dot = strrchr(file, '.');
		scoped(free) char *name = xstrndup(file, dot ? (size_t)(dot - file) : strlen(file));
		bool pair = text_ends(file, ".crt") || text_ends(file, ".key");
		if (strcmp(file, INDEX) != 0 &&
			!(pair && (list_has(now, name) || list_has(before, name)))) {
			unlinkat(s->dir_fd, file, 0);
		}
	}
}

int cert_store_finish(struct cert_store *s, json_t *take_kept, struct err *e)
{
	scoped(json) json_t *kept = take_kept;
	scoped(json) json_t *now = wanted_names(s);
	const json_t *was = json_object_get(s->index, "now");
	if (json_equal(now, was) && json_equal(kept, json_object_get(s->index, "kept"))) {
		return 0;
	}
	json_t *before = json_equal(now, was) ? json_object_get(s->index, "before") : (json_t *)was;
	scoped(json) json_t *index = json_object();
	json_put(index, "now", json_incref(now));
	json_put(index, "before", before ? json_incref(before) : json_array());
	json_put(index, "kept", json_incref(kept));
	scoped(free) char *text = json_text(index);
	struct buf b = {.data = text, .len = strlen(text)};
	if (cert_write(s->dir_fd, INDEX, &b, 0600, e) < 0) {
		return -1;
	}
	sweep(s, now, json_object_get(index, "before"));
	return 0;
}
