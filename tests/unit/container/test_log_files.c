/* The way from one file of a log to the next, while the shim renames, compresses and deletes them.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "container/log_files.h"

struct place {
	char folder[64];
	char *path;
};

static int setup(void **state)
{
	struct place *p = xnew(struct place);
	strcpy(p->folder, "/tmp/wherry-log-files-XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	p->path = xasprintf("%s/c.log", p->folder);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	path_remove_tree(AT_FDCWD, p->folder);
	free(p->path);
	free(p);
	return 0;
}

static char *name(const struct place *p, int number, const char *end)
{
	return number ? xasprintf("%s.%d%s", p->path, number, end) : xstrdup(p->path);
}

static void make(const struct place *p, int number, const char *text)
{
	scoped(free) char *file = name(p, number, "");
	assert_int_equal(path_write(AT_FDCWD, file, text, strlen(text), 0600, false), 0);
}

/* As the shim: from the top. */
static void rotate(const struct place *p, int highest)
{
	for (int i = highest; i >= 0; i--) {
		scoped(free) char *from = name(p, i, "");
		scoped(free) char *to = name(p, i + 1, "");
		assert_int_equal(rename(from, to), 0);
	}
}

/* The head that wherry-worker's compress-log writes. */
static void pack(const struct place *p, int number)
{
	unsigned char head[LOG_GZ_HEAD] = {0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 3, 12, 0, 'W', 'L', 8};
	scoped(free) char *plain = name(p, number, "");
	scoped(free) char *packed = name(p, number, ".gz");
	struct stat st;
	assert_int_equal(stat(plain, &st), 0);
	for (int i = 0; i < 8; i++) {
		head[16 + i] = (unsigned char)((uint64_t)st.st_ino >> (8 * i));
	}
	assert_int_equal(path_write(AT_FDCWD, packed, head, sizeof(head), 0600, false), 0);
	assert_int_equal(unlink(plain), 0);
}

static char first_byte(const struct log_file *f)
{
	char c = 0;
	assert_int_equal(pread(f->fd, &c, 1, 0), 1);
	return c;
}

static void a_file_is_followed_as_it_moves(void **state)
{
	struct place *p = *state;
	struct log_file f;
	struct log_file next;
	make(p, 0, "a");
	assert_int_equal(log_file_open(p->path, 0, &f), 0);
	assert_int_equal(log_file_next(p->path, &f, &next), -EAGAIN);

	rotate(p, 0);
	make(p, 0, "b");
	rotate(p, 1);
	make(p, 0, "c");

	assert_int_equal(log_file_place(p->path, &f), 2);
	assert_int_equal(log_file_next(p->path, &f, &next), 0);
	assert_int_equal(first_byte(&next), 'b');
	close(f.fd);
	close(next.fd);
}

/* Between two renames a number is missing. */
static void a_gap_is_a_rotation_not_an_end(void **state)
{
	struct place *p = *state;
	struct log_file f;
	struct log_file next;
	make(p, 0, "a");
	assert_int_equal(log_file_open(p->path, 0, &f), 0);
	rotate(p, 0);

	assert_int_equal(log_file_next(p->path, &f, &next), -EBUSY);
	assert_int_equal(log_file_oldest(p->path), 1);

	close(f.fd);
}

static void a_file_that_was_compressed_meanwhile_keeps_its_place(void **state)
{
	struct place *p = *state;
	struct log_file f;
	struct log_file next;
	struct log_file packed;
	make(p, 2, "a");
	make(p, 1, "b");
	make(p, 0, "c");
	assert_int_equal(log_file_open(p->path, 2, &f), 0);
	pack(p, 2);

	assert_int_equal(log_file_place(p->path, &f), 2);
	assert_int_equal(log_file_next(p->path, &f, &next), 0);
	assert_int_equal(first_byte(&next), 'b');
	assert_int_equal(log_file_open(p->path, 2, &packed), 0);
	assert_true(packed.gz);
	assert_int_equal(packed.content_ino, f.ino);
	assert_int_equal(log_file_place(p->path, &packed), 2);
	close(f.fd);
	close(next.fd);
	close(packed.fd);
}

static void a_deleted_file_is_gone(void **state)
{
	struct place *p = *state;
	struct log_file f;
	struct log_file next;
	make(p, 1, "a");
	make(p, 0, "b");
	assert_int_equal(log_file_open(p->path, 1, &f), 0);
	scoped(free) char *first = name(p, 1, "");
	unlink(first);

	assert_int_equal(log_file_place(p->path, &f), -1);
	assert_int_equal(log_file_next(p->path, &f, &next), -ENOENT);
	assert_int_equal(log_file_oldest(p->path), 0);
	close(f.fd);
}

static void another_programs_gzip_names_no_inode(void **state)
{
	static const unsigned char plain[LOG_GZ_HEAD] = {0x1f, 0x8b, 8, 0};
	static const unsigned char other[LOG_GZ_HEAD] = {
		0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 3, 12, 0, 'X', 'L', 8, 0, 1};
	assert_int_equal(log_gz_inode(plain), 0);
	assert_int_equal(log_gz_inode(other), 0);
}

static void a_reader_is_seen_as_long_as_it_reads(void **state)
{
	struct place *p = *state;
	scoped(free) char *lock = xasprintf("%s.readers", p->path);
	int one = log_files_hold(p->path);
	int two = log_files_hold(p->path);
	assert_true(one >= 0 && two >= 0);
	scoped(close) int shim = open(lock, O_RDONLY | O_CLOEXEC);

	close(one);
	assert_int_equal(flock(shim, LOCK_EX | LOCK_NB), -1);
	close(two);
	assert_int_equal(flock(shim, LOCK_EX | LOCK_NB), 0);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(a_file_is_followed_as_it_moves),
		IN_PLACE(a_gap_is_a_rotation_not_an_end),
		IN_PLACE(a_file_that_was_compressed_meanwhile_keeps_its_place),
		IN_PLACE(a_deleted_file_is_gone),
		cmocka_unit_test(another_programs_gzip_names_no_inode),
		IN_PLACE(a_reader_is_seen_as_long_as_it_reads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
