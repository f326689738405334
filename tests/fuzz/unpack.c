/* A layer, plain or compressed, into a directory: whatever it is, nothing outside of that directory
 * changes, and what was accepted comes back from directory and recipe bit for bit.
 *
 * Each input gets TOP/jail/root; TOP/jail/canary and the list of TOP/jail must stay as they are.
 * Run a long campaign in a mount namespace of its own with everything but TOP read-only: an escape
 * would be real. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/list.h"
#include "base/path.h"
#include "worker/archive_reader.h"
#include "tree/recipe.h"
#include "tree/stream.h"
#include "tree/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char top[] = "/tmp/fuzz-unpack.XXXXXX";
static int jail = -1;

struct memory {
	struct stream base;
	const uint8_t *data;
	size_t left;
};

static ssize_t memory_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct memory *m = container_of(s, struct memory, base);
	n = n < m->left ? n : m->left;
	n = n < 700 ? n : 700; /* pieces that end inside of blocks */
	if (n > 0) {
		memcpy(data, m->data, n);
	}
	m->data += n;
	m->left -= n;
	return (ssize_t)n;
}

static void memory_free(struct stream *s)
{
}

static void remove_top(void)
{
	path_remove_tree(AT_FDCWD, top);
}

static void make_jail(void)
{
	assert(mkdtemp(top));
	atexit(remove_top);
	int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(fd >= 0 && mkdirat(fd, "jail", 0700) == 0);
	jail = openat(fd, "jail", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(jail >= 0 && path_write(jail, "canary", "alive", 5, 0400, false) == 0);
	close(fd);
}

static void check_jail(void)
{
	scoped(buf) struct buf canary = BUF_INIT;
	struct stat st;
	assert(path_read(jail, "canary", 100, &canary) == 0 &&
		strcmp(buf_str(&canary), "alive") == 0);
	assert(fstatat(jail, "canary", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_nlink == 1 &&
		st.st_mode == (S_IFREG | 0400));
	int fd = openat(jail, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped(closedir) DIR *dir = fdopendir(fd);
	int entries = 0;
	while (readdir(dir)) {
		entries++;
	}
	assert(entries == 4); /* . .. canary root */
}

static void check_name(const uint8_t *data, size_t size)
{
	char name[300];
	struct err e;
	size_t n = size < sizeof(name) - 1 ? size : sizeof(name) - 1;
	if (n > 0) {
		memcpy(name, data, n);
	}
	name[n] = '\0';
	scoped(free) char *clean = unpack_clean_name(name, &e);
	if (clean) {
		scoped(free) char *again = unpack_clean_name(clean, &e);
		assert(again && strcmp(clean, again) == 0);
		assert(*clean && *clean != '/' && strcmp(clean, "..") != 0 &&
			strncmp(clean, "../", 3) != 0);
		assert(!strstr(clean, "/../") && !strstr(clean, "//"));
	}
}

/* Keeps a copy of what passes. */
struct tee {
	struct stream base;
	struct stream *inner;
	struct buf copy;
};

static ssize_t tee_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct tee *t = container_of(s, struct tee, base);
	ssize_t got = stream_read(t->inner, data, n, e);
	if (got > 0) {
		buf_append(&t->copy, data, (size_t)got);
	}
	return got;
}

static void check_recipe(const struct buf *tar)
{
	struct err e;
	char chunk[1000];
	size_t at = 0;
	ssize_t n;
	struct stream *again = recipe_open(jail, "root", &e);
	assert(again);
	while ((n = stream_read(again, chunk, sizeof(chunk), &e)) > 0) {
		assert((size_t)n <= tar->len - at && memcmp(chunk, tar->data + at, (size_t)n) == 0);
		at += (size_t)n;
	}
	if (n < 0 || at != tar->len) {
		fprintf(stderr, "%zu of %zu bytes: %s\n", at, tar->len, n < 0 ? e.msg : "ended");
	}
	assert(n == 0 && at == tar->len);
	stream_free(again);
}

static void unpack_as_layer(const uint8_t *data, size_t size)
{
	struct unpack_result result;
	struct err e = {0};
	assert(mkdirat(jail, "root", 0700) == 0);
	int root = openat(jail, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(root >= 0);
	struct memory m = {{memory_read, memory_free}, data, size};
	struct stream *plain = stream_decompress_new(&m.base);
	struct tee tee = {{tee_read, memory_free}, plain, BUF_INIT};
	struct recipe_writer *recipe = recipe_writer_new(jail, "root.recipe", &e);
	assert(recipe);
	bool accepted = unpack_layer(root, &tee.base, true, recipe, &result, &e) == 0;
	assert(accepted || *e.msg);
	recipe_writer_free(recipe);
	if (accepted) {
		check_recipe(&tee.copy);
	}
	assert(unlinkat(jail, "root.recipe", 0) == 0);
	buf_deinit(&tee.copy);
	stream_free(plain);
	check_jail();
	close(root);
	assert(path_remove_tree(jail, "root") == 0);
}

static void read_files(const uint8_t *data, size_t size)
{
	struct memory m = {{memory_read, memory_free}, data, size};
	scoped(archive_reader_free) struct archive_reader *r = archive_reader_new(&m.base);
	struct archive_file file;
	struct err e;
	while (archive_reader_next(r, &file, &e) > 0) {
		assert(*file.name && *file.name != '/');
		assert(!file.target ||
			(*file.target != '/' && strncmp(file.target, "../", 3) != 0));
		assert((file.kind == ARCHIVE_FILE) == (file.stream != NULL));
		if (file.stream && file.size < (1 << 20)) {
			(void)stream_drain(file.stream, &e);
		}
	}
}

/* The same bytes as files that are put into a root that has links in it already. */
static void unpack_into_place(const uint8_t *data, size_t size)
{
	struct unpack_result result;
	struct err e = {0};
	assert(mkdirat(jail, "root", 0700) == 0);
	int root = openat(jail, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(root >= 0 && mkdirat(root, "sub", 0700) == 0 && mkdirat(root, "a", 0700) == 0);
	assert(symlinkat("../..", root, "sub/up") == 0 && symlinkat("/a", root, "sub/abs") == 0);
	const struct unpack_place place = {
		.dir = "/sub",
		.keep_kinds = size % 2,
		.old_root = size % 3 ? NULL : "a",
		.new_root = "up",
		.lenient = size % 5 == 0,
		.set_owner = true,
		.uid = geteuid(),
		.gid = getegid(),
	};
	struct memory m = {{memory_read, memory_free}, data, size};
	struct stream *plain = stream_decompress_new(&m.base);
	if (unpack_files(root, plain, &place, &result, &e) < 0) {
		assert(*e.msg);
	}
	stream_free(plain);
	check_jail();
	close(root);
	assert(path_remove_tree(jail, "root") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (jail < 0) {
		make_jail();
	}
	check_name(data, size);
	(void)archive_is_tar(data, size);
	read_files(data, size);
	unpack_as_layer(data, size);
	unpack_into_place(data, size);
	return 0;
}
