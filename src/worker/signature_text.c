#include "worker/signature_text.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"

#define PAYLOAD_TYPE "application/vnd.dev.cosign.simplesigning.v1+json"
#define ANNOTATION "dev.cosignproject.cosign/signature"
#define CLAIM_TYPE "cosign container image signature"
#define BASE64_MAX (2 * SIGNATURE_BYTES_MAX)
#define RSA_BITS_MIN 2048

/* --- the manifest --- */

/* 1: taken, 0: it is no signature, -1 with *e. */
static int read_layer(const json_t *layer, struct signature *ret, struct err *e)
{
	json_t *annotations;
	const char *type, *digest, *text;
	int64_t size;
	scoped(buf) struct buf bytes = BUF_INIT;
	if (!json_is_object(layer)) {
		return err_set(e, ERR_INVALID, "invalid signature: a layer must be an object");
	}
	if (json_get_str(layer, "mediaType", &type, e) < 0 ||
		json_get_str(layer, "digest", &digest, e) < 0 ||
		json_get_i64(layer, "size", -1, &size, e) < 0 ||
		json_get_object(layer, "annotations", &annotations, e) < 0 ||
		json_get_str(annotations, ANNOTATION, &text, e) < 0) {
		return err_wrap(e, "invalid signature");
	}
	if (!type || strcmp(type, PAYLOAD_TYPE) != 0 || !text) {
		return 0;
	}
	if (!digest || !ref_is_digest(digest) || size < 0 || size > SIGNATURE_PAYLOAD_MAX) {
		return err_set(e, ERR_INVALID,
			"invalid signature: its payload needs a SHA-256 digest and at most %u bytes",
			SIGNATURE_PAYLOAD_MAX);
	}
	size_t n = strlen(text);
	if (n > BASE64_MAX || base64_decode(text, n, &bytes) < 0 || bytes.len == 0 ||
		bytes.len > SIGNATURE_BYTES_MAX) {
		return err_set(e, ERR_INVALID, "invalid signature: it is not base64, or too long");
	}
	snprintf(ret->digest, sizeof(ret->digest), "%s", digest);
	ret->size = size;
	memcpy(ret->bytes, bytes.data, bytes.len);
	ret->n = bytes.len;
	return 1;
}

int signature_list(const char *text, size_t n, struct signature **ret, size_t *ret_n, struct err *e)
{
	json_t *layers;
	scoped(json) json_t *doc = json_parse(text, n, "the signatures' manifest", e);
	if (!doc) {
		return -1;
	}
	if (!json_is_object(doc)) {
		return err_set(e, ERR_INVALID, "the signatures' manifest must be an object");
	}
	if (json_get_array(doc, "layers", &layers, e) < 0) {
		return err_wrap(e, "the signatures' manifest");
	}
	if (json_array_size(layers) > SIGNATURES_MAX) {
		return err_set(
			e, ERR_INVALID, "the image has more than %d signatures", SIGNATURES_MAX);
	}
	scoped(free) struct signature *list =
		xnew_array(struct signature, json_array_size(layers) + 1);
	size_t i, count = 0;
	json_t *layer;
	json_array_foreach (layers, i, layer) {
		int taken = read_layer(layer, &list[count], e);
		if (taken < 0) {
			return -1;
		}
		count += (size_t)taken;
	}
	*ret = TAKE(list);
	*ret_n = count;
	return 0;
}

/* --- the payload --- */

/* {"critical": {"identity": {"docker-reference"}, "image": {"docker-manifest-digest"}, "type"},
 * "optional"}: everything critical must be understood. */
int signature_payload(const char *text, size_t n, struct signature_claim *ret, struct err *e)
{
	struct signature_claim c = {0};
	json_t *critical, *identity, *image;
	const char *type, *digest, *reference, *key;
	json_t *v;
	scoped(json) json_t *doc = json_parse(text, n, "the signed payload", e);
	if (!doc) {
		return -1;
	}
	if (!json_is_object(doc)) {
		return err_set(e, ERR_INVALID, "the signed payload must be an object");
	}
	if (json_get_object(doc, "critical", &critical, e) < 0 ||
		json_get_object(critical, "identity", &identity, e) < 0 ||
		json_get_object(critical, "image", &image, e) < 0 ||
		json_get_str(critical, "type", &type, e) < 0 ||
		json_get_str(identity, "docker-reference", &reference, e) < 0 ||
		json_get_str(image, "docker-manifest-digest", &digest, e) < 0) {
		return err_wrap(e, "invalid signed payload");
	}
	json_object_foreach (critical, key, v) {
		if (strcmp(key, "identity") != 0 && strcmp(key, "image") != 0 &&
			strcmp(key, "type") != 0) {
			return err_set(e, ERR_INVALID,
				"invalid signed payload: unknown critical member \"%.64s\"", key);
		}
	}
	if (!type || strcmp(type, CLAIM_TYPE) != 0 || !digest || !ref_is_digest(digest)) {
		return err_set(e, ERR_INVALID,
			"invalid signed payload: it is not a %s with a SHA-256 digest", CLAIM_TYPE);
	}
	if (!reference || ref_parse(reference, &c.ref, e) < 0) {
		return err_set(e, ERR_INVALID,
			"invalid signed payload: its docker-reference is not a repository");
	}
	snprintf(c.digest, sizeof(c.digest), "%s", digest);
	*ret = c;
	return 0;
}

int signature_claim_check(const struct signature_claim *c, const char *digest, const char *identity,
	const char *tag, struct err *e)
{
	char name[REF_TEXT_MAX];
	if (strcmp(c->digest, digest) != 0 ||
		(*c->ref.digest && strcmp(c->ref.digest, digest) != 0)) {
		return err_set(e, ERR_DENIED, "is for another image, %s", c->digest);
	}
	if (strcmp(ref_name(&c->ref, name), identity) != 0) {
		return err_set(
			e, ERR_DENIED, "is for the repository %.100s, not %.100s", name, identity);
	}
	if (*c->ref.tag && *tag && strcmp(c->ref.tag, tag) != 0) {
		return err_set(e, ERR_DENIED, "is for the tag %.60s, not %.60s", c->ref.tag, tag);
	}
	return 0;
}

/* --- the key --- */

static EVP_PKEY *read_key(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
	BIO_free(bio);
	return key;
}

static bool is_nist_curve(const EVP_PKEY *key)
{
	static const int curves[] = {NID_X9_62_prime256v1, NID_secp384r1, NID_secp521r1};
	char name[64] = "";
	EVP_PKEY_get_group_name(key, name, sizeof(name), NULL);
	int nid = OBJ_sn2nid(name);
	for (size_t i = 0; i < sizeof(curves) / sizeof(*curves); i++) {
		if (nid == curves[i]) {
			return true;
		}
	}
	return false;
}

static bool is_usable(const EVP_PKEY *key)
{
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_EC:
		return is_nist_curve(key);
	case EVP_PKEY_RSA:
		return EVP_PKEY_get_bits(key) >= RSA_BITS_MIN;
	default:
		return EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519;
	}
}

int signature_verify(const char *pem, const struct signature *s, const char *payload, size_t n,
	bool *ret_good, struct err *e)
{
	EVP_PKEY *key = read_key(pem);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int r = 0;
	if (!key || !ctx || !is_usable(key)) {
		r = err_set(e, ERR_INVALID,
			"it is no ECDSA key of a NIST curve, no RSA key of %d bits and no Ed25519 key",
			RSA_BITS_MIN);
	} else { /* Ed25519 hashes by itself */
		const EVP_MD *md =
			EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
		*ret_good = EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1 &&
			    EVP_DigestVerify(
				    ctx, s->bytes, s->n, (const unsigned char *)payload, n) == 1;
	}
	ERR_clear_error();
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return r;
}
