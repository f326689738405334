/* Directories against the tars they were made of, as tree/unpack.h makes them. */
#include <archive.h>
#include <archive_entry.h>
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

#include "base/list.h"
#include "base/path.h"
#include "tree/check.h"
#include "tree/stream.h"
#include "tree/unpack.h"

#define TAR_MAX 65536

struct fixture {
	char top[40];
	int root;
	struct archive *a;
	char tar[TAR_MAX];
	size_t n;
	char words[CHECK_WORDS_MAX];
	struct err e;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	strcpy(f->top, "/tmp/unit-check.XXXXXX");
	f->root = mkdtemp(f->top) ? open(f->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	f->a = archive_write_new();
	archive_write_set_format_pax(f->a);
	archive_write_open_memory(f->a, f->tar, sizeof(f->tar), &f->n);
	*state = f;
	return f->root < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	close(f->root);
	path_remove_tree(AT_FDCWD, f->top);
	free(f);
	return 0;
}

/* to: contents of a file, target of a link. */
static void add(struct fixture *f, const char *name, mode_t type, const char *to)
{
	struct archive_entry *entry = archive_entry_new();
	archive_entry_set_pathname(entry, name);
	archive_entry_set_mode(entry, (type ? type : S_IFREG) | (type == S_IFDIR ? 0755 : 0644));
	archive_entry_set_uid(entry, geteuid());
	archive_entry_set_gid(entry, getegid());
	archive_entry_set_mtime(entry, 1700000000, 123456789);
	archive_entry_set_size(entry, type == S_IFREG ? (la_int64_t)strlen(to) : 0);
	if (type == S_IFLNK) {
		archive_entry_set_symlink(entry, to);
	} else if (type == 0) {
		archive_entry_set_hardlink(entry, to);
	}
	assert_int_equal(archive_write_header(f->a, entry), ARCHIVE_OK);
	if (type == S_IFREG) {
		archive_write_data(f->a, to, strlen(to));
	}
	archive_entry_free(entry);
}

struct text_stream {
	struct stream base;
	const char *text;
	size_t n;
};

static ssize_t text_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct text_stream *t = container_of(s, struct text_stream, base);
	n = t->n < n ? t->n : n;
	memcpy(data, t->text, n);
	t->text += n;
	t->n -= n;
	return (ssize_t)n;
}

static void unpack(struct fixture *f)
{
	struct unpack_result made;
	archive_write_close(f->a);
	archive_write_free(f->a);
	struct text_stream t = {{text_read, NULL}, f->tar, f->n};
	assert_int_equal(unpack_layer(f->root, &t.base, false, NULL, &made, &f->e), 0);
}

static int check(struct fixture *f)
{
	struct text_stream t = {{text_read, NULL}, f->tar, f->n};
	return check_directory(f->root, &t.base, f->words, &f->e);
}

static void add_some(struct fixture *f)
{
	add(f, "d", S_IFDIR, "");
	add(f, "d/file", S_IFREG, "contents");
	add(f, "d/link", S_IFLNK, "file");
	add(f, "hard", 0, "d/file");
	add(f, "implied/parents/file", S_IFREG, "");
	add(f, "pipe", S_IFIFO, "");
}

static void what_was_unpacked_fits(void **state)
{
	struct fixture *f = *state;
	add_some(f);
	unpack(f);

	assert_int_equal(check(f), 0);
}

static void what_a_later_entry_replaced_is_not_missed(void **state)
{
	struct fixture *f = *state;
	add_some(f);
	add(f, "d/file", S_IFREG, "other, longer contents");
	add(f, "implied/parents", S_IFREG, "a file where a directory was");
	add(f, "pipe", S_IFDIR, "");
	unpack(f);

	assert_int_equal(check(f), 0);
}

static void a_name_below_a_link_is_looked_for_where_it_leads(void **state)
{
	struct fixture *f = *state;
	add(f, "d", S_IFDIR, "");
	add(f, "to-d", S_IFLNK, "/d");
	add(f, "to-d/file", S_IFREG, "x");
	unpack(f);

	assert_int_equal(check(f), 0);
	assert_int_equal(unlinkat(f->root, "d/file", 0), 0);
	assert_int_equal(check(f), 1);
}

static void what_is_wrong_is_named(void **state)
{
	struct fixture *f = *state;
	const struct timespec past[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	add_some(f);
	unpack(f);

	assert_int_equal(fchmodat(f->root, "pipe", 0600, 0), 0);
	assert_int_equal(check(f), 1);
	assert_string_equal(f->words, "pipe has another mode");
	assert_int_equal(fchmodat(f->root, "pipe", 0644, 0), 0);
	assert_int_equal(utimensat(f->root, "pipe", past, 0), 0);
	assert_int_equal(check(f), 1);
	assert_string_equal(f->words, "pipe has another time");
	assert_int_equal(unlinkat(f->root, "pipe", 0), 0);
	assert_int_equal(check(f), 1);
	assert_string_equal(f->words, "pipe is missing");
	assert_int_equal(mkdirat(f->root, "pipe", 0755), 0);
	assert_int_equal(check(f), 1);
	assert_non_null(strstr(f->words, "pipe is of another kind"));
}

static void strangers_are_seen_and_ways_to_the_layers_own_are_not(void **state)
{
	struct fixture *f = *state;
	add_some(f);
	unpack(f);

	assert_int_equal(mkdirat(f->root, "implied/empty", 0755), 0);
	assert_int_equal(check(f), 1);
	assert_string_equal(f->words, "implied/empty is not of this layer");
	assert_int_equal(unlinkat(f->root, "implied/empty", AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat("x", f->root, "implied/link"), 0);
	assert_int_equal(check(f), 1);
	assert_string_equal(f->words, "implied/link is not of this layer");
}

static void whiteouts_must_hide(void **state)
{
	struct fixture *f = *state;
	if (geteuid() != 0) {
		skip(); /* device nodes and trusted attributes */
	}
	add(f, "d", S_IFDIR, "");
	add(f, "d/.wh..wh..opq", S_IFREG, "");
	add(f, "d/own", S_IFREG, "");
	add(f, ".wh.gone", S_IFREG, "");
	unpack(f);

	assert_int_equal(check(f), 0);
	assert_int_equal(unlinkat(f->root, "gone", 0), 0);
	assert_int_equal(check(f), 1);
	assert_string_equal(f->words, "gone is missing: it hides a file below");
}

static void a_tar_that_ends_early_is_an_error(void **state)
{
	struct fixture *f = *state;
	add(f, "file", S_IFREG, "contents that go beyond the header");
	unpack(f);
	f->n = 700;

	assert_int_not_equal(check(f), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_unpacked_fits),
		TEST(what_a_later_entry_replaced_is_not_missed),
		TEST(a_name_below_a_link_is_looked_for_where_it_leads),
		TEST(what_is_wrong_is_named),
		TEST(strangers_are_seen_and_ways_to_the_layers_own_are_not),
		TEST(whiteouts_must_hide),
		TEST(a_tar_that_ends_early_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
