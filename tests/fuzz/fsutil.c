/* The messages of a peer, each behind two bytes of length: of a sender of files nothing outside of
 * the directory changes, of a receiver nothing but files of the tree is sent. The first byte says
 * which. */
#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/path.h"
#include "base/scoped.h"
#include "buildkit/fsutil.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct peer {
	const uint8_t *data;
	size_t left;
};

static char top[] = "/tmp/fuzz-fsutil.XXXXXX";
static int jail = -1, tree = -1;

static int peer_send(void *owner, const void *data, size_t n, bool more, struct err *e)
{
	struct fsutil_packet p;
	assert(fsutil_packet_read(data, n, &p, e) == 0); /* what we say can be read */
	bool foreign = p.type == FSUTIL_DATA && p.n > 0 && memcmp(p.data, "tree", 4) != 0;
	assert(!foreign);
	fsutil_packet_free(&p);
	return 0;
}

static int peer_recv(void *owner, struct buf *ret, struct err *e)
{
	struct peer *p = owner;
	size_t n = p->left >= 2 ? (size_t)(p->data[0] << 8 | p->data[1]) : 0;
	if (p->left < 2 || n > p->left - 2) {
		return 0;
	}
	buf_clear(ret);
	buf_append(ret, p->data + 2, n);
	p->data += n + 2;
	p->left -= n + 2;
	return 1;
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
	assert(fd >= 0 && mkdirat(fd, "jail", 0700) == 0 && mkdirat(fd, "tree", 0700) == 0);
	jail = openat(fd, "jail", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tree = openat(fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(path_write(jail, "canary", "alive", 5, 0400, false) == 0);
	assert(path_write(tree, "a", "tree", 4, 0400, false) == 0 && mkdirat(tree, "d", 0700) == 0);
	assert(path_write(tree, "d/b", "tree", 4, 0400, false) == 0);
	assert(symlinkat("../jail/canary", tree, "c") == 0);
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

static void receive(const struct fsutil_stream *s)
{
	struct err e = {0};
	assert(mkdirat(jail, "root", 0755) == 0);
	int root = openat(jail, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)fsutil_receive_tree(s, root, (uid_t)-1, (gid_t)-1, &e);
	close(root);
	check_jail();
	assert(path_remove_tree(jail, "root") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (jail < 0) {
		make_jail();
	}
	struct peer p = {data + 1, size ? size - 1 : 0};
	const struct fsutil_stream s = {peer_send, peer_recv, &p};
	if (size > 0 && data[0] == 's') {
		const struct fsutil_send_options o = {.xattrs = true};
		struct err e = {0};
		(void)fsutil_send(&s, tree, &o, &e);
	} else {
		receive(&s);
	}
	return 0;
}
