/* worker/signature_text.h - cosign's key-based signatures: their form, and whether a key made one.
 *
 * sigstore/cosign SIGNATURE_SPEC.md: a manifest at the tag sha256-HEX.sig of the same repository,
 * each of whose layers is one signature: the blob is the payload ("simple signing",
 * containers/image signature-protocols), the annotation dev.cosignproject.cosign/signature the
 * signature over it.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/ref.h"

#define SIGNATURES_MAX 64
#define SIGNATURE_PAYLOAD_MAX (64u << 10)
#define SIGNATURE_BYTES_MAX 2048

struct signature {
	char digest[REF_DIGEST_LEN + 1]; /* of the payload */
	int64_t size;
	uint8_t bytes[SIGNATURE_BYTES_MAX];
	size_t n;
};

/* The signatures of a manifest; layers of other kinds are passed over. ret: the caller's array of
 * *ret_n, to free. */
int signature_list(
	const char *text, size_t n, struct signature **ret, size_t *ret_n, struct err *e);

/* What a payload claims. */
struct signature_claim {
	char digest[REF_DIGEST_LEN + 1]; /* of the manifest */
	struct ref ref;                  /* of the image; a tag in it may be absent */
};
int signature_payload(const char *text, size_t n, struct signature_claim *ret, struct err *e);
/* Whether the claim is about this image: its manifest's digest, the name that the policy expects,
 * and where both sides have a tag, the tag. ERR_DENIED says what it is about instead. */
int signature_claim_check(const struct signature_claim *c, const char *digest, const char *identity,
	const char *tag, struct err *e);

/* Whether the key (PEM, SubjectPublicKeyInfo) made the signature: ECDSA on a NIST curve or RSA
 * PKCS#1 v1.5 of at least 2048 bits, both over SHA-256, or Ed25519. ERR_INVALID for another kind of
 * key. */
int signature_verify(const char *pem, const struct signature *s, const char *payload, size_t n,
	bool *ret_good, struct err *e);
