/* Making authorities and what they sign. */
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/ip.h"
#include "base/mem.h"
#include "worker/pki.h"

#define AUTHORITY_BEGINS INT64_C(1704067200) /* 2024-01-01 */
#define AUTHORITY_DAYS 3653
#define SERIAL_BYTES 16
#define SUBJECT_MAX 64 /* RFC 5280 ub-common-name */

/* What OpenSSL says of its failure. */
static int openssl_failed(struct err *e, const char *what)
{
	char text[160];
	ERR_error_string_n(ERR_get_error(), text, sizeof(text));
	ERR_clear_error();
	return err_set(e, ERR_SYSTEM, "%s: %s", what, text);
}

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value, struct err *e)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	int ok = x && X509_add_ext(cert, x, -1) == 1;
	X509_EXTENSION_free(x);
	return ok ? 0 : openssl_failed(e, "cannot write a certificate's extension");
}

/* Random, positive and not short: RFC 5280 4.1.2.2. */
static bool set_serial(X509 *cert)
{
	unsigned char bytes[SERIAL_BYTES];
	if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
		return false;
	}
	bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40);
	BIGNUM *n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	bool ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
	BN_free(n);
	return ok;
}

static bool set_subject(X509 *cert, const char *organization, const char *common_name)
{
	X509_NAME *name = X509_get_subject_name(cert);
	scoped(free) char *cn = xstrndup(common_name, SUBJECT_MAX);
	return (!organization ||
		       X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_UTF8,
			       (const unsigned char *)organization, -1, -1, 0) == 1) &&
	       X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
		       (const unsigned char *)cn, -1, -1, 0) == 1;
}

static bool set_times(X509 *cert, int64_t begins, int64_t ends)
{
	return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)begins) &&
	       ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)ends);
}

/* A certificate with a new key, without issuer, names and signature. */
static int begin(struct pki_pair *p, const char *organization, const char *common_name,
	int64_t begins, int64_t ends, struct err *e)
{
	p->key = EVP_EC_gen("P-256");
	p->cert = X509_new();
	if (!p->key || !p->cert || X509_set_version(p->cert, X509_VERSION_3) != 1 ||
		!set_serial(p->cert) || !set_subject(p->cert, organization, common_name) ||
		!set_times(p->cert, begins, ends) || X509_set_pubkey(p->cert, p->key) != 1) {
		return openssl_failed(e, "cannot make a certificate");
	}
	return 0;
}

static int sign(X509 *cert, EVP_PKEY *key, struct err *e)
{
	/* Ed25519 has no digest of its own to name; an authority from outside may be one. */
	int id = EVP_PKEY_get_base_id(key);
	const EVP_MD *md = id == EVP_PKEY_ED25519 || id == EVP_PKEY_ED448 ? NULL : EVP_sha256();
	return X509_sign(cert, key, md) > 0 ? 0 : openssl_failed(e, "cannot sign a certificate");
}

/* Critical, as RFC 5280 4.2.1.10 wants it. */
static int add_constraints(X509 *cert, const struct strv *permitted, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (permitted->n == 0) {
		return 0;
	}
	buf_puts(&text, "critical");
	for (size_t i = 0; i < permitted->n; i++) {
		buf_printf(&text, ",permitted;DNS:%s", permitted->v[i]);
	}
	return add_extension(cert, cert, NID_name_constraints, buf_str(&text), e);
}

int pki_make_authority(const char *common_name, const struct strv *permitted, int64_t now,
	struct pki_pair *ret, struct err *e)
{
	scoped(pki_pair) struct pki_pair p = {0};
	int64_t ends = pki_time(now) + AUTHORITY_DAYS * PKI_DAY;
	if (begin(&p, "wherry", common_name, AUTHORITY_BEGINS, ends, e) < 0) {
		return -1;
	}
	if (X509_set_issuer_name(p.cert, X509_get_subject_name(p.cert)) != 1) {
		return openssl_failed(e, "cannot make a certificate");
	}
	if (add_extension(p.cert, p.cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0", e) <
			0 ||
		add_extension(p.cert, p.cert, NID_key_usage, "critical,keyCertSign,cRLSign", e) <
			0 ||
		add_extension(p.cert, p.cert, NID_subject_key_identifier, "hash", e) < 0 ||
		add_constraints(p.cert, permitted, e) < 0 || sign(p.cert, p.key, e) < 0) {
		return -1;
	}
	pki_pair_move(ret, &p);
	return 0;
}

static GENERAL_NAME *general_name(const char *text)
{
	struct ip ip;
	bool is_ip = ip_parse(text, &ip) == 0;
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_STRING *s = is_ip ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
	if (!g || !s ||
		ASN1_STRING_set(s, is_ip ? (void *)ip.b : text, is_ip ? ip.size : -1) != 1) {
		GENERAL_NAME_free(g);
		ASN1_STRING_free(s);
		return NULL;
	}
	GENERAL_NAME_set0_value(g, is_ip ? GEN_IPADD : GEN_DNS, s);
	return g;
}

/* NULL when memory is out. */
static GENERAL_NAMES *general_names(const struct strv *names)
{
	GENERAL_NAMES *list = GENERAL_NAMES_new();
	bool ok = list;
	for (size_t i = 0; ok && i < names->n; i++) {
		GENERAL_NAME *g = general_name(names->v[i]);
		ok = g && sk_GENERAL_NAME_push(list, g) > 0;
	}
	if (!ok) {
		GENERAL_NAMES_free(list);
		return NULL;
	}
	return list;
}

static bool add_names(X509 *cert, const struct strv *names)
{
	GENERAL_NAMES *list = general_names(names);
	bool ok = list && X509_add1_ext_i2d(cert, NID_subject_alt_name, list, 0, 0) == 1;
	GENERAL_NAMES_free(list);
	return ok;
}

/* What leafs of both kinds have. */
static int finish_leaf(
	struct pki_pair *p, const struct pki_pair *authority, const char *usage, struct err *e)
{
	if (X509_set_issuer_name(p->cert, X509_get_subject_name(authority->cert)) != 1) {
		return openssl_failed(e, "cannot make a certificate");
	}
	X509 *a = authority->cert;
	if (add_extension(p->cert, a, NID_basic_constraints, "critical,CA:FALSE", e) < 0 ||
		add_extension(p->cert, a, NID_key_usage, "critical,digitalSignature", e) < 0 ||
		add_extension(p->cert, a, NID_ext_key_usage, usage, e) < 0 ||
		add_extension(p->cert, a, NID_subject_key_identifier, "hash", e) < 0 ||
		add_extension(p->cert, a, NID_authority_key_identifier, "keyid:always", e) < 0) {
		return -1;
	}
	return 0;
}

/* Who checks the chain sees an intermediate authority only if we show it. */
static void add_chain(struct pki_pair *p, const struct pki_pair *authority)
{
	if (X509_self_signed(authority->cert, 0) != 1 && X509_up_ref(authority->cert)) {
		p->chain = sk_X509_new_null();
		sk_X509_push(p->chain, authority->cert);
		for (int i = 0; i < sk_X509_num(authority->chain); i++) {
			X509 *x = sk_X509_value(authority->chain, i);
			X509_up_ref(x);
			sk_X509_push(p->chain, x);
		}
	}
}

/* A day before now, because the clocks of phones and of this machine differ; never after the
 * authority. */
static int begin_leaf(struct pki_pair *p, const struct pki_pair *authority, const char *name,
	int days, int64_t now, struct err *e)
{
	int64_t begins = pki_time(now) - PKI_DAY;
	int64_t ends = begins + days * PKI_DAY - 1;
	int64_t last = pki_not_after(authority->cert);
	if (last <= begins) {
		return err_set(e, ERR_INVALID, "the authority has expired");
	}
	return begin(p, NULL, name, begins, ends < last ? ends : last, e);
}

int pki_make_server(const struct pki_pair *authority, const struct strv *names, int64_t now,
	struct pki_pair *ret, struct err *e)
{
	scoped(pki_pair) struct pki_pair p = {0};
	if (begin_leaf(&p, authority, names->v[0], PKI_LEAF_DAYS, now, e) < 0) {
		return -1;
	}
	if (!add_names(p.cert, names)) {
		return openssl_failed(e, "cannot write a certificate's names");
	}
	if (finish_leaf(&p, authority, "serverAuth", e) < 0 ||
		sign(p.cert, authority->key, e) < 0) {
		return -1;
	}
	add_chain(&p, authority);
	pki_pair_move(ret, &p);
	return 0;
}

int pki_make_client(const struct pki_pair *authority, const char *name, int days, int64_t now,
	struct pki_pair *ret, struct err *e)
{
	scoped(pki_pair) struct pki_pair p = {0};
	if (begin_leaf(&p, authority, name, days, now, e) < 0 ||
		finish_leaf(&p, authority, "clientAuth", e) < 0 ||
		sign(p.cert, authority->key, e) < 0) {
		return -1;
	}
	add_chain(&p, authority);
	pki_pair_move(ret, &p);
	return 0;
}

static bool sign_request(X509_REQ *req, EVP_PKEY *key, const struct strv *names)
{
	GENERAL_NAMES *list = general_names(names);
	STACK_OF(X509_EXTENSION) *extensions = NULL;
	bool ok = list && X509V3_add1_i2d(&extensions, NID_subject_alt_name, list, 0, 0) == 1 &&
		  X509_REQ_add_extensions(req, extensions) == 1 &&
		  X509_REQ_set_pubkey(req, key) == 1 && X509_REQ_sign(req, key, EVP_sha256()) > 0;
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	GENERAL_NAMES_free(list);
	return ok;
}

/* Without a subject: the names are in the extension. */
int pki_make_request(
	const struct strv *names, struct buf *ret_key, struct buf *ret_request, struct err *e)
{
	scoped(pki_pair) struct pki_pair p = {.key = EVP_EC_gen("P-256")};
	X509_REQ *req = X509_REQ_new();
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	bool ok = p.key && req && bio && sign_request(req, p.key, names) &&
		  PEM_write_bio_X509_REQ(bio, req) == 1;
	long n = ok ? BIO_get_mem_data(bio, &data) : 0;
	if (n > 0) {
		buf_append(ret_request, data, (size_t)n);
	}
	BIO_free(bio);
	X509_REQ_free(req);
	return ok ? pki_key_pem(&p, ret_key, e) : openssl_failed(e, "cannot make a request");
}

/* OpenSSL's own check, of a certificate that has only this name. */
bool pki_permits(const X509 *authority, const char *name)
{
	NAME_CONSTRAINTS *limits = X509_get_ext_d2i(authority, NID_name_constraints, NULL, NULL);
	if (!limits) {
		return true;
	}
	scoped(X509_free) X509 *probe = X509_new();
	struct strv one = {.v = (char *[]){(char *)name}, .n = 1};
	bool ok = probe && add_names(probe, &one);
	X509_check_purpose(probe, -1, 0); /* only so that it looks at its names */
	ok = ok && NAME_CONSTRAINTS_check(probe, limits) == X509_V_OK;
	NAME_CONSTRAINTS_free(limits);
	ERR_clear_error();
	return ok;
}

bool pki_is_issued_by(X509 *cert, const X509 *authority)
{
	EVP_PKEY *key = X509_get0_pubkey(authority);
	bool ok = X509_check_issued((X509 *)authority, cert) == X509_V_OK && key &&
		  X509_verify(cert, key) == 1;
	ERR_clear_error();
	return ok;
}
