/* Tars that come back from directory and recipe; the odd forms of headers are in
 * tests/fuzz/corpus/unpack. */
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

#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/path.h"
#include "tree/recipe.h"
#include "tree/stream.h"
#include "tree/unpack.h"
#include "worker/diff.h"

#define BIG 300000 /* more than a chunk of the stream */

/* --- a tar of our own --- */

static void add_zeros(struct buf *tar, size_t n)
{
	memset(buf_room(tar, n), 0, n);
	buf_added(tar, n);
}

static void add_header(struct buf *tar, const char *name, char type, size_t size, const char *link)
{
	char h[512] = {0};
	unsigned sum = 0;
	snprintf(h, 100, "%s", name);
	snprintf(h + 100, 8, "%07o", type == '5' ? 0755 : 0644);
	snprintf(h + 108, 8, "%07o", (unsigned)geteuid());
	snprintf(h + 116, 8, "%07o", (unsigned)getegid());
	snprintf(h + 124, 12, "%011zo", size);
	snprintf(h + 136, 12, "%011o", 1700000000u);
	h[156] = type;
	snprintf(h + 157, 100, "%s", link);
	memcpy(h + 257, "ustar\00000", 8);
	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < sizeof(h); i++) {
		sum += (unsigned char)h[i];
	}
	snprintf(h + 148, 8, "%06o", sum);
	buf_append(tar, h, sizeof(h));
}

/* Content that is different for each seed, and does not compress. */
static void add_file(struct buf *tar, const char *name, size_t size, unsigned seed)
{
	add_header(tar, name, '0', size, "");
	char *p = buf_room(tar, size);
	for (size_t i = 0; i < size; i++) {
		seed = seed * 1103515245u + 12345u;
		p[i] = (char)(seed >> 16);
	}
	buf_added(tar, size);
	add_zeros(tar, (512 - size % 512) % 512);
}

static void end_tar(struct buf *tar)
{
	add_zeros(tar, 1024);
}

/* --- a layer in a directory --- */

struct fixture {
	char top[40];
	int layers;
	size_t piece;      /* what one read of the tar gives at most */
	int64_t tar_bytes; /* as the recipe that was read last says */
	struct err e;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	strcpy(f->top, "/tmp/unit-recipe.XXXXXX");
	f->piece = 1 << 20;
	f->layers = mkdtemp(f->top) ? open(f->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	*state = f;
	return f->layers < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	close(f->layers);
	path_remove_tree(AT_FDCWD, f->top);
	free(f);
	return 0;
}

struct source {
	struct stream base;
	const struct buf *tar;
	size_t at, piece;
};

static ssize_t source_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct source *m = container_of(s, struct source, base);
	size_t left = m->tar->len - m->at;
	n = n < left ? n : left;
	n = n < m->piece ? n : m->piece;
	memcpy(data, m->tar->data + m->at, n);
	m->at += n;
	return (ssize_t)n;
}

static int make_layer(struct fixture *f, const struct buf *tar)
{
	struct unpack_result made;
	struct source in = {{source_read, NULL}, tar, 0, f->piece};
	path_remove_tree(f->layers, "x");
	path_remove_tree(f->layers, "x.recipe");
	assert_int_equal(mkdirat(f->layers, "x", 0755), 0);
	scoped(close) int root = openat(f->layers, "x", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped(recipe_writer_free) struct recipe_writer *w =
		recipe_writer_new(f->layers, "x.recipe", &f->e);
	assert_non_null(w);
	return unpack_layer(root, &in.base, true, w, &made, &f->e);
}

static int read_layer(struct fixture *f, struct buf *ret)
{
	char chunk[5000];
	scoped(stream_free) struct stream *s = recipe_open(f->layers, "x", &f->e);
	ssize_t n = s ? 1 : -1;
	f->tar_bytes = s ? recipe_tar_bytes(s) : -1;
	while (n > 0) {
		n = stream_read(s, chunk, sizeof(chunk), &f->e);
		buf_append(ret, chunk, n > 0 ? (size_t)n : 0);
	}
	return (int)n;
}

static size_t recipe_bytes(const struct fixture *f)
{
	struct stat st;
	assert_int_equal(fstatat(f->layers, "x.recipe", &st, 0), 0);
	return (size_t)st.st_size;
}

static void assert_comes_back(struct fixture *f, const struct buf *tar)
{
	static const size_t pieces[] = {1 << 20, 65536, 700, 13};
	for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
		scoped(buf) struct buf again = BUF_INIT;
		f->piece = pieces[i];
		assert_int_equal(make_layer(f, tar), 0);
		assert_int_equal(read_layer(f, &again), 0);
		assert_int_equal(again.len, tar->len);
		assert_int_equal(f->tar_bytes, tar->len);
		assert_memory_equal(again.data, tar->data, tar->len);
	}
}

/* --- tests --- */

static void a_layer_comes_back_and_its_recipe_is_small(void **state)
{
	struct fixture *f = *state;
	scoped(buf) struct buf tar = BUF_INIT;
	add_header(&tar, "./d/", '5', 0, "");
	add_file(&tar, "./d/big", BIG, 1);
	add_file(&tar, "./empty", 0, 1);
	for (int i = 0; i < 100; i++) {
		char name[20];
		snprintf(name, sizeof(name), "d/small%d", i);
		add_file(&tar, name, (size_t)(1000 + i), (unsigned)i);
	}
	add_header(&tar, "link", '2', 0, "d/big");
	add_header(&tar, "hard", '1', 0, "d/big");
	end_tar(&tar);

	assert_comes_back(f, &tar);

	assert_true(recipe_bytes(f) < 4096); /* of 400 KB that do not compress */
}

static void a_file_that_is_replaced_comes_back(void **state)
{
	struct fixture *f = *state;
	scoped(buf) struct buf tar = BUF_INIT;
	add_file(&tar, "a", BIG, 1);
	add_header(&tar, "hard", '1', 0, "a");
	add_file(&tar, "a", 70000, 2);
	add_file(&tar, "a", 100, 3);
	add_file(&tar, "hard", 200, 4);
	add_header(&tar, "a", '2', 0, "hard");
	add_file(&tar, "b", 300, 5);
	end_tar(&tar);

	assert_comes_back(f, &tar);
}

static void a_directory_that_is_replaced_comes_back(void **state)
{
	struct fixture *f = *state;
	scoped(buf) struct buf tar = BUF_INIT;
	add_file(&tar, "d/e/f", 5000, 1);
	add_file(&tar, "d/g", 6000, 2);
	add_file(&tar, "d", 7000, 3);
	add_file(&tar, "x", 8000, 4);
	end_tar(&tar);

	assert_comes_back(f, &tar);
}

/* The path of a file must not depend on a link that leads elsewhere later. */
static void a_file_below_a_link_that_changes_comes_back(void **state)
{
	struct fixture *f = *state;
	scoped(buf) struct buf tar = BUF_INIT;
	add_header(&tar, "one/", '5', 0, "");
	add_header(&tar, "two/", '5', 0, "");
	add_header(&tar, "link", '2', 0, "one");
	add_file(&tar, "link/f", 5000, 1);
	add_header(&tar, "link", '2', 0, "/two");
	add_file(&tar, "link/f", 6000, 2);
	end_tar(&tar);

	assert_comes_back(f, &tar);

	assert_true(recipe_bytes(f) < 2000);
}

static void what_follows_the_end_comes_back(void **state)
{
	struct fixture *f = *state;
	scoped(buf) struct buf tar = BUF_INIT;
	add_file(&tar, "a", 5000, 1);
	end_tar(&tar);
	add_file(&tar, "b", BIG, 2);
	end_tar(&tar);
	buf_puts(&tar, "garbage");

	assert_comes_back(f, &tar);
}

static void a_tar_without_its_last_padding_comes_back(void **state)
{
	struct fixture *f = *state;
	scoped(buf) struct buf tar = BUF_INIT;
	add_file(&tar, "a", 70000, 1);
	tar.len -= (512 - 70000 % 512) % 512;

	assert_comes_back(f, &tar);
}

static void files_with_names_of_no_file_come_back(void **state)
{
	struct fixture *f = *state;
	scoped(buf) struct buf tar = BUF_INIT;
	add_file(&tar, "a/.wh.b", 0, 0);
	add_file(&tar, "a/.wh..wh..opq", 0, 0);
	add_file(&tar, ".wh..wh.plnk", 3000, 1);
	end_tar(&tar);

	assert_comes_back(f, &tar);
}

static void a_layer_that_is_packed_comes_back(void **state)
{
	struct fixture *f = *state;
	scoped(buf) struct buf tar = BUF_INIT;
	struct diff_result made;
	char digest[STREAM_DIGEST_LEN + 1];
	add_file(&tar, "d/big", BIG, 1);
	add_header(&tar, "d/hard", '1', 0, "d/big");
	add_file(&tar, "d/empty", 0, 1);
	add_file(&tar, "small", 10, 2);
	end_tar(&tar);
	assert_int_equal(make_layer(f, &tar), 0);
	assert_int_equal(unlinkat(f->layers, "x.recipe", 0), 0);
	scoped(close) int root = openat(f->layers, "x", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	struct recipe_writer *w = recipe_writer_new(f->layers, "x.recipe", &f->e);
	assert_int_equal(diff_hash(root, w, &made, &f->e), 0);
	recipe_writer_free(w);

	struct stream *s = recipe_open(f->layers, "x", &f->e);
	struct stream *hashed = stream_digest_new(s);
	assert_int_equal(stream_drain(hashed, &f->e), 0);
	stream_digest_text(hashed, digest);
	assert_string_equal(digest, made.diff_id);
	assert_true(recipe_bytes(f) < 2000);
	stream_free(hashed);
	stream_free(s);
}

static void damage_is_found(void **state)
{
	struct fixture *f = *state;
	scoped(buf) struct buf tar = BUF_INIT;
	scoped(buf) struct buf again = BUF_INIT;
	add_file(&tar, "a", 70000, 1);
	add_file(&tar, "a", 70000, 2);
	end_tar(&tar);
	assert_int_equal(make_layer(f, &tar), 0);
	assert_int_equal(unlinkat(f->layers, "x/a", 0), 0);

	assert_int_equal(read_layer(f, &again), -1);
	assert_int_equal(f->e.kind, ERR_INVALID);
	assert_string_equal(f->e.msg, "the file a of layer x is missing or damaged");

	assert_int_equal(path_write(f->layers, "x/a", "short", 5, 0600, false), 0);
	assert_int_equal(read_layer(f, &again), -1);
	assert_string_equal(f->e.msg, "the file a of layer x is missing or damaged");

	assert_int_equal(make_layer(f, &tar), 0);
	scoped(buf) struct buf recipe = BUF_INIT;
	assert_int_equal(path_read(f->layers, "x.recipe", 1 << 20, &recipe), 0);
	for (size_t at = 0; at < recipe.len; at += at < 300 ? 1 : 997) {
		buf_clear(&again);
		recipe.data[at] ^= 0x10;
		path_write(f->layers, "x.recipe", recipe.data, recipe.len, 0600, false);
		recipe.data[at] ^= 0x10;
		if (read_layer(f, &again) < 0) {
			assert_string_equal(f->e.msg, "the recipe of layer x is damaged");
		} else { /* a bit of zstd's header that means nothing */
			assert_int_equal(again.len, tar.len);
			assert_memory_equal(again.data, tar.data, tar.len);
		}
	}
	path_write(f->layers, "x.recipe", recipe.data, recipe.len / 2, 0600, false);
	assert_int_equal(read_layer(f, &again), -1);
	assert_string_equal(f->e.msg, "the recipe of layer x is damaged");
}

static void a_layer_without_a_recipe_says_so(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(mkdirat(f->layers, "x", 0755), 0);

	assert_null(recipe_open(f->layers, "x", &f->e));

	assert_int_equal(f->e.kind, ERR_NOT_FOUND);
	assert_non_null(strstr(f->e.msg, "has no recipe"));
	assert_null(recipe_open(f->layers, "y", &f->e));
	assert_int_equal(f->e.kind, ERR_NOT_FOUND);
}

static void a_recipe_that_was_not_finished_is_damaged(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(mkdirat(f->layers, "x", 0755), 0);
	recipe_writer_free(recipe_writer_new(f->layers, "x.recipe", &f->e));

	assert_null(recipe_open(f->layers, "x", &f->e));

	assert_int_equal(f->e.kind, ERR_INVALID);
}

/* A long path, by links to links: each file that is replaced costs the reader this much. Fewer than
 * 20: the kernel counts links twice towards its limit of 40 when it must look a second time. */
static void add_deep_directory(struct buf *tar, int levels, char ret_last[static 8])
{
	char component[91], name[120], link[8] = ".";
	memset(component, 'c', 90);
	component[90] = '\0';
	for (int i = 0; i < levels; i++) {
		snprintf(name, sizeof(name), "%s/%s", link, component);
		add_header(tar, name, '5', 0, "");
		snprintf(link, sizeof(link), "l%d", i);
		add_header(tar, link, '2', 0, name);
	}
	memcpy(ret_last, link, 8);
}

static void a_tar_that_replaces_without_end_is_refused(void **state)
{
	struct fixture *f = *state;
	scoped(buf) struct buf tar = BUF_INIT;
	char link[8], name[20];
	add_deep_directory(&tar, 15, link);
	snprintf(name, sizeof(name), "%s/a", link);
	for (unsigned i = 0; i < 5 + RECIPE_LOST_NAMES_MAX / (15 * 91); i++) {
		add_file(&tar, name, 0, 0);
	}
	end_tar(&tar);

	assert_int_equal(make_layer(f, &tar), -1);

	assert_string_equal(
		f->e.msg, "invalid archive: it replaces more than 100000 of its own files");
	assert_int_equal(f->e.kind, ERR_INVALID);
}

static void a_path_that_no_recipe_takes_comes_back(void **state)
{
	struct fixture *f = *state;
	scoped(buf) struct buf tar = BUF_INIT;
	char link[8], name[20];
	add_deep_directory(&tar, 18, link);
	snprintf(name, sizeof(name), "%s/a", link);
	add_file(&tar, name, 100, 1);
	add_file(&tar, name, 200, 2);
	add_header(&tar, "b", '1', 0, name);
	end_tar(&tar);

	assert_comes_back(f, &tar);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_layer_comes_back_and_its_recipe_is_small),
		TEST(a_file_that_is_replaced_comes_back),
		TEST(a_directory_that_is_replaced_comes_back),
		TEST(a_file_below_a_link_that_changes_comes_back),
		TEST(what_follows_the_end_comes_back),
		TEST(a_tar_without_its_last_padding_comes_back),
		TEST(files_with_names_of_no_file_come_back),
		TEST(a_layer_that_is_packed_comes_back),
		TEST(damage_is_found),
		TEST(a_layer_without_a_recipe_says_so),
		TEST(a_recipe_that_was_not_finished_is_damaged),
		TEST(a_tar_that_replaces_without_end_is_refused),
		TEST(a_path_that_no_recipe_takes_comes_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
