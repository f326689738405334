/* A layer, plain or compressed, into a directory: whatever it is, nothing outside of that directory
 * changes.
 *
 * Each input gets TOP/jail/root; TOP/jail/canary and the list of TOP/jail must stay as they are.
 * Run a long campaign in a mount namespace of its own with everything but TOP read-only: an escape
 * would be real. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/list.h"
#include "base/path.h"
#include "worker/archive_reader.h"
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
	struct unpack_result result;
	struct err e = {0};
	if (jail < 0) {
		make_jail();
	}
	check_name(data, size);
	(void)archive_is_tar(data, size);
	read_files(data, size);
	assert(mkdirat(jail, "root", 0700) == 0);
	int root = openat(jail, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(root >= 0);
	struct memory m = {{memory_read, memory_free}, data, size};
	struct stream *plain = stream_decompress_new(&m.base);
	if (unpack_layer(root, plain, true, &result, &e) < 0) {
		assert(*e.msg);
	}
	stream_free(plain);
	check_jail();
	close(root);
	assert(path_remove_tree(jail, "root") == 0);
	unpack_into_place(data, size);
	return 0;
}
