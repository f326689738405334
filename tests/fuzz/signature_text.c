/* What is read as a signature or as its payload is within bounds and of the grammar; a claim holds
 * for what it names and for nothing else. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "worker/signature_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_list(const char *text, size_t size)
{
	struct err e = {0};
	struct signature *list;
	size_t n;
	if (signature_list(text, size, &list, &n, &e) < 0) {
		assert(*e.msg);
		return;
	}
	assert(n <= SIGNATURES_MAX);
	for (size_t i = 0; i < n; i++) {
		assert(ref_is_digest(list[i].digest));
		assert(list[i].size >= 0 && list[i].size <= SIGNATURE_PAYLOAD_MAX);
		assert(list[i].n > 0 && list[i].n <= SIGNATURE_BYTES_MAX);
	}
	free(list);
}

static void check_payload(const char *text, size_t size)
{
	struct err e = {0};
	struct signature_claim c;
	char name[REF_TEXT_MAX];
	if (signature_payload(text, size, &c, &e) < 0) {
		assert(*e.msg);
		return;
	}
	assert(ref_is_digest(c.digest));
	ref_name(&c.ref, name);
	bool itself = !*c.ref.digest || strcmp(c.ref.digest, c.digest) == 0;
	assert((signature_claim_check(&c, c.digest, name, c.ref.tag, &e) == 0) == itself);
	assert(signature_claim_check(&c, "sha256:0", name, "", &e) < 0);
	assert(signature_claim_check(&c, c.digest, "", "", &e) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_list((const char *)data, size);
	check_payload((const char *)data, size);
	return 0;
}
