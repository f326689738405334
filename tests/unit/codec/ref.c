#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/ref.h"

#define HEX "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void valid_references_have_both_forms(void **state)
{
	static const struct {
		const char *typed, *canonical, *familiar;
	} cases[] = {
		{"nginx", "docker.io/library/nginx", "nginx"},
		{"nginx:1.19", "docker.io/library/nginx:1.19", "nginx:1.19"},
		{"a/b", "docker.io/a/b", "a/b"},
		{"index.docker.io/nginx", "docker.io/library/nginx", "nginx"},
		{"docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"},
		{"localhost/x", "localhost/x", "localhost/x"},
		{"127.0.0.1:5000/a/b:t", "127.0.0.1:5000/a/b:t", "127.0.0.1:5000/a/b:t"},
		{"[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a"},
		{"Host/a", "Host/a", "Host/a"},
		{"a__b.c---d", "docker.io/library/a__b.c---d", "a__b.c---d"},
		{"x@sha256:" HEX, "docker.io/library/x@sha256:" HEX, "x@sha256:" HEX},
		{"x:1@sha256:" HEX, "docker.io/library/x:1@sha256:" HEX, "x:1@sha256:" HEX},
		{"docker.io/a.b/c", "docker.io/a.b/c", "docker.io/a.b/c"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ref r;
		struct err e;
		char text[REF_TEXT_MAX];

		assert_int_equal(ref_parse(cases[i].typed, &r, &e), 0);

		assert_string_equal(ref_canonical(&r, text), cases[i].canonical);
		assert_string_equal(ref_familiar(&r, text), cases[i].familiar);
	}
}

static void invalid_references_get_dockers_words(void **state)
{
	static const struct {
		const char *typed, *message;
	} cases[] = {
		{"", "invalid reference format"},
		{"a b", "invalid reference format"},
		{"-a", "invalid reference format"},
		{"a..b", "invalid reference format"},
		{"a___b", "invalid reference format"},
		{"a/", "invalid reference format"},
		{"/a", "invalid reference format"},
		{"a//b", "invalid reference format"},
		{"../etc", "invalid reference format"},
		{"a:", "invalid reference format"},
		{"a:-x", "invalid reference format"},
		{"a:x/y:", "invalid reference format"},
		{"h.:80/x", "invalid reference format"},
		{"x@sha256:12", "invalid reference format"},
		{"x@md5:" HEX, "invalid reference format"},
		{"Nginx",
			"invalid reference format: repository name (library/Nginx) must be lowercase"},
		{"h.io/A/b", "invalid reference format: repository name (A/b) must be lowercase"},
		{HEX, "invalid repository name (" HEX
		      "), cannot specify 64-byte hexadecimal strings"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ref r;
		struct err e = {0};

		assert_int_equal(ref_parse(cases[i].typed, &r, &e), -1);

		assert_int_equal(e.kind, ERR_INVALID);
		assert_string_equal(e.msg, cases[i].message);
	}
}

static void limits_are_exact(void **state)
{
	char tag[2 + REF_TAG_MAX + 2] = "a:";
	struct ref r;
	struct err e;

	memset(tag + 2, 'x', REF_TAG_MAX);
	assert_int_equal(ref_parse(tag, &r, &e), 0);
	tag[2 + REF_TAG_MAX] = 'x';
	assert_int_equal(ref_parse(tag, &r, &e), -1);

	char name[REF_NAME_MAX + 2] = "a.b/";
	memset(name + 4, 'x', REF_NAME_MAX - 4);
	assert_int_equal(ref_parse(name, &r, &e), 0);
	name[REF_NAME_MAX] = 'x';
	assert_int_equal(ref_parse(name, &r, &e), -1);
	assert_string_equal(e.msg, "repository name must not be more than 255 characters");
}

static void default_tag_is_only_for_bare_names(void **state)
{
	struct ref r;
	struct err e;

	assert_int_equal(ref_parse("x", &r, &e), 0);
	ref_default_tag(&r);
	assert_string_equal(r.tag, "latest");

	assert_int_equal(ref_parse("x@sha256:" HEX, &r, &e), 0);
	ref_default_tag(&r);
	assert_string_equal(r.tag, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_references_have_both_forms),
		cmocka_unit_test(invalid_references_get_dockers_words),
		cmocka_unit_test(limits_are_exact),
		cmocka_unit_test(default_tag_is_only_for_bare_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
