/* Copies of a context's files by hard links. */
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

#include "base/path.h"
#include "base/scoped.h"
#include "worker/copy.h"

struct fixture {
	char top[40];
	int top_fd, from, to;
	struct copy_options o;
	struct err e;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	strcpy(f->top, "/tmp/unit-copy.XXXXXX");
	assert_non_null(mkdtemp(f->top));
	f->top_fd = open(f->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(f->top_fd, "from", 0755), 0);
	assert_int_equal(mkdirat(f->top_fd, "to", 0755), 0);
	f->from = openat(f->top_fd, "from", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->to = openat(f->top_fd, "to", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->o.link = true;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	close(f->from);
	close(f->to);
	close(f->top_fd);
	path_remove_tree(AT_FDCWD, f->top);
	free(f);
	return 0;
}

static void file(int dir, const char *name, const char *content)
{
	assert_int_equal(path_write(dir, name, content, strlen(content), 0644, false), 0);
}

static ino_t inode(int dir, const char *name)
{
	struct stat st;
	assert_int_equal(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_ino;
}

static void assert_content(struct fixture *f, const char *name, const char *want)
{
	scoped(buf) struct buf b = BUF_INIT;
	assert_int_equal(path_read(f->to, name, 4096, &b), 0);
	assert_string_equal(buf_str(&b), want);
}

/* Sources to destinations, in pairs. */
static void copy_all(struct fixture *f, const char *const *pairs, size_t n)
{
	scoped(copy_free) struct copy *c = copy_new(f->from, f->to, &f->o);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(
			copy_dir_content(c, pairs[2 * i], pairs[2 * i + 1], false, &f->e), 0);
	}
	assert_true(copy_later_is_needed(c));
	assert_int_equal(copy_later_run(c, f->from, f->to, &f->e), 0);
}

static void new_files_are_names_of_the_sources(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(mkdirat(f->from, "d", 0750), 0);
	file(f->from, "d/x", "x");
	assert_int_equal(symlinkat("x", f->from, "d/l"), 0);
	file(f->from, "there", "new");
	file(f->to, "there", "old");

	copy_all(f, (const char *[]){".", "."}, 1);

	struct stat st;
	assert_int_equal(inode(f->to, "d/x"), inode(f->from, "d/x"));
	assert_int_equal(fstatat(f->to, "d", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(fstatat(f->to, "d/l", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISLNK(st.st_mode));
	/* what an overlay has to cover is copied through it */
	assert_content(f, "there", "new");
	assert_true(inode(f->to, "there") != inode(f->from, "there"));
}

static mode_t executable(void *owner, mode_t mode)
{
	return mode | 0111;
}

static void another_mode_is_another_file(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	file(f->from, "x", "x");
	f->o.mode = executable;

	copy_all(f, (const char *[]){".", "."}, 1);

	assert_content(f, "x", "x");
	assert_int_equal(fstatat(f->from, "x", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(fstatat(f->to, "x", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
}

static void two_copies_of_one_file_are_two_files(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(mkdirat(f->from, "d", 0755), 0);
	assert_int_equal(mkdirat(f->from, "d/sub", 0755), 0);
	file(f->from, "d/sub/x", "x");
	/* a layer of an earlier build has it, too */
	assert_int_equal(linkat(f->from, "d/sub/x", f->top_fd, "layer", 0), 0);

	copy_all(f, (const char *[]){"d", ".", "d/sub", "."}, 2);

	assert_content(f, "x", "x");
	assert_content(f, "sub/x", "x");
	assert_true(inode(f->to, "x") != inode(f->to, "sub/x"));
}

static void names_of_one_source_stay_one_file(void **state)
{
	struct fixture *f = *state;
	file(f->from, "a", "a");
	assert_int_equal(linkat(f->from, "a", f->from, "b", 0), 0);

	copy_all(f, (const char *[]){".", "."}, 1);

	assert_int_equal(inode(f->to, "a"), inode(f->to, "b"));
}

static enum copy_verdict skip_x(void *owner, const char *top, const char *path)
{
	return strcmp(path, "d/x") == 0 ? COPY_SKIP : COPY_TAKE;
}

static void what_is_left_out_stays_out(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	assert_int_equal(mkdirat(f->from, "d", 0755), 0);
	file(f->from, "d/x", "x");
	file(f->from, "d/y", "y");
	f->o.filter = skip_x;

	copy_all(f, (const char *[]){".", "."}, 1);

	assert_content(f, "d/y", "y");
	assert_int_equal(fstatat(f->to, "d/x", &st, 0), -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(new_files_are_names_of_the_sources),
		TEST(another_mode_is_another_file),
		TEST(two_copies_of_one_file_are_two_files),
		TEST(names_of_one_source_stay_one_file),
		TEST(what_is_left_out_stays_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
