#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "oci/filter.h"

static const char profile[] = "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}";

struct folders {
	char top[64];
	char *filters, *crun;
};

static int make_folders(void **state)
{
	struct folders *f = xnew(struct folders);
	snprintf(f->top, sizeof(f->top), "/tmp/wherry-filter.XXXXXX");
	assert_non_null(mkdtemp(f->top));
	f->filters = xasprintf("%s/filters", f->top);
	f->crun = xasprintf("%s/crun", f->top);
	*state = f;
	return 0;
}

static int remove_folders(void **state)
{
	struct folders *f = *state;
	path_remove_tree(AT_FDCWD, f->top);
	free(f->filters);
	free(f->crun);
	free(f);
	return 0;
}

/* As crun leaves it for the container "box". */
static void compiled(const struct folders *f, const char *data, size_t n)
{
	scoped(free) char *dir = xasprintf("%s/box", f->crun);
	scoped(free) char *file = xasprintf("%s/seccomp.bpf", dir);
	assert_int_equal(path_mkdirs(dir, 0700), 0);
	assert_int_equal(path_write(AT_FDCWD, file, data, n, 0600, false), 0);
}

static void what_was_compiled_once_is_there_the_next_time(void **state)
{
	struct folders *f = *state;
	char key[OCI_FILTER_KEY_LEN + 1];
	oci_filter_key(profile, key);
	assert_null(oci_filter_read(f->filters, key));
	compiled(f, "\x06\0\0\0\0\0\xff\x7f", 8);
	oci_filter_keep(f->filters, key, f->crun, "box");
	scoped(free) char *filter = oci_filter_read(f->filters, key);
	assert_string_equal(filter, "BgAAAAAA/38=");
}

static void another_profile_has_another_filter(void **state)
{
	struct folders *f = *state;
	char key[OCI_FILTER_KEY_LEN + 1], other[OCI_FILTER_KEY_LEN + 1];
	oci_filter_key(profile, key);
	oci_filter_key("{\"defaultAction\":\"SCMP_ACT_ERRNO\"}", other);
	compiled(f, "12345678", 8);
	oci_filter_keep(f->filters, key, f->crun, "box");
	assert_null(oci_filter_read(f->filters, other));
}

static void half_a_filter_is_not_kept(void **state)
{
	struct folders *f = *state;
	char key[OCI_FILTER_KEY_LEN + 1];
	oci_filter_key(profile, key);
	oci_filter_keep(f->filters, key, f->crun, "box"); /* there is none */
	compiled(f, "", 0);
	oci_filter_keep(f->filters, key, f->crun, "box");
	compiled(f, "1234567", 7);
	oci_filter_keep(f->filters, key, f->crun, "box");
	assert_null(oci_filter_read(f->filters, key));
}

static void ever_new_profiles_are_kept_up_to_a_number(void **state)
{
	struct folders *f = *state;
	scoped(strv) struct strv names = STRV_INIT;
	compiled(f, "12345678", 8);
	for (int i = 0; i < 100; i++) {
		char key[OCI_FILTER_KEY_LEN + 1], text[16];
		snprintf(text, sizeof(text), "%d", i);
		oci_filter_key(text, key);
		oci_filter_keep(f->filters, key, f->crun, "box");
	}
	scoped(close) int fd = open(f->filters, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(path_list(fd, &names), 0);
	assert_int_equal(names.n, 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_compiled_once_is_there_the_next_time,
			make_folders, remove_folders),
		cmocka_unit_test_setup_teardown(
			another_profile_has_another_filter, make_folders, remove_folders),
		cmocka_unit_test_setup_teardown(
			half_a_filter_is_not_kept, make_folders, remove_folders),
		cmocka_unit_test_setup_teardown(
			ever_new_profiles_are_kept_up_to_a_number, make_folders, remove_folders),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
