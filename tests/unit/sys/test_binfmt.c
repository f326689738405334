/* Handlers of binfmt_misc, as text and in a directory that stands for it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "sys/binfmt.h"

/* As the kernel shows what Debian registers. */
#define ARM_MAGIC "offset 0\nmagic 7f454c4601010100000000000000000002002800\n"
#define ARM_MASK "mask ffffffffffffff00fffffffffffffffffeffffff\n"

static void rules_are_those_of_qemu(void **state)
{
	static const struct {
		const char *arch, *rule;
	} cases[] = {
		{"arm", ":q:M::\\x7f\\x45\\x4c\\x46\\x01\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00"
			"\\x02\\x00\\x28\\x00:\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff"
			"\\xff\\xff\\xfe\\xff\\xff\\xff:/q:OPF"},
		{"s390x",
			":q:M::\\x7f\\x45\\x4c\\x46\\x02\\x02\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00"
			"\\x00\\x02\\x00\\x16:\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff"
			"\\xff\\xff\\xff\\xfe\\xff\\xff:/q:OPF"},
		{"loong64",
			":q:M::\\x7f\\x45\\x4c\\x46\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00"
			"\\x02\\x00\\x02\\x01:\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff"
			"\\xff\\xff\\xfe\\xff\\xff\\xff:/q:OPF"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(buf) struct buf rule = BUF_INIT;
		binfmt_rule(cases[i].arch, "q", "/q", "OPF", &rule);
		assert_string_equal(buf_str(&rule), cases[i].rule);
	}
}

static void a_handler_must_work_in_any_root(void **state)
{
	static const struct {
		const char *entry;
		bool arm;
	} cases[] = {
		{"enabled\ninterpreter /q\nflags: POCF\n" ARM_MAGIC ARM_MASK, true},
		{"enabled\ninterpreter /q\nflags: OC\n" ARM_MAGIC ARM_MASK, false},
		{"disabled\ninterpreter /q\nflags: F\n" ARM_MAGIC ARM_MASK, false},
		{"enabled\ninterpreter /q\nflags: F\n" ARM_MAGIC, false}, /* no PIE */
		{"enabled\ninterpreter /q\nflags: F\noffset 0\nmagic 7f454c4602010100000000000000000002003e00\n" ARM_MASK,
			false},
		{"enabled\ninterpreter /q\nflags: F\noffset 0\nmagic 7f454c46\n",
			false}, /* all of ELF? */
		{"enabled\ninterpreter /q\nflags: F\nextension .jar\n", false},
		{"enabled\n", false},
		{"", false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (binfmt_handles(cases[i].entry, "arm") != cases[i].arm) {
			fail_msg("case %zu", i);
		}
		assert_false(binfmt_handles(cases[i].entry, "arm64"));
		assert_false(binfmt_handles(cases[i].entry, "z80"));
	}
}

static void put(const char *dir, const char *name, const char *text, mode_t mode)
{
	scoped(close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(path_write(fd, name, text, strlen(text), mode, false), 0);
}

static void what_is_missing_is_said(void **state)
{
	char dir[] = "/tmp/wherry-unit.XXXXXX";
	assert_non_null(mkdtemp(dir));
	const struct binfmt_paths p = {dir, dir, dir};
	put(dir, "status", "enabled\n", 0644);
	put(dir, "register", "", 0644);

	assert_int_equal(binfmt_ensure(&p, "z80"), -ENOSYS);
	assert_int_equal(binfmt_ensure(&p, "arm"), -ENOENT);

	put(dir, "qemu-arm-static", "", 0755);
	assert_int_equal(binfmt_ensure(&p, "arm"), 1);
	scoped(buf) struct buf rule = BUF_INIT;
	scoped(close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(path_read(fd, "register", 4096, &rule), 0);
	assert_non_null(strstr(buf_str(&rule), ":wherry-qemu-arm:M::"));
	assert_non_null(strstr(buf_str(&rule), "/qemu-arm-static:OF"));

	put(dir, "qemu-arm", "enabled\ninterpreter /q\nflags: F\n" ARM_MAGIC ARM_MASK, 0644);
	assert_int_equal(binfmt_ensure(&p, "arm"), 0);

	put(dir, "status", "disabled\n", 0644);
	assert_int_equal(binfmt_ensure(&p, "arm"), -EPERM);
	path_remove_tree(AT_FDCWD, dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_are_those_of_qemu),
		cmocka_unit_test(a_handler_must_work_in_any_root),
		cmocka_unit_test(what_is_missing_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
