#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/manifest.h"

#define CONFIG "sha256:5bfeaabf6727a6d2c7fb1d254d6c625057154f886126ee53ef8aea0e1bcdb349"
#define LAYER "sha256:67162e9ccb9141b7b6d00b7e4508c7368dd68e4ed31b5afd734ba85d9540da4f"

/* Pushed by dockerd 26.1.5 and read back from the registry. */
static const char of_dockerd[] =
	"{\n"
	"   \"schemaVersion\": 2,\n"
	"   \"mediaType\": \"application/vnd.docker.distribution.manifest.v2+json\",\n"
	"   \"config\": {\n"
	"      \"mediaType\": \"application/vnd.docker.container.image.v1+json\",\n"
	"      \"size\": 893,\n"
	"      \"digest\": \"" CONFIG "\"\n"
	"   },\n"
	"   \"layers\": [\n"
	"      {\n"
	"         \"mediaType\": \"application/vnd.docker.image.rootfs.diff.tar.gzip\",\n"
	"         \"size\": 1064796,\n"
	"         \"digest\": \"" LAYER "\"\n"
	"      }\n"
	"   ]\n"
	"}";

static void a_manifest_is_byte_for_byte_dockerds(void **state)
{
	static const char *const names[] = {
		"", MANIFEST_DOCKER_LAYER, "application/vnd.oci.image.layer.v1.tar+gzip"};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const struct descriptor config = {.digest = CONFIG, .size = 893};
		struct descriptor layer = {.digest = LAYER, .size = 1064796};
		scoped(buf) struct buf text = BUF_INIT;
		const char *type;
		strcpy(layer.media_type, names[i]);

		manifest_write(&config, &layer, 1, &text, &type);

		assert_string_equal(buf_str(&text), of_dockerd);
		assert_string_equal(type, MANIFEST_DOCKER);
	}
}

static void a_layer_that_docker_has_no_word_for_makes_it_an_oci_manifest(void **state)
{
	const struct descriptor config = {.digest = CONFIG, .size = 893};
	const struct descriptor layers[] = {
		{.digest = LAYER, .size = 1, .media_type = MANIFEST_DOCKER_LAYER},
		{.digest = LAYER,
			.size = 2,
			.media_type = "application/vnd.oci.image.layer.v1.tar+zstd"},
		{.digest = LAYER,
			.size = 3,
			.media_type = "application/vnd.docker.image.rootfs.diff.tar"},
	};
	scoped(buf) struct buf text = BUF_INIT;
	scoped(manifest) struct manifest read = {0};
	struct err e;
	const char *type;

	manifest_write(&config, layers, 3, &text, &type);

	assert_string_equal(type, MANIFEST_OCI);
	assert_int_equal(manifest_parse(buf_str(&text), text.len, type, &read, &e), 0);
	assert_int_equal(read.n_layers, 3);
	assert_string_equal(
		read.layers[0].media_type, "application/vnd.oci.image.layer.v1.tar+gzip");
	assert_string_equal(
		read.layers[1].media_type, "application/vnd.oci.image.layer.v1.tar+zstd");
	assert_string_equal(read.layers[2].media_type, "application/vnd.oci.image.layer.v1.tar");
}

static void an_image_without_layers_has_a_manifest_too(void **state)
{
	const struct descriptor config = {.digest = CONFIG, .size = 2};
	scoped(buf) struct buf text = BUF_INIT;
	scoped(manifest) struct manifest read = {0};
	struct err e;
	const char *type;

	manifest_write(&config, NULL, 0, &text, &type);

	assert_int_equal(manifest_parse(buf_str(&text), text.len, type, &read, &e), 0);
	assert_string_equal(read.config.digest, CONFIG);
	assert_int_equal(read.n_layers, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_manifest_is_byte_for_byte_dockerds),
		cmocka_unit_test(a_layer_that_docker_has_no_word_for_makes_it_an_oci_manifest),
		cmocka_unit_test(an_image_without_layers_has_a_manifest_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
