/* worker/signature_text.h, with keys made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/mem.h"
#include "worker/signature_text.h"

#define A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define LAYER(digest, size, text)                                                                  \
	"{\"mediaType\":\"application/vnd.dev.cosign.simplesigning.v1+json\",\"digest\":\"" digest \
	"\",\"size\":" size ",\"annotations\":{\"dev.cosignproject.cosign/signature\":\"" text     \
	"\"}}"
#define PAYLOAD(type, digest, reference)                                             \
	"{\"critical\":{\"identity\":{\"docker-reference\":\"" reference             \
	"\"},\"image\":{\"docker-manifest-digest\":\"" digest "\"},\"type\":\"" type \
	"\"},\"optional\":null}"
#define COSIGN "cosign container image signature"

static int list(const char *text, struct signature **ret, size_t *n)
{
	struct err e;
	int r = signature_list(text, strlen(text), ret, n, &e);
	if (r < 0) {
		assert_int_equal(e.kind, ERR_INVALID);
	}
	return r;
}

static void layers_of_other_kinds_are_no_signatures(void **state)
{
	scoped(free) struct signature *v = NULL;
	size_t n = 99;
	assert_int_equal(list("{\"layers\":[{\"mediaType\":\"text/plain\",\"digest\":\"x\"}," LAYER(
				      A, "7", "AQID") "]}",
				 &v, &n),
		0);
	assert_int_equal(n, 1);
	assert_string_equal(v[0].digest, A);
	assert_int_equal(v[0].size, 7);
	assert_int_equal(v[0].n, 3);
	assert_memory_equal(v[0].bytes, "\1\2\3", 3);
}

static void wrong_manifests_are_refused(void **state)
{
	static const char *const wrong[] = {"", "[]", "{\"layers\":7}", "{\"layers\":[7]}",
		"{\"layers\":[" LAYER("sha256:../../x", "7", "AQID") "]}",
		"{\"layers\":[" LAYER(A, "-1", "AQID") "]}",
		"{\"layers\":[" LAYER(A, "65537", "AQID") "]}",
		"{\"layers\":[" LAYER(A, "7", "") "]}", "{\"layers\":[" LAYER(A, "7", "!!") "]}",
		"{\"layers\":[],\"layers\":[]}"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct signature *v;
		size_t n;
		assert_int_equal(list(wrong[i], &v, &n), -1);
	}
}

static void there_is_an_end_to_signatures(void **state)
{
	scoped(buf) struct buf text = BUF_INIT;
	struct signature *v;
	size_t n;
	buf_puts(&text, "{\"layers\":[");
	for (int i = 0; i <= SIGNATURES_MAX; i++) {
		buf_printf(&text, "%s%s", i ? "," : "", LAYER(A, "7", "AQID"));
	}
	buf_puts(&text, "]}");
	assert_int_equal(list(buf_str(&text), &v, &n), -1);
}

static int claim(const char *text, struct signature_claim *ret)
{
	struct err e;
	return signature_payload(text, strlen(text), ret, &e);
}

static void a_payload_says_what_it_is_about(void **state)
{
	struct signature_claim c;
	struct err e;
	assert_int_equal(claim(PAYLOAD(COSIGN, A, "r.example/app"), &c), 0);
	assert_int_equal(signature_claim_check(&c, A, "r.example/app", "1", &e), 0);
	assert_int_equal(signature_claim_check(&c, B, "r.example/app", "1", &e), -1);
	assert_int_equal(signature_claim_check(&c, A, "r.example/apple", "1", &e), -1);
	assert_int_equal(e.kind, ERR_DENIED);
	assert_int_equal(claim(PAYLOAD(COSIGN, A, "index.docker.io/library/x:2"), &c), 0);
	assert_int_equal(signature_claim_check(&c, A, "docker.io/library/x", "2", &e), 0);
	assert_int_equal(signature_claim_check(&c, A, "docker.io/library/x", "", &e), 0);
	assert_int_equal(signature_claim_check(&c, A, "docker.io/library/x", "3", &e), -1);
	assert_int_equal(claim(PAYLOAD(COSIGN, A, "r.example/app@" B), &c), 0);
	assert_int_equal(signature_claim_check(&c, A, "r.example/app", "", &e), -1);
}

static void a_payload_that_is_not_understood_is_refused(void **state)
{
	static const char *const wrong[] = {"", "[]", "{}", "{\"critical\":{}}", "{\"critical\":7}",
		PAYLOAD("atomic container signature", A, "r.example/app"),
		PAYLOAD(COSIGN, "sha512:aa", "r.example/app"), PAYLOAD(COSIGN, A, ""),
		PAYLOAD(COSIGN, A, "r.example/App"), PAYLOAD(COSIGN, A, "r.example/app") "x",
		"{\"critical\":{\"identity\":{\"docker-reference\":\"a/b\"},\"image\":{\"docker-"
		"manifest-digest\":\"" A "\"},\"type\":\"" COSIGN "\",\"until\":\"2020\"}}"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct signature_claim c;
		assert_int_equal(claim(wrong[i], &c), -1);
	}
}

static char *pem_of(EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
	long n = BIO_get_mem_data(bio, &data);
	char *text = xstrndup(data, (size_t)n);
	BIO_free(bio);
	return text;
}

static void sign(EVP_PKEY *key, const char *text, struct signature *ret)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const EVP_MD *md = EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();
	ret->n = sizeof(ret->bytes);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, md, NULL, key), 1);
	assert_int_equal(
		EVP_DigestSign(ctx, ret->bytes, &ret->n, (const unsigned char *)text, strlen(text)),
		1);
	EVP_MD_CTX_free(ctx);
}

static void check_key(EVP_PKEY *key, bool usable)
{
	struct err e;
	bool good = false;
	struct signature s = {0};
	scoped(free) char *pem = pem_of(key);
	sign(key, "text", &s);
	assert_int_equal(signature_verify(pem, &s, "text", 4, &good, &e), usable ? 0 : -1);
	assert_int_equal(good, usable);
	if (usable) {
		assert_int_equal(signature_verify(pem, &s, "tex", 3, &good, &e), 0);
		assert_false(good);
		s.bytes[s.n / 2] ^= 1;
		assert_int_equal(signature_verify(pem, &s, "text", 4, &good, &e), 0);
		assert_false(good);
		s.n = 1;
		assert_int_equal(signature_verify(pem, &s, "text", 4, &good, &e), 0);
		assert_false(good);
	}
	EVP_PKEY_free(key);
}

static void keys_of_the_known_kinds_verify(void **state)
{
	check_key(EVP_EC_gen("P-256"), true);
	check_key(EVP_EC_gen("P-384"), true);
	check_key(EVP_EC_gen("P-521"), true);
	check_key(EVP_EC_gen("secp256k1"), false);
	check_key(EVP_RSA_gen(2048), true);
	check_key(EVP_RSA_gen(1024), false);
	check_key(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), true);
}

static void text_that_is_no_key_is_refused(void **state)
{
	struct err e;
	bool good = false;
	const struct signature s = {.n = 1};
	assert_int_equal(signature_verify("", &s, "text", 4, &good, &e), -1);
	assert_int_equal(
		signature_verify("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", &s,
			"text", 4, &good, &e),
		-1);
	assert_false(good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layers_of_other_kinds_are_no_signatures),
		cmocka_unit_test(wrong_manifests_are_refused),
		cmocka_unit_test(there_is_an_end_to_signatures),
		cmocka_unit_test(a_payload_says_what_it_is_about),
		cmocka_unit_test(a_payload_that_is_not_understood_is_refused),
		cmocka_unit_test(keys_of_the_known_kinds_verify),
		cmocka_unit_test(text_that_is_no_key_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
