/* Reading pairs that people made, and what is in a certificate. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>

#include "base/ip.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "worker/pki.h"

#define NAMES_MAX 1024 /* of one certificate */

void pki_pair_deinit(struct pki_pair *p)
{
	EVP_PKEY_free(p->key);
	X509_free(p->cert);
	sk_X509_pop_free(p->chain, X509_free);
	*p = (struct pki_pair){0};
}

void pki_pair_move(struct pki_pair *ret, struct pki_pair *from)
{
	*ret = *from;
	*from = (struct pki_pair){0};
}

/* --- time --- */

int64_t pki_time(int64_t now)
{
	return now < PKI_CLOCK_FLOOR ? PKI_CLOCK_FLOOR : now;
}

static int64_t seconds(const ASN1_TIME *t)
{
	struct tm tm;
	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

int64_t pki_not_before(const X509 *cert)
{
	return seconds(X509_get0_notBefore(cert));
}

int64_t pki_not_after(const X509 *cert)
{
	return seconds(X509_get0_notAfter(cert));
}

int64_t pki_due_at(const X509 *cert)
{
	int64_t ends = pki_not_after(cert);
	return ends - (ends - pki_not_before(cert)) / 3;
}

bool pki_is_due(const X509 *cert, int64_t now, bool clock_is_set)
{
	int64_t t = pki_time(now);
	return t >= pki_due_at(cert) || (clock_is_set && t < pki_not_before(cert));
}

/* --- PEM --- */

/* A key with a password has no place to ask for it. */
static int no_password(char *buf, int size, int writing, void *asked)
{
	*(bool *)asked = true;
	return -1;
}

static EVP_PKEY *parse_key(const struct buf *text, const char *what, struct err *e)
{
	BIO *bio = BIO_new_mem_buf(buf_str(text), (int)text->len);
	bool asked = false;
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, &asked) : NULL;
	BIO_free(bio);
	ERR_clear_error();
	if (!key) {
		(void)err_set(e, ERR_INVALID, "%s %s", what,
			asked ? "is encrypted with a password; a server needs it without one"
			      : "is not a private key in PEM");
	}
	return key;
}

static STACK_OF(X509) * parse_certs(const struct buf *text, const char *what, struct err *e)
{
	BIO *bio = BIO_new_mem_buf(buf_str(text), (int)text->len);
	STACK_OF(X509) *all = sk_X509_new_null();
	X509 *cert;
	while (bio && sk_X509_num(all) < PKI_CHAIN_MAX &&
		(cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		sk_X509_push(all, cert);
	}
	unsigned long why = ERR_peek_last_error();
	bool at_end = ERR_GET_REASON(why) == PEM_R_NO_START_LINE || why == 0;
	ERR_clear_error();
	BIO_free(bio);
	if (sk_X509_num(all) == 0 || !at_end) {
		(void)err_set(e, ERR_INVALID,
			at_end ? "%s has no certificate in PEM" : "%s has a damaged certificate",
			what);
		sk_X509_pop_free(all, X509_free);
		return NULL;
	}
	return all;
}

/* Takes the one that belongs to the key out of the list; the first, usually. */
static X509 *take_leaf(STACK_OF(X509) * all, const EVP_PKEY *key)
{
	for (int i = 0; i < sk_X509_num(all); i++) {
		if (X509_check_private_key(sk_X509_value(all, i), key) == 1) {
			return sk_X509_delete(all, i);
		}
		ERR_clear_error();
	}
	return NULL;
}

static X509 *take_issuer(STACK_OF(X509) * all, X509 *cert)
{
	for (int i = 0; i < sk_X509_num(all); i++) {
		if (pki_is_issued_by(cert, sk_X509_value(all, i))) {
			return sk_X509_delete(all, i);
		}
	}
	return NULL;
}

/* A root is for the client to have. One that is all there is, is shown by itself. */
static STACK_OF(X509) * order_chain(STACK_OF(X509) * all, X509 *leaf)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *cert = leaf;
	X509 *next;
	while ((next = X509_self_signed(cert, 0) == 1 ? NULL : take_issuer(all, cert))) {
		if (X509_self_signed(next, 0) == 1) {
			X509_free(next);
			break;
		}
		sk_X509_push(chain, next);
		cert = next;
	}
	return chain;
}

int pki_parse_pair(const struct buf *certs, const char *cert_what, const struct buf *key,
	const char *key_what, struct pki_pair *ret, struct err *e)
{
	scoped(pki_pair) struct pki_pair p = {0};
	p.key = parse_key(key, key_what, e);
	STACK_OF(X509) *all = p.key ? parse_certs(certs, cert_what, e) : NULL;
	if (!all) {
		return -1;
	}
	p.cert = take_leaf(all, p.key);
	p.chain = p.cert ? order_chain(all, p.cert) : NULL;
	sk_X509_pop_free(all, X509_free);
	if (!p.cert) {
		return err_set(e, ERR_INVALID,
			"%s is not the key of the certificate in %s: the pair does not match",
			key_what, cert_what);
	}
	pki_pair_move(ret, &p);
	return 0;
}

static int read_file(const char *path, struct buf *ret, struct err *e)
{
	int r = path_read(AT_FDCWD, path, PKI_FILE_MAX, ret);
	if (r == -EFBIG) {
		return err_set(e, ERR_INVALID, "%s is too big for a certificate", path);
	}
	return r < 0 ? err_sys(e, -r, "cannot read %s", path) : 0;
}

int pki_read_pair(const char *cert_path, const char *key_path, struct pki_pair *ret, struct err *e)
{
	scoped(buf) struct buf certs = BUF_INIT;
	scoped(buf) struct buf key = BUF_INIT;
	if (read_file(cert_path, &certs, e) < 0 || read_file(key_path, &key, e) < 0) {
		return -1;
	}
	int r = pki_parse_pair(&certs, cert_path, &key, key_path, ret, e);
	OPENSSL_cleanse(key.data, key.len);
	return r;
}

X509 *pki_read_cert(const char *path, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (read_file(path, &text, e) < 0) {
		return NULL;
	}
	STACK_OF(X509) *all = parse_certs(&text, path, e);
	X509 *first = all ? sk_X509_shift(all) : NULL;
	sk_X509_pop_free(all, X509_free);
	return first;
}

/* --- what is in it --- */

static void add_name(const GENERAL_NAME *g, struct strv *ret)
{
	int type;
	const ASN1_STRING *value = GENERAL_NAME_get0_value(g, &type);
	const unsigned char *bytes = value ? ASN1_STRING_get0_data(value) : NULL;
	int n = value ? ASN1_STRING_length(value) : 0;
	if (type == GEN_DNS && n > 0 && !memchr(bytes, 0, (size_t)n)) {
		char *name = xstrndup((const char *)bytes, (size_t)n);
		for (char *c = name; *c; c++) {
			*c = *c >= 'A' && *c <= 'Z' ? (char)(*c | 0x20) : *c;
		}
		strv_take(ret, name);
	} else if (type == GEN_IPADD && (n == IP4_BYTES || n == IP6_BYTES)) {
		char text[IP_TEXT_MAX];
		strv_add(ret, ip_format(ip_of_bytes(bytes, (uint8_t)n), text));
	}
}

void pki_names(const X509 *cert, struct strv *ret)
{
	GENERAL_NAMES *list = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(list) && ret->n < NAMES_MAX; i++) {
		add_name(sk_GENERAL_NAME_value(list, i), ret);
	}
	GENERAL_NAMES_free(list);
	strv_sort(ret);
}

static char *name_text(const X509_NAME *name)
{
	static const int wanted[] = {NID_commonName, NID_organizationName};
	for (size_t i = 0; i < 2; i++) {
		int at = X509_NAME_get_index_by_NID(name, wanted[i], -1);
		unsigned char *text = NULL;
		int n = at < 0 ? -1
			       : ASN1_STRING_to_UTF8(&text,
					 X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
		if (n > 0) {
			char *copy = xstrndup((const char *)text, (size_t)n);
			OPENSSL_free(text);
			return copy;
		}
	}
	return xstrdup("");
}

char *pki_issuer(const X509 *cert)
{
	return name_text(X509_get_issuer_name(cert));
}

char *pki_subject(const X509 *cert)
{
	return name_text(X509_get_subject_name(cert));
}

int pki_check_server(const struct pki_pair *p, const char *what, struct err *e)
{
	if (X509_check_purpose(p->cert, X509_PURPOSE_SSL_SERVER, 0) != 1) {
		return err_set(e, ERR_INVALID, "the certificate in %s is not for a server", what);
	}
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	int ok = ctx && SSL_CTX_use_cert_and_key(ctx, p->cert, p->key, p->chain, 1) == 1;
	const char *why = ERR_reason_error_string(ERR_peek_last_error());
	ERR_clear_error();
	SSL_CTX_free(ctx);
	return ok ? 0
		  : err_set(e, ERR_INVALID, "the certificate in %s is of no use to a server: %s",
			    what, why ? why : "refused by OpenSSL");
}

void pki_digest(const X509 *cert, char ret[static 65])
{
	unsigned char sum[EVP_MAX_MD_SIZE] = {0};
	unsigned n = 0;
	X509_digest(cert, EVP_sha256(), sum, &n);
	text_hex(sum, 32, ret);
}

char *pki_fingerprint(const X509 *cert)
{
	unsigned char sum[EVP_MAX_MD_SIZE] = {0};
	unsigned n = 0;
	scoped(buf) struct buf text = BUF_INIT;
	X509_digest(cert, EVP_sha256(), sum, &n);
	for (unsigned i = 0; i < n; i++) {
		buf_printf(&text, "%s%02X", i ? ":" : "", sum[i]);
	}
	return buf_take_str(&text);
}

static void append_bio(BIO *bio, struct buf *ret)
{
	char *data;
	long n = BIO_get_mem_data(bio, &data);
	buf_append(ret, data, n > 0 ? (size_t)n : 0);
	BIO_free(bio);
}

void pki_cert_pem(const struct pki_pair *p, struct buf *ret)
{
	BIO *bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(bio, p->cert);
	for (int i = 0; i < sk_X509_num(p->chain); i++) {
		PEM_write_bio_X509(bio, sk_X509_value(p->chain, i));
	}
	append_bio(bio, ret);
}

int pki_key_pem(const struct pki_pair *p, struct buf *ret, struct err *e)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int ok = PEM_write_bio_PrivateKey(bio, p->key, NULL, NULL, 0, NULL, NULL);
	append_bio(bio, ret);
	return ok == 1 ? 0 : err_set(e, ERR_SYSTEM, "cannot write a key as PEM");
}

void pki_cert_der(const X509 *cert, struct buf *ret)
{
	BIO *bio = BIO_new(BIO_s_mem());
	i2d_X509_bio(bio, (X509 *)cert);
	append_bio(bio, ret);
}
