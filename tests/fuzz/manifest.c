/* What is read from a manifest is safe to use as a path and a size, and no document is a manifest
 * and an index (CVE-2021-41190). */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "worker/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_descriptor(const struct descriptor *d)
{
	assert(ref_is_digest(d->digest));
	assert(d->size >= 0);
}

static void check_index(const struct manifest *m)
{
	struct platform host;
	struct descriptor chosen;
	struct err e;
	platform_host(&host);
	if (manifest_select(m, &host, &chosen, &e) == 0) {
		check_descriptor(&chosen);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = {"application/vnd.oci.image.index.v1+json",
		"application/vnd.oci.image.manifest.v1+json",
		"application/vnd.docker.distribution.manifest.list.v2+json",
		"application/vnd.docker.distribution.manifest.v2+json"};
	struct manifest m;
	struct err e;
	if (manifest_parse((const char *)data, size, "", &m, &e) < 0) {
		assert(*e.msg);
		return 0;
	}
	assert(m.n_layers <= LAYERS_MAX);
	assert(m.is_index == (m.entries != NULL) || m.is_index);
	if (m.is_index) {
		check_index(&m);
	} else {
		check_descriptor(&m.config);
	}
	for (size_t i = 0; i < m.n_layers; i++) {
		check_descriptor(&m.layers[i]);
	}
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		struct manifest typed;
		if (manifest_parse((const char *)data, size, types[i], &typed, &e) == 0) {
			assert(typed.is_index == m.is_index && typed.is_index == (i % 2 == 0));
			manifest_deinit(&typed);
		}
	}
	manifest_deinit(&m);
	return 0;
}
