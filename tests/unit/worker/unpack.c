/* Names and streams; what unpacking does to a file system is tests/integration/image.sh and
 * tests/fuzz/unpack.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "worker/archive_reader.h"
#include "tree/pack.h"
#include "tree/stream.h"
#include "tree/unpack.h"

static void names_mean_a_path_below_the_root(void **state)
{
	static const struct {
		const char *name, *path; /* NULL: refused */
	} cases[] = {
		{"a", "a"},
		{"./a//b/", "a/b"},
		{"/a/b", "a/b"},
		{"///", "."},
		{".", "."},
		{"", "."},
		{"./", "."},
		{"a/../b", "b"},
		{"a/..", "."},
		{"..", NULL},
		{"../a", NULL},
		{"a/../../b", NULL},
		{"./../x", NULL},
		{"/../etc/passwd", "etc/passwd"},
		{"...", "..."},
		{"..a/b", "..a/b"},
		{"a/...", "a/..."},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e;

		scoped(free) char *path = unpack_clean_name(cases[i].name, &e);

		if (cases[i].path) {
			assert_string_equal(path, cases[i].path);
		} else {
			assert_null(path);
			assert_int_equal(e.kind, ERR_INVALID);
		}
	}
}

static int fd_of(const void *data, size_t n)
{
	int fd[2];
	assert_int_equal(pipe(fd), 0);
	assert_true(n <= 65536); /* fits the pipe */
	assert_int_equal(path_write_all(fd[1], data, n), 0);
	close(fd[1]);
	return fd[0];
}

/* Reads a pipe of these bytes through the decompressor, in pieces of 3. */
static int unzip(const void *data, size_t n, struct buf *ret, struct err *e)
{
	int fd = fd_of(data, n);
	struct stream *in = stream_from_fd(fd);
	struct stream *plain = stream_decompress_new(in);
	char piece[3];
	ssize_t got;
	while ((got = stream_read(plain, piece, sizeof(piece), e)) > 0) {
		buf_append(ret, piece, (size_t)got);
	}
	stream_free(plain);
	stream_free(in);
	close(fd);
	return (int)got;
}

static size_t gzip(const char *text, void *ret, size_t room)
{
	z_stream z = {.next_in = (Bytef *)text,
		.avail_in = (unsigned)strlen(text),
		.next_out = ret,
		.avail_out = (unsigned)room};
	assert_int_equal(
		deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

static void plain_bytes_pass_as_they_are(void **state)
{
	static const char *const texts[] = {"", "a", "hello", "\x1f"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		scoped(buf) struct buf out = BUF_INIT;
		struct err e;
		assert_int_equal(unzip(texts[i], strlen(texts[i]), &out, &e), 0);
		assert_string_equal(buf_str(&out), texts[i]);
	}
}

static void gzip_of_several_members_is_one_text(void **state)
{
	char packed[300];
	size_t n = gzip("hello ", packed, sizeof(packed));
	n += gzip("world", packed + n, sizeof(packed) - n);
	scoped(buf) struct buf out = BUF_INIT;
	struct err e;

	assert_int_equal(unzip(packed, n, &out, &e), 0);

	assert_string_equal(buf_str(&out), "hello world");
}

static void gzip_that_is_cut_is_an_error(void **state)
{
	char packed[300];
	size_t n = gzip("hello world, hello world, hello", packed, sizeof(packed));
	for (size_t cut = 2; cut < n; cut++) {
		scoped(buf) struct buf out = BUF_INIT;
		struct err e;
		assert_int_equal(unzip(packed, cut, &out, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

static void gzip_with_a_wrong_checksum_is_an_error(void **state)
{
	char packed[300];
	size_t n = gzip("hello world", packed, sizeof(packed));
	scoped(buf) struct buf out = BUF_INIT;
	struct err e;
	packed[n - 6] ^= 1;

	assert_int_equal(unzip(packed, n, &out, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
}

static void gzip_with_a_long_head_is_read_in_pieces(void **state)
{
	char packed[300], with_head[400] = "\x1f\x8b\x08\x1e\0\0\0\0\0\xff"
					   "\x05\0extraname\0comment\0";
	size_t n = gzip("hello world", packed, sizeof(packed));
	size_t head = 10 + 2 + 5 + 5 + 8;
	uLong crc = crc32(0, (Bytef *)with_head, (unsigned)head);
	with_head[head++] = (char)crc;
	with_head[head++] = (char)(crc >> 8);
	memcpy(with_head + head, packed + 10, n - 10);
	scoped(buf) struct buf out = BUF_INIT;
	struct err e;

	assert_int_equal(unzip(with_head, head + n - 10, &out, &e), 0);
	assert_string_equal(buf_str(&out), "hello world");

	with_head[14] ^= 1; /* in the extra field, which only the head's checksum covers */
	assert_int_equal(unzip(with_head, head + n - 10, &out, &e), -1);
	assert_string_equal(e.msg, "invalid gzip data: header crc mismatch");
}

static void what_follows_gzip_must_be_gzip(void **state)
{
	char packed[300];
	size_t n = gzip("hello world", packed, sizeof(packed));
	scoped(buf) struct buf out = BUF_INIT;
	struct err e;
	memset(packed + n, 0, 20);

	assert_int_equal(unzip(packed, n + 20, &out, &e), -1);
	assert_string_equal(e.msg, "invalid gzip data: incorrect header check");
}

static void compressed(const struct buf *text, size_t piece, unsigned level, struct buf *ret)
{
	int fd = fd_of(text->data, text->len);
	struct stream *in = stream_from_fd(fd);
	struct stream *packed = stream_gzip_new(in, level);
	scoped(free) char *data = xnew_array(char, piece);
	struct err e;
	ssize_t n;
	while ((n = stream_read(packed, data, piece, &e)) > 0) {
		buf_append(ret, data, (size_t)n);
	}
	assert_int_equal(n, 0);
	stream_free(packed);
	stream_free(in);
	close(fd);
}

static void compressing_gives_the_same_bytes_every_time(void **state)
{
	scoped(buf) struct buf text = BUF_INIT;
	for (int i = 0; i < 2500; i++) {
		buf_printf(&text, "line %d of the text\n", i);
	}
	for (unsigned level = 1; level <= 3; level++) {
		scoped(buf) struct buf packed = BUF_INIT;
		scoped(buf) struct buf again = BUF_INIT;
		scoped(buf) struct buf plain = BUF_INIT;
		struct err e;

		compressed(&text, 5, level, &packed);
		compressed(&text, 60000, level, &again);

		assert_int_equal(packed.len, again.len);
		assert_memory_equal(packed.data, again.data, packed.len);
		assert_true(packed.len < text.len / 4);
		assert_memory_equal(packed.data, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
		assert_int_equal(unzip(packed.data, packed.len, &plain, &e), 0);
		assert_string_equal(buf_str(&plain), buf_str(&text));
	}
}

static void compressing_nothing_gives_an_empty_member(void **state)
{
	scoped(buf) struct buf nothing = BUF_INIT;
	scoped(buf) struct buf packed = BUF_INIT;
	scoped(buf) struct buf plain = BUF_INIT;
	struct err e;

	compressed(&nothing, 100, 1, &packed);

	assert_true(packed.len >= 20);
	assert_int_equal(unzip(packed.data, packed.len, &plain, &e), 0);
	assert_int_equal(plain.len, 0);
}

static void a_digest_is_of_what_passed(void **state)
{
	int fd = fd_of("abc", 3);
	struct stream *in = stream_from_fd(fd);
	struct stream *hashed = stream_digest_new(in);
	char digest[STREAM_DIGEST_LEN + 1];
	struct err e;

	stream_digest_text(hashed, digest);
	assert_string_equal(
		digest, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	assert_int_equal(stream_drain(hashed, &e), 0);
	stream_digest_text(hashed, digest);

	assert_string_equal(
		digest, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(stream_digest_bytes(hashed), 3);
	stream_free(hashed);
	stream_free(in);
	close(fd);
}

static void peeking_consumes_nothing(void **state)
{
	int fd = fd_of("abcdef", 6);
	struct stream *in = stream_from_fd(fd);
	struct stream *peekable = stream_peek_new(in);
	const void *begin;
	char data[7] = "";
	struct err e;

	assert_int_equal(stream_peek(peekable, &begin, 4, &e), 4);
	assert_memory_equal(begin, "abcd", 4);
	assert_int_equal(stream_read(peekable, data, 2, &e), 2);
	assert_int_equal(stream_peek(peekable, &begin, 100, &e), 4);
	assert_memory_equal(begin, "cdef", 4);
	assert_int_equal(stream_read(peekable, data, 6, &e), 4);
	assert_memory_equal(data, "cdef", 4);
	assert_int_equal(stream_read(peekable, data, 6, &e), 0);
	stream_free(peekable);
	stream_free(in);
	close(fd);
}

static void a_tar_is_known_by_its_checksum(void **state)
{
	unsigned char block[512] = {0};
	assert_true(archive_is_tar(block, 512)); /* the end of an empty one */
	assert_false(archive_is_tar(block, 511));
	memcpy(block, "name", 4);
	assert_false(archive_is_tar(block, 512));
	unsigned sum = 8 * ' ' + 'n' + 'a' + 'm' + 'e';
	snprintf((char *)block + 148, 8, "%06o", sum);
	assert_true(archive_is_tar(block, 512));
	block[0] ^= 1;
	assert_false(archive_is_tar(block, 512));
}

/* --- files into a place --- */

static int drop(void *owner, const void *data, size_t n, struct err *e)
{
	buf_append(owner, data, n);
	return 0;
}

/* A directory "d" with a file "d/f" and a link to it, packed. */
static void pack_sample(int dir, struct buf *ret)
{
	struct err e;
	int d;
	assert_int_equal(mkdirat(dir, "from", 0755), 0);
	assert_int_equal(path_write(dir, "from/f", "x", 1, 0640, false), 0);
	assert_int_equal(linkat(dir, "from/f", dir, "from/g", 0), 0);
	struct pack *p = pack_new(drop, ret);
	assert_int_equal(pack_entry(p, dir, "from", "d", &d, &e), 0);
	assert_int_equal(pack_entry(p, d, "f", "d/f", NULL, &e), 0);
	assert_int_equal(pack_entry(p, d, "g", "d/g", NULL, &e), 0);
	assert_int_equal(pack_entry(p, d, "gone", "d/gone", NULL, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(pack_end(p, &e), 0);
	pack_free(p);
	close(d);
}

static void unpack_sample(
	int root, const struct buf *tar, const struct unpack_place *place, int want, struct err *e)
{
	struct unpack_result made;
	int fd = fd_of(tar->data, tar->len);
	struct stream *in = stream_from_fd(fd);
	assert_int_equal(unpack_files(root, in, place, &made, e), want);
	stream_free(in);
	close(fd);
}

static void files_go_to_their_place_under_the_name_they_get(void **state)
{
	char top[] = "/tmp/unit-unpack.XXXXXX";
	scoped(buf) struct buf tar = BUF_INIT;
	struct stat f;
	struct stat g;
	struct err e = {0};
	assert_non_null(mkdtemp(top));
	int root = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct unpack_place place = {.dir = "/abs",
		.keep_kinds = true,
		.set_owner = true,
		.uid = geteuid(),
		.gid = getegid()};
	pack_sample(root, &tar);
	assert_int_equal(mkdirat(root, "real", 0755), 0);
	assert_int_equal(
		symlinkat("/real", root, "abs"), 0); /* absolute, and resolved in the root */

	unpack_sample(root, &tar, &place, 0, &e);
	place.old_root = "d";
	place.new_root = "renamed";
	unpack_sample(root, &tar, &place, 0, &e);

	assert_int_equal(fstatat(root, "real/d/f", &f, 0), 0);
	assert_int_equal(fstatat(root, "real/d/g", &g, 0), 0);
	assert_true(f.st_ino == g.st_ino && (f.st_mode & 07777) == 0640);
	assert_int_equal(fstatat(root, "real/renamed/f", &f, 0), 0);
	assert_int_equal(fstatat(root, "real/renamed/g", &g, 0), 0);
	assert_true(f.st_ino == g.st_ino);

	assert_int_equal(path_write(root, "real/file", "", 0, 0600, false), 0);
	place.new_root = "file";
	unpack_sample(root, &tar, &place, -1, &e);
	assert_string_equal(
		e.msg, "cannot overwrite non-directory \"/abs/file\" with directory \"/abs\"");
	close(root);
	assert_int_equal(path_remove_tree(AT_FDCWD, top), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_mean_a_path_below_the_root),
		cmocka_unit_test(plain_bytes_pass_as_they_are),
		cmocka_unit_test(gzip_of_several_members_is_one_text),
		cmocka_unit_test(gzip_that_is_cut_is_an_error),
		cmocka_unit_test(gzip_with_a_wrong_checksum_is_an_error),
		cmocka_unit_test(gzip_with_a_long_head_is_read_in_pieces),
		cmocka_unit_test(what_follows_gzip_must_be_gzip),
		cmocka_unit_test(compressing_gives_the_same_bytes_every_time),
		cmocka_unit_test(compressing_nothing_gives_an_empty_member),
		cmocka_unit_test(a_digest_is_of_what_passed),
		cmocka_unit_test(peeking_consumes_nothing),
		cmocka_unit_test(a_tar_is_known_by_its_checksum),
		cmocka_unit_test(files_go_to_their_place_under_the_name_they_get),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
