/* The job "client-certificate": {"dir": DATA/tls, "device", "name": "alice:0123456789abcdef",
 * "days", "authority": file or ""}: a certificate for the remote API. {"cert", "key", "ca",
 * "not_after": seconds}, texts in PEM; ca is what the engine's own certificate is checked with, ""
 * when it has none yet.
 *
 * Clients have an authority of their own, DATA/tls/clients.{crt,key}, made at first need: what
 * phones trust for websites signs nobody in here, and the other way round. Its key is durable
 * before its certificate is there, so a power cut leaves one or none.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "worker/jobs.h"

#define DAY_S INT64_C(86400)
#define AUTHORITY_DAYS 7300
#define FLOOR_S INT64_C(1793491200) /* 2026-11-01: a clock that says less is not set */
#define FILE_MAX (64u << 10)
#define CERT "clients.crt"
#define KEY "clients.key"

SCOPED(EVP_PKEY *, EVP_PKEY_free)
SCOPED(X509 *, X509_free)
SCOPED(BIO *, BIO_free)

static int failed(struct err *e)
{
	return err_set(e, ERR_SYSTEM, "OpenSSL cannot make a certificate");
}

static bool extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	bool done = x && X509_add_ext(cert, x, -1);
	X509_EXTENSION_free(x);
	return done;
}

/* Version, number, subject, key and times; what it is for is added by the caller. */
static X509 *begin(EVP_PKEY *key, const char *name, int64_t from_s, int64_t until_s)
{
	unsigned char number[16];
	X509 *cert = X509_new();
	BIGNUM *n = NULL;
	bool good = cert && RAND_bytes(number, sizeof(number)) == 1;
	if (good) {
		number[0] &= 0x7f;
		n = BN_bin2bn(number, sizeof(number), NULL);
		good = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) &&
		       X509_set_version(cert, X509_VERSION_3) &&
		       X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
			       (const unsigned char *)name, -1, -1, 0) &&
		       ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)from_s) &&
		       ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)until_s) &&
		       X509_set_pubkey(cert, key);
	}
	BN_free(n);
	if (!good) {
		X509_free(cert);
		return NULL;
	}
	return cert;
}

static int put_pem(X509 *cert, EVP_PKEY *key, struct buf *ret, struct err *e)
{
	char *text;
	scoped(BIO_free) BIO *b = BIO_new(BIO_s_mem());
	if (!b || (cert ? PEM_write_bio_X509(b, cert)
			: PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL)) != 1) {
		return failed(e);
	}
	long n = BIO_get_mem_data(b, &text);
	buf_append(ret, text, (size_t)n);
	return 0;
}

/* --- the authority --- */

struct pair {
	X509 *cert;
	EVP_PKEY *key;
};

static void scoped_pair(struct pair *p)
{
	X509_free(p->cert);
	EVP_PKEY_free(p->key);
}

static int make_authority(
	int dir_fd, const char *device, int64_t now_s, struct pair *ret, struct err *e)
{
	scoped(buf) struct buf cert = BUF_INIT;
	scoped(buf) struct buf key = BUF_INIT;
	scoped(free) char *name = xasprintf("%.32s (wherry people)", device);
	ret->key = EVP_EC_gen("P-256");
	/* from 1970: no clock that was wrong makes it "not yet valid" */
	ret->cert = ret->key ? begin(ret->key, name, 0,
				       (now_s > FLOOR_S ? now_s : FLOOR_S) + AUTHORITY_DAYS * DAY_S)
			     : NULL;
	if (!ret->cert || !X509_set_issuer_name(ret->cert, X509_get_subject_name(ret->cert)) ||
		!extend(ret->cert, ret->cert, NID_basic_constraints,
			"critical,CA:TRUE,pathlen:0") ||
		!extend(ret->cert, ret->cert, NID_key_usage, "critical,keyCertSign") ||
		!extend(ret->cert, ret->cert, NID_subject_key_identifier, "hash") ||
		!X509_sign(ret->cert, ret->key, EVP_sha256())) {
		return failed(e);
	}
	if (put_pem(NULL, ret->key, &key, e) < 0 || put_pem(ret->cert, NULL, &cert, e) < 0) {
		return -1;
	}
	int r = path_write(dir_fd, KEY, key.data, key.len, 0600, true);
	r = r < 0 ? r : path_write(dir_fd, CERT, cert.data, cert.len, 0644, true);
	OPENSSL_cleanse(key.data, key.len);
	return r < 0 ? err_sys(e, -r, "cannot write the authority of people's certificates") : 0;
}

static BIO *read_file(int dir_fd, const char *name, struct buf *text)
{
	return path_read(dir_fd, name, FILE_MAX, text) < 0
		       ? NULL
		       : BIO_new_mem_buf(buf_str(text), (int)text->len);
}

/* One whose key does not fit or is gone is an error, not a reason for another: its certificates are
 * in use. */
static int need_authority(
	int dir_fd, const char *device, int64_t now_s, struct pair *ret, struct err *e)
{
	scoped(buf) struct buf cert = BUF_INIT;
	scoped(buf) struct buf key = BUF_INIT;
	if (faccessat(dir_fd, CERT, F_OK, 0) < 0 && errno == ENOENT) {
		return make_authority(dir_fd, device, now_s, ret, e);
	}
	scoped(BIO_free) BIO *cert_bio = read_file(dir_fd, CERT, &cert);
	scoped(BIO_free) BIO *key_bio = read_file(dir_fd, KEY, &key);
	ret->cert = cert_bio ? PEM_read_bio_X509(cert_bio, NULL, NULL, NULL) : NULL;
	ret->key = key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL) : NULL;
	if (!ret->cert || !ret->key || X509_check_private_key(ret->cert, ret->key) != 1) {
		return err_set(e, ERR_SYSTEM,
			"the authority of people's certificates (tls/" CERT ", tls/" KEY
			") is damaged");
	}
	return 0;
}

/* --- a certificate --- */

static X509 *issue(
	const struct pair *by, EVP_PKEY *key, const char *name, int64_t now_s, int64_t days)
{
	X509 *cert = begin(key, name, now_s - DAY_S, now_s + days * DAY_S);
	if (cert && (!X509_set_issuer_name(cert, X509_get_subject_name(by->cert)) ||
			    !extend(cert, by->cert, NID_basic_constraints, "critical,CA:FALSE") ||
			    !extend(cert, by->cert, NID_key_usage, "critical,digitalSignature") ||
			    !extend(cert, by->cert, NID_ext_key_usage, "clientAuth") ||
			    !extend(cert, by->cert, NID_authority_key_identifier, "keyid") ||
			    !X509_sign(cert, by->key, EVP_sha256()))) {
		X509_free(cert);
		return NULL;
	}
	return cert;
}

static void append_file(int dir_fd, const char *path, struct buf *ret)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (*path && path_read(dir_fd, path, FILE_MAX, &text) == 0) {
		buf_append(ret, text.data, text.len);
	}
}

static json_t *result_of(X509 *cert, EVP_PKEY *key, const char *ca, int64_t until_s, struct err *e)
{
	scoped(buf) struct buf cert_text = BUF_INIT;
	scoped(buf) struct buf key_text = BUF_INIT;
	if (put_pem(cert, NULL, &cert_text, e) < 0 || put_pem(NULL, key, &key_text, e) < 0) {
		return NULL;
	}
	json_t *o = json_object();
	json_put_str(o, "cert", buf_str(&cert_text));
	json_put_str(o, "key", buf_str(&key_text));
	json_put_str(o, "ca", ca);
	json_put(o, "not_after", json_integer(until_s));
	OPENSSL_cleanse(key_text.data, key_text.len);
	return o;
}

json_t *worker_client_certificate(struct rpc *r, const json_t *request, struct err *e)
{
	const char *dir = json_str(request, "dir");
	const int64_t now_s = (int64_t)time(NULL);
	const int64_t days = json_i64(request, "days", 365);
	scoped(pair) struct pair clients = {0};
	scoped(buf) struct buf ca = BUF_INIT;
	int n = path_mkdirs(dir, 0755);
	scoped(close) int dir_fd = n < 0 ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0) {
		(void)err_sys(e, n < 0 ? -n : errno, "cannot open %s", dir);
		return NULL;
	}
	if (need_authority(dir_fd, json_str(request, "device"), now_s, &clients, e) < 0) {
		return NULL;
	}
	scoped(EVP_PKEY_free) EVP_PKEY *key = EVP_EC_gen("P-256");
	scoped(X509_free) X509 *cert =
		key ? issue(&clients, key, json_str(request, "name"), now_s, days) : NULL;
	if (!cert) {
		(void)failed(e);
		return NULL;
	}
	append_file(dir_fd, "ca.crt", &ca);
	append_file(dir_fd, "ca-other.crt", &ca);
	append_file(dir_fd, json_str(request, "authority"), &ca);
	return result_of(cert, key, buf_str(&ca), now_s + days * DAY_S, e);
}
