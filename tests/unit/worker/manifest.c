#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "worker/manifest.h"

#define A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define MANIFEST                                           \
	"{\"schemaVersion\":2,\"config\":{\"digest\":\"" A \
	"\",\"size\":7},\"layers\":[{\"digest\":\"" B "\",\"size\":8}]}"

static void a_manifest_names_configuration_and_layers(void **state)
{
	scoped(manifest) struct manifest m = {0};
	struct err e;

	int r = manifest_parse(
		MANIFEST, strlen(MANIFEST), "application/vnd.oci.image.manifest.v1+json", &m, &e);

	assert_int_equal(r, 0);
	assert_false(m.is_index);
	assert_string_equal(m.config.digest, A);
	assert_int_equal(m.n_layers, 1);
	assert_string_equal(m.layers[0].digest, B);
	assert_int_equal(m.layers[0].size, 8);
}

static void the_best_platform_of_an_index_is_chosen(void **state)
{
	static const char index[] =
		"{\"manifests\":["
		"{\"digest\":\"" A
		"\",\"size\":1,\"platform\":{\"os\":\"linux\",\"architecture\":\"arm\",\"variant\":\"v5\"}},"
		"{\"digest\":\"" B
		"\",\"size\":2,\"platform\":{\"os\":\"linux\",\"architecture\":\"arm\",\"variant\":\"v7\"}},"
		"{\"digest\":\"" C
		"\",\"size\":3,\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}}]}";
	static const struct {
		const char *platform, *digest; /* NULL: none fits */
	} cases[] = {
		{"linux/arm/v7", B},
		{"linux/arm/v8", B},
		{"linux/arm/v6", A},
		{"linux/arm", B},
		{"arm", B},
		{"linux/amd64", C},
		{"x86_64", C},
		{"linux/arm64", B}, /* an older architecture that it runs too */
		{"linux/386", NULL},
		{"windows/amd64", NULL},
	};
	scoped(manifest) struct manifest m = {0};
	struct err e;
	assert_int_equal(manifest_parse(index, strlen(index), "", &m, &e), 0);
	assert_true(m.is_index);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct platform want;
		struct descriptor d;
		assert_int_equal(platform_parse(cases[i].platform, &want, &e), 0);

		int r = manifest_select(&m, &want, &d, &e);

		assert_int_equal(r, cases[i].digest ? 0 : -1);
		if (cases[i].digest) {
			assert_string_equal(d.digest, cases[i].digest);
		} else {
			assert_int_equal(e.kind, ERR_NOT_FOUND);
			assert_non_null(strstr(e.msg, "no matching manifest for "));
		}
	}
}

static void a_lone_entry_may_leave_its_platform_out(void **state)
{
	static const char index[] = "{\"manifests\":[{\"digest\":\"" A "\",\"size\":1}]}";
	scoped(manifest) struct manifest m = {0};
	struct platform host;
	struct descriptor d;
	struct err e;
	platform_host(&host);
	assert_int_equal(manifest_parse(index, strlen(index), "", &m, &e), 0);

	assert_int_equal(manifest_select(&m, &host, &d, &e), 0);
	assert_string_equal(d.digest, A);
}

static void a_document_with_two_readings_is_refused(void **state)
{
	static const char *const texts[] = {
		"{\"manifests\":[],\"layers\":[]}",
		"{\"manifests\":[],\"config\":{\"digest\":\"" A "\",\"size\":1}}",
		"{\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"layers\":[],\"config\":{\"digest\":\"" A
		"\",\"size\":1}}",
		"{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"manifests\":[]}",
		"{\"layers\":[],\"layers\":[]}",
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct manifest m;
		struct err e;

		assert_int_equal(manifest_parse(texts[i], strlen(texts[i]), "", &m, &e),
			-1); /* CVE-2021-41190 */
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

static void header_and_document_must_agree(void **state)
{
	struct manifest m;
	struct err e;
	assert_int_equal(manifest_parse(MANIFEST, strlen(MANIFEST),
				 "application/vnd.oci.image.index.v1+json", &m, &e),
		-1);
	assert_int_equal(e.kind, ERR_INVALID);
}

static void wrong_descriptors_are_refused(void **state)
{
	static const char *const descriptors[] = {"null", "{}", "[]", "\"" A "\"",
		"{\"digest\":\"" A "\"}", "{\"digest\":\"" A "\",\"size\":-1}",
		"{\"digest\":\"" A "\",\"size\":\"1\"}",
		"{\"digest\":\"sha256:../../etc/passwd\",\"size\":1}",
		"{\"digest\":\"sha512:aa\",\"size\":1}",
		"{\"digest\":\"sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"size\":1}",
		"{\"digest\":\"" A "\",\"size\":1e30}"};
	for (size_t i = 0; i < sizeof(descriptors) / sizeof(*descriptors); i++) {
		scoped(buf) struct buf text = BUF_INIT;
		struct manifest m;
		struct err e;
		buf_printf(&text, "{\"config\":%s,\"layers\":[]}", descriptors[i]);

		assert_int_equal(manifest_parse(buf_str(&text), text.len, "", &m, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

static void more_layers_than_can_be_mounted_are_refused(void **state)
{
	for (int n = LAYERS_MAX; n <= LAYERS_MAX + 1; n++) {
		scoped(buf) struct buf text = BUF_INIT;
		scoped(manifest) struct manifest m = {0};
		struct err e;
		buf_puts(&text, "{\"config\":{\"digest\":\"" A "\",\"size\":1},\"layers\":[");
		for (int i = 0; i < n; i++) {
			buf_printf(&text, "%s{\"digest\":\"" B "\",\"size\":1}", i ? "," : "");
		}
		buf_puts(&text, "]}");

		assert_int_equal(manifest_parse(buf_str(&text), text.len, "", &m, &e),
			n > LAYERS_MAX ? -1 : 0);
	}
}

static void the_kernel_names_the_arm_variant(void **state)
{
	assert_string_equal(platform_arm_variant("armv5tejl"), "v5");
	assert_string_equal(platform_arm_variant("armv6l"), "v6");
	assert_string_equal(platform_arm_variant("armv7l"), "v7");
	assert_string_equal(platform_arm_variant("armv8l"), "v8");
	assert_string_equal(platform_arm_variant("aarch64"), "v8");
}

static void the_own_architecture_is_better_than_an_older_one(void **state)
{
	struct platform want = {"linux", "arm64", "v8"};
	assert_true(platform_match(&want, "linux", "arm64", "") >
		    platform_match(&want, "linux", "arm", "v8"));
	assert_true(platform_match(&want, "linux", "arm", "v8") >
		    platform_match(&want, "linux", "arm", "v5"));
	assert_int_equal(platform_match(&want, "linux", "amd64", ""), 0);
	assert_int_equal(platform_match(&want, "linux", "arm64", "v9"), 0);
}

/* The manifest of something with this configuration and layer. */
static int parse_of(const char *config_type, const char *layer, struct err *e)
{
	scoped(free) char *text =
		xasprintf("{\"config\":{\"mediaType\":\"%s\",\"digest\":\"" A
			  "\",\"size\":7},\"layers\":[{%s\"digest\":\"" B "\",\"size\":8}]}",
			config_type, layer);
	struct manifest m = {0};
	int r = manifest_parse(text, strlen(text), "", &m, e);
	manifest_deinit(&m);
	return r;
}

static void what_is_no_image_is_refused_by_its_name(void **state)
{
	struct err e;
	assert_int_equal(parse_of("application/vnd.oci.image.config.v1+json", "", &e), 0);
	assert_int_equal(parse_of("", "", &e), 0);
	assert_int_equal(parse_of("application/vnd.cncf.helm.config.v1+json", "", &e), -1);
	assert_string_equal(e.msg,
		"Encountered remote \"application/vnd.cncf.helm.config.v1+json\"(unknown) when "
		"fetching: it is not a container image");
	assert_int_equal(parse_of("application/vnd.docker.plugin.v1+json", "", &e), -1);
	assert_non_null(strstr(e.msg, "(plugin)"));
	assert_int_equal(parse_of("application/vnd.oci.empty.v1+json", "", &e), -1);
}

static void layers_that_are_elsewhere_are_refused(void **state)
{
	static const char *const foreign[] = {
		"\"mediaType\":\"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip\",",
		"\"mediaType\":\"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip\",",
		"\"urls\":[\"https://example.com/x\"],",
		"\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip+encrypted\",",
	};
	struct err e;
	for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++) {
		assert_int_equal(parse_of("", foreign[i], &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
	assert_int_equal(parse_of("", "\"urls\":[],", &e), 0);
}

static void platforms_are_os_architecture_variant(void **state)
{
	struct platform p;
	struct err e;
	assert_int_equal(platform_parse("linux/arm/v6", &p, &e), 0);
	assert_string_equal(p.os, "linux");
	assert_string_equal(p.arch, "arm");
	assert_string_equal(p.variant, "v6");
	assert_int_equal(platform_parse("aarch64", &p, &e), 0);
	assert_string_equal(p.arch, "arm64");
	assert_int_equal(platform_parse("linux/a/b/c", &p, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_manifest_names_configuration_and_layers),
		cmocka_unit_test(the_best_platform_of_an_index_is_chosen),
		cmocka_unit_test(a_lone_entry_may_leave_its_platform_out),
		cmocka_unit_test(a_document_with_two_readings_is_refused),
		cmocka_unit_test(header_and_document_must_agree),
		cmocka_unit_test(wrong_descriptors_are_refused),
		cmocka_unit_test(more_layers_than_can_be_mounted_are_refused),
		cmocka_unit_test(the_kernel_names_the_arm_variant),
		cmocka_unit_test(the_own_architecture_is_better_than_an_older_one),
		cmocka_unit_test(what_is_no_image_is_refused_by_its_name),
		cmocka_unit_test(layers_that_are_elsewhere_are_refused),
		cmocka_unit_test(platforms_are_os_architecture_variant),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
