/* A build context or an archive that ADD unpacks: nothing outside of its directory changes, a copy
 * of it has the same digest, and its layer has the same name each time.
 *
 * Each input gets TOP/jail/root and TOP/jail/copy; TOP/jail/canary and the list of TOP/jail must
 * stay as they are. Run a long campaign in a mount namespace of its own with everything but TOP
 * read-only: an escape would be real. */
#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/list.h"
#include "base/path.h"
#include "base/scoped.h"
#include "worker/context.h"
#include "worker/copy.h"
#include "worker/diff.h"
#include "tree/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char top[] = "/tmp/fuzz-context.XXXXXX";
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
	assert(entries == 5); /* . .. canary root copy */
}

static int make_root(const char *name)
{
	assert(mkdirat(jail, name, 0755) == 0);
	int fd = openat(jail, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(fd >= 0);
	return fd;
}

static void check_copy(int root, int to)
{
	char before[65], after[65];
	struct diff_result first, second;
	struct err e = {0};
	if (context_digest(root, ".", false, NULL, NULL, before, &e) < 0) {
		return; /* too deep */
	}
	scoped(copy_free) struct copy *c =
		copy_new(root, to, &(struct copy_options){.set_owner = true});
	assert(copy_dir_content(c, ".", ".", true, &e) == 0);
	assert(context_digest(to, ".", true, NULL, NULL, after, &e) == 0);
	assert(strcmp(before, after) ==
		0); /* all of it belongs to root: owners count for nothing */
	if (diff_hash(to, NULL, &first, &e) < 0) {
		assert(strstr(e.msg, "/.wh.") || strstr(e.msg, " .wh."));
		return; /* a name that no layer has */
	}
	assert(diff_hash(to, NULL, &second, &e) == 0);
	assert(strcmp(first.diff_id, second.diff_id) == 0 && first.entries == second.entries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = {0};
	if (jail < 0) {
		make_jail();
	}
	scoped(close) int root = make_root("root");
	scoped(close) int to = make_root("copy");
	struct memory m = {{memory_read, memory_free}, data, size};
	const struct extract_options o = {.context = true};
	if (context_extract(root, ".", &m.base, &o, &e) == 0) {
		check_copy(root, to);
	} else {
		assert(*e.msg);
	}
	check_jail();
	assert(path_remove_tree(jail, "root") == 0 && path_remove_tree(jail, "copy") == 0);
	return 0;
}
