/* wherry/cp_names.h: expectations are what docker 28.2.2 did with the same operands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/scoped.h"
#include "wherry/cp_names.h"

static void operands_name_a_container_or_this_machine(void **state)
{
	static const struct {
		const char *operand, *container, *path;
	} known[] = {{"web:/etc", "web", "/etc"}, {"web:etc", "web", "etc"}, {"/a:b", NULL, "/a:b"},
		{"./a:b", NULL, "./a:b"}, {"file", NULL, "file"}, {"-", NULL, "-"},
		{"a:b:c", "a", "b:c"}};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		scoped(free) char *container = NULL;
		scoped(free) char *path = NULL;
		cp_split(known[i].operand, &container, &path);
		assert_string_equal(path, known[i].path);
		assert_int_equal(container == NULL, known[i].container == NULL);
		if (container) {
			assert_string_equal(container, known[i].container);
		}
	}
}

static void the_end_of_a_path_is_kept(void **state)
{
	static const char *const known[][4] = {{"/a/./b/", "/a/b/", "/a", "b"},
		{"/a//b/.", "/a/b/.", "/a/b", "."}, {"/a/../b", "/b", "/", "b"},
		{"/", "/", "/", "/"}, {"/.", "/.", "/", "."}, {"b", "b", ".", "b"}};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		scoped(free) char *clean = cp_clean(known[i][0]);
		scoped(free) char *dir = NULL;
		scoped(free) char *base = NULL;
		cp_split_last(clean, &dir, &base);
		assert_string_equal(clean, known[i][1]);
		assert_string_equal(dir, known[i][2]);
		assert_string_equal(base, known[i][3]);
	}
}

static void a_copy_goes_into_a_directory_or_takes_the_name(void **state)
{
	static const struct {
		struct cp_target to;
		bool source_is_dir;
		const char *dir, *name; /* dir NULL: name is the error */
	} known[] = {
		{{"/d", true, true}, false, "/d", NULL},
		{{"/d", true, true}, true, "/d", NULL},
		{{"/d/f", true, false}, false, "/d", "f"},
		{{"/d/f", true, false}, true, NULL, "cannot copy directory"},
		{{"/d/new", false, false}, true, "/d", "new"},
		{{"/d/new/", false, false}, true, "/d", "new"},
		{{"/d/new", false, false}, false, "/d", "new"},
		{{"/d/new/", false, false}, false, NULL, "no such directory"},
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		scoped(free) char *dir = NULL;
		scoped(free) char *name = NULL;
		struct err e = {0};
		int r = cp_place(&known[i].to, known[i].source_is_dir, &dir, &name, &e);
		if (!known[i].dir) {
			assert_int_equal(r, -1);
			assert_string_equal(e.msg, known[i].name);
			continue;
		}
		assert_string_equal(dir, known[i].dir);
		assert_string_equal(
			name ? name : "(kept)", known[i].name ? known[i].name : "(kept)");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operands_name_a_container_or_this_machine),
		cmocka_unit_test(the_end_of_a_path_is_kept),
		cmocka_unit_test(a_copy_goes_into_a_directory_or_takes_the_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
