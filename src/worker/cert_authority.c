#include "worker/cert_authority.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "worker/cert_store.h"

void authority_deinit(struct authority *a)
{
	pki_pair_deinit(&a->pair);
	free(a->file);
	*a = (struct authority){0};
}

/* Two that were made for one device have different names: browsers confuse what has the same one.
 */
static char *new_name(const char *device, bool limited)
{
	unsigned char bytes[2] = {0};
	RAND_bytes(bytes, sizeof(bytes));
	return xasprintf("%.32s (wherry CA %02x%02x%s)", device, bytes[0], bytes[1],
		limited ? "" : ", any host");
}

static int make(const struct authority_wish *w, int dir_fd, struct authority *ret, struct err *e)
{
	scoped(free) char *common_name = new_name(w->device, w->permitted->n > 0);
	scoped(free) char *cert_file = xasprintf("%s.crt", w->name);
	scoped(free) char *key_file = xasprintf("%s.key", w->name);
	scoped(buf) struct buf cert = BUF_INIT;
	scoped(buf) struct buf key = BUF_INIT;
	if (pki_make_authority(common_name, w->permitted, w->now, &ret->pair, e) < 0) {
		return -1;
	}
	pki_cert_pem(&ret->pair, &cert);
	int r = pki_key_pem(&ret->pair, &key, e);
	if (r == 0 && unlinkat(dir_fd, cert_file, 0) < 0 && errno != ENOENT) {
		r = err_sys(e, errno, "cannot replace %s", cert_file);
	}
	r = r < 0 ? r : cert_write(dir_fd, key_file, &key, 0600, e);
	OPENSSL_cleanse(key.data, key.len);
	return r < 0 ? r : cert_write(dir_fd, cert_file, &cert, 0644, e);
}

static bool has_expired(const X509 *cert, int64_t now)
{
	return pki_time(now) >= pki_not_after(cert);
}

int authority_need(const struct authority_wish *w, struct authority *ret, struct err *e)
{
	int r = path_mkdirs(w->dir, 0755);
	scoped(close) int dir_fd = r < 0 ? -1 : open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0) {
		ret->failed = true;
		return err_sys(e, r < 0 ? -r : errno, "cannot open %s", w->dir);
	}
	ret->file = xasprintf("%s/%s.crt", w->dir, w->name);
	scoped(free) char *key = xasprintf("%s/%s.key", w->dir, w->name);
	if (access(ret->file, F_OK) == 0) {
		r = pki_read_pair(ret->file, key, &ret->pair, e);
	} else {
		r = make(w, dir_fd, ret, e);
	}
	if (r == 0 && w->clock_is_set && has_expired(ret->pair.cert, w->now)) {
		pki_pair_deinit(&ret->pair);
		r = make(w, dir_fd, ret, e);
	}
	ret->failed = r < 0;
	return r;
}

int authority_read(
	const char *cert, const char *key, int64_t now, struct authority *ret, struct err *e)
{
	ret->given = true;
	ret->failed = true;
	ret->file = xstrdup(cert);
	if (pki_read_pair(cert, key, &ret->pair, e) < 0) {
		return -1;
	}
	if (X509_check_ca(ret->pair.cert) != 1) {
		return err_set(e, ERR_INVALID, "%s is not the certificate of an authority", cert);
	}
	if (!(X509_get_key_usage(ret->pair.cert) & KU_KEY_CERT_SIGN)) {
		return err_set(
			e, ERR_INVALID, "the authority in %s may not sign certificates", cert);
	}
	if (has_expired(ret->pair.cert, now)) {
		return err_set(e, ERR_INVALID, "the authority in %s has expired", cert);
	}
	ret->failed = false;
	return 0;
}

json_t *authority_json(const struct authority *a)
{
	const X509 *cert = a->pair.cert;
	struct pki_pair alone = {.cert = a->pair.cert};
	scoped(buf) struct buf pem = BUF_INIT;
	scoped(free) char *fingerprint = pki_fingerprint(cert);
	scoped(free) char *subject = pki_subject(cert);
	pki_cert_pem(&alone, &pem);
	json_t *o = json_object();
	json_put_str(o, "file", a->file);
	json_put_str(o, "subject", subject);
	json_put_str(o, "fingerprint", fingerprint);
	json_put(o, "not_after", json_integer(pki_not_after(cert)));
	json_put(o, "limited",
		json_boolean(X509_get_ext_by_NID(cert, NID_name_constraints, -1) >= 0));
	json_put(o, "given", json_boolean(a->given));
	json_put_str(o, "pem", buf_str(&pem));
	return o;
}
