/* worker/pki.h - certificates for HTTPS: authorities, pairs that they sign, names, time. OpenSSL.
 *
 * Nothing here reads a clock or a file but pki_read_*: now is seconds since 1970, handed in.
 * RFC 5280; what browsers want besides: names in the SAN, at most 398 days, EKU serverAuth.
 */
#pragma once
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "ingress/cert_name.h"

#define PKI_DAY INT64_C(86400)
#define PKI_LEAF_DAYS 397
#define PKI_WARN_DAYS 14
#define PKI_FILE_MAX (256u << 10)
#define PKI_CHAIN_MAX 16
#define PKI_CLOCK_FLOOR CERT_CLOCK_FLOOR

SCOPED(EVP_PKEY *, EVP_PKEY_free)
SCOPED(X509 *, X509_free)

/* A certificate, what stands between it and a root, and its key (NULL where only one is read). */
struct pki_pair {
	EVP_PKEY *key;
	X509 *cert;
	STACK_OF(X509) * chain; /* NULL or in order; without a self-signed root */
};
void pki_pair_deinit(struct pki_pair *p);
void pki_pair_move(struct pki_pair *ret, struct pki_pair *from); /* from is empty then */
static inline void scoped_pki_pair(struct pki_pair *p)
{
	pki_pair_deinit(p);
}

/* The time to date things with: now, or the floor. */
int64_t pki_time(int64_t now);
/* A third of its life is left, or it begins in the future and the clock is one to believe: one that
 * is behind would replace what is good. */
bool pki_is_due(const X509 *cert, int64_t now, bool clock_is_set);
int64_t pki_due_at(const X509 *cert);
int64_t pki_not_before(const X509 *cert);
int64_t pki_not_after(const X509 *cert);

/* An authority of its own, EC P-256, for 10 years. It begins years before now: no clock that was
 * wrong when it was made makes it "not yet valid". permitted: the DNS names, each with all below
 * it, that it may sign for; empty: any. Addresses are not limited. */
int pki_make_authority(const char *common_name, const struct strv *permitted, int64_t now,
	struct pki_pair *ret, struct err *e);
/* A server's pair for names ("app.local", "*.app.local", "192.0.2.1", "::1"); at least one. */
int pki_make_server(const struct pki_pair *authority, const struct strv *names, int64_t now,
	struct pki_pair *ret, struct err *e);
/* A client's pair: subject CN=name, EKU clientAuth; days it is good for. */
int pki_make_client(const struct pki_pair *authority, const char *name, int days, int64_t now,
	struct pki_pair *ret, struct err *e);
/* A new key and a request for a certificate of names (RFC 2986), both in PEM. */
int pki_make_request(
	const struct strv *names, struct buf *ret_key, struct buf *ret_request, struct err *e);
/* Whether the authority's name constraints let it sign for a name. */
bool pki_permits(const X509 *authority, const char *name);
bool pki_is_issued_by(X509 *cert, const X509 *authority);

/* A pair from files in PEM, as people have them: the certificate that belongs to the key is found
 * in the chain and put first, the rest is put in order, roots and strangers are left out. The
 * sentence of *e names the file. */
int pki_read_pair(const char *cert_path, const char *key_path, struct pki_pair *ret, struct err *e);
/* The same for the text of files; what names them in sentences. */
int pki_parse_pair(const struct buf *certs, const char *cert_what, const struct buf *key,
	const char *key_what, struct pki_pair *ret, struct err *e);
/* Only the certificate, for what we wrote ourselves. */
X509 *pki_read_cert(const char *path, struct err *e);

/* The names of a certificate's SAN, as pki_make_server takes them; lower case, sorted. */
void pki_names(const X509 *cert, struct strv *ret);
/* The common names of its issuer and subject, else the organization, for people; "". The caller's.
 */
char *pki_issuer(const X509 *cert);
char *pki_subject(const X509 *cert);
/* What keeps a TLS server from using a pair (a key that is too short, a certificate that is not for
 * servers), or 0: the words are those of OpenSSL, which nginx would fail with. */
int pki_check_server(const struct pki_pair *p, const char *what, struct err *e);
/* SHA-256 over DER, colons between upper-case pairs, as browsers show it. The caller's. */
char *pki_fingerprint(const X509 *cert);
void pki_digest(const X509 *cert, char ret[static 65]); /* the same, 64 lower-case digits */

void pki_cert_pem(const struct pki_pair *p, struct buf *ret); /* with its chain */
int pki_key_pem(const struct pki_pair *p, struct buf *ret, struct err *e);
void pki_cert_der(const X509 *cert, struct buf *ret);
