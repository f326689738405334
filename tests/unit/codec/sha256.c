#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/sha256.h"

/* FIPS 180-4 / NIST CAVS examples */
static void known_texts_have_their_digests(void **state)
{
	static const struct {
		const char *text, *digest;
	} cases[] = {
		{"", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
			"sha256:248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
		{"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrst"
		 "nopqrstu",
			"sha256:cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char digest[72];

		sha256_digest(cases[i].text, strlen(cases[i].text), digest);

		assert_string_equal(digest, cases[i].digest);
	}
}

static void a_million_letters_have_their_digest(void **state)
{
	char digest[72];
	char *text = malloc(1000000);
	assert_non_null(text);
	memset(text, 'a', 1000000);

	sha256_digest(text, 1000000, digest);

	assert_string_equal(
		digest, "sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	free(text);
}

/* 55, 56, 63, 64 and 119 bytes are where padding begins another block. */
static void lengths_around_a_block_differ(void **state)
{
	uint8_t before[32] = {0};
	char text[130];
	memset(text, 'x', sizeof(text));
	for (size_t n = 0; n < sizeof(text); n++) {
		uint8_t hash[32];
		sha256(text, n, hash);
		assert_memory_not_equal(hash, before, 32);
		memcpy(before, hash, 32);
	}
	char digest[72];
	sha256_digest(text, 56, digest); /* printf 'x%.0s' $(seq 56) | sha256sum */
	assert_string_equal(
		digest, "sha256:04c26261370ee7541549d16dee320c723e3fd14671e66a099afe0a377c16888e");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_texts_have_their_digests),
		cmocka_unit_test(a_million_letters_have_their_digest),
		cmocka_unit_test(lengths_around_a_block_differ),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
