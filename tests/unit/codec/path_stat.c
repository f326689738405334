/* codec/path_stat.h: Go's mode bits and the header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/scoped.h"
#include "codec/path_stat.h"

/* as dockerd 26.1.5 answered for such files */
static void modes_are_those_of_go(void **state)
{
	static const struct {
		mode_t mode;
		uint32_t go;
	} known[] = {
		{S_IFREG | 0755, 493},
		{S_IFREG | 04755, 8389101},
		{S_IFDIR | 0755, 2147484141},
		{S_IFDIR | 01777, 2148532735},
		{S_IFLNK | 0777, 134218239},
		{S_IFIFO | 0644, 33554852},
		{S_IFCHR | 0666, (1u << 26) | (1u << 21) | 0666},
		{S_IFBLK | 0660, (1u << 26) | 0660},
		{S_IFSOCK | 0777, (1u << 24) | 0777},
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		assert_int_equal(go_mode_from_stat(known[i].mode), known[i].go);
		assert_int_equal(go_mode_to_stat(known[i].go), known[i].mode);
	}
}

static void a_header_comes_back_as_it_went(void **state)
{
	const struct path_stat s = {
		(char *)"d\"x", 4096, S_IFDIR | 0755, 1795801729125397934, (char *)"/a b"};
	scoped(json) json_t *doc = path_stat_json(&s);
	scoped(free) char *header = path_stat_header(doc);
	scoped(path_stat) struct path_stat back = {0};
	struct err e;

	assert_int_equal(path_stat_parse(header, &back, &e), 0);

	assert_string_equal(back.name, s.name);
	assert_string_equal(back.link_target, s.link_target);
	assert_int_equal(back.mode, s.mode);
	assert_true(back.size == s.size && back.mtime_ns == s.mtime_ns);
}

static void what_is_no_stat_is_refused(void **state)
{
	static const char *const wrong[] = {"", "!", "e30",
		"W10=", "eyJtb2RlIjotMX0=", "eyJuYW1lIjoxfQ==", "eyJtdGltZSI6IngifQ=="};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct path_stat s = {0};
		struct err e;
		int r = path_stat_parse(wrong[i], &s, &e);
		bool empty = strcmp(wrong[i], "e30") == 0; /* {} */
		assert_int_equal(r, empty ? 0 : -1);
		path_stat_deinit(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modes_are_those_of_go),
		cmocka_unit_test(a_header_comes_back_as_it_went),
		cmocka_unit_test(what_is_no_stat_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
