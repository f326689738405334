/* A client's directory, kept between builds: what is fetched again, and what may be trusted. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../buildkit/peer.h"
#include "base/path.h"
#include "base/scoped.h"
#include "worker/context.h"
#include "worker/kept.h"

struct fixture {
	char top[40], dir[60];
	int top_fd, from;
	int ends[2];
	int64_t received;
	struct ignore *ignore;
	struct err e;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	strcpy(f->top, "/tmp/unit-kept.XXXXXX");
	assert_non_null(mkdtemp(f->top));
	umask(022);
	f->top_fd = open(f->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(f->dir, sizeof(f->dir), "%s/contexts", f->top);
	assert_int_equal(mkdirat(f->top_fd, "from", 0755), 0);
	f->from = openat(f->top_fd, "from", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	close(f->from);
	close(f->top_fd);
	path_remove_tree(AT_FDCWD, f->top);
	free(f);
	return 0;
}

static void file(int dir, const char *name, const char *content, long seconds)
{
	assert_int_equal(path_write(dir, name, content, strlen(content), 0644, false), 0);
	const struct timespec times[2] = {{seconds, 0}, {seconds, 0}};
	assert_int_equal(utimensat(dir, name, times, 0), 0);
}

/* --- when --- */

static void *send_all(void *arg)
{
	struct fixture *f = arg;
	struct err e;
	const struct fsutil_stream s = {peer_put, peer_get, &f->ends[0]};
	const struct fsutil_send_options o = {.below = ""};
	(void)fsutil_send(&s, f->from, &o, &e);
	shutdown(f->ends[0], SHUT_RDWR);
	return NULL;
}

static void on_progress(void *owner, const struct kept_progress *p)
{
	struct fixture *f = owner;
	f->received = p->bytes;
}

static struct kept *build(struct fixture *f)
{
	pthread_t thread;
	struct kept *k = kept_open(f->dir, "key", &f->e);
	assert_non_null(k);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, f->ends), 0);
	assert_int_equal(pthread_create(&thread, NULL, send_all, f), 0);
	const struct fsutil_stream s = {peer_put, peer_get, &f->ends[1]};
	f->received = 0;
	int r = kept_receive(k, &s, f->ignore, on_progress, f, &f->e);
	shutdown(f->ends[1], SHUT_RDWR);
	pthread_join(thread, NULL);
	close(f->ends[0]);
	close(f->ends[1]);
	assert_int_equal(r, 0);
	return k;
}

static void build_and_close(struct fixture *f)
{
	kept_close(build(f));
}

/* --- then --- */

static void assert_content(struct fixture *f, const char *name, const char *want)
{
	scoped(buf) struct buf b = BUF_INIT;
	char path[120];
	snprintf(path, sizeof(path), "contexts/key/tree/%s", name);
	assert_int_equal(path_read(f->top_fd, path, 1u << 20, &b), 0);
	assert_string_equal(buf_str(&b), want);
}

static struct stat stat_of(struct fixture *f, const char *name)
{
	struct stat st;
	char path[120];
	snprintf(path, sizeof(path), "contexts/key/tree/%s", name);
	assert_int_equal(fstatat(f->top_fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st;
}

static bool is_there(struct fixture *f, const char *name)
{
	struct stat st;
	char path[120];
	snprintf(path, sizeof(path), "contexts/key/%s", name);
	return fstatat(f->top_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void only_what_changed_is_fetched_again(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(mkdirat(f->from, "d", 0755), 0);
	file(f->from, "d/same", "same", 100);
	file(f->from, "d/other", "old!", 100);
	build_and_close(f);
	assert_int_equal(f->received, 8);
	ino_t same = stat_of(f, "d/same").st_ino;
	file(f->from, "d/other", "new", 200);
	struct stat dir;
	assert_int_equal(fstatat(f->from, "d", &dir, 0), 0);

	build_and_close(f);

	assert_int_equal(f->received, 3);
	assert_content(f, "d/same", "same");
	assert_content(f, "d/other", "new");
	assert_int_equal(stat_of(f, "d/same").st_ino, same);
	assert_int_equal(stat_of(f, "d").st_mtim.tv_nsec, dir.st_mtim.tv_nsec);
	build_and_close(f);
	assert_int_equal(f->received, 0);
}

static void a_file_is_replaced_never_changed(void **state)
{
	struct fixture *f = *state;
	scoped(buf) struct buf b = BUF_INIT;
	file(f->from, "x", "old", 100);
	build_and_close(f);
	/* as a layer does it */
	assert_int_equal(linkat(f->top_fd, "contexts/key/tree/x", f->top_fd, "layer", 0), 0);
	file(f->from, "x", "newer", 200);
	assert_int_equal(fchmodat(f->from, "x", 0755, 0), 0);

	build_and_close(f);

	struct stat st;
	assert_int_equal(path_read(f->top_fd, "layer", 100, &b), 0);
	assert_string_equal(buf_str(&b), "old");
	assert_int_equal(fstatat(f->top_fd, "layer", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(stat_of(f, "x").st_mode & 07777, 0755);
}

static void what_is_gone_goes_and_kinds_change(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(mkdirat(f->from, "d", 0755), 0);
	assert_int_equal(mkdirat(f->from, "e", 0755), 0);
	file(f->from, "d/in", "in", 100);
	file(f->from, "e/in", "in", 100);
	file(f->from, "f", "f", 100);
	build_and_close(f);
	assert_int_equal(path_remove_tree(f->from, "d"), 0);
	assert_int_equal(path_remove_tree(f->from, "e"), 0);
	assert_int_equal(unlinkat(f->from, "f", 0), 0);
	file(f->from, "d", "now a file", 100);
	assert_int_equal(symlinkat("/etc", f->from, "e"), 0);
	assert_int_equal(mkdirat(f->from, "f", 0755), 0);

	build_and_close(f);

	assert_content(f, "d", "now a file");
	assert_true(S_ISLNK(stat_of(f, "e").st_mode));
	assert_true(S_ISDIR(stat_of(f, "f").st_mode));
}

static void names_of_a_file_follow_it(void **state)
{
	struct fixture *f = *state;
	file(f->from, "a", "old", 100);
	assert_int_equal(linkat(f->from, "a", f->from, "b", 0), 0);
	build_and_close(f);
	assert_int_equal(stat_of(f, "a").st_ino, stat_of(f, "b").st_ino);
	assert_int_equal(unlinkat(f->from, "b", 0), 0);
	file(f->from, "a", "new", 200);
	assert_int_equal(linkat(f->from, "a", f->from, "b", 0), 0);

	build_and_close(f);

	assert_content(f, "b", "new");
	assert_int_equal(stat_of(f, "a").st_ino, stat_of(f, "b").st_ino);
}

static void a_list_that_is_damaged_is_not_trusted(void **state)
{
	struct fixture *f = *state;
	file(f->from, "a", "right", 100);
	build_and_close(f);
	/* wrong content under a right stat, and a list that a bad disk has changed */
	file(f->top_fd, "contexts/key/tree/a", "wrong", 100);
	int fd = openat(f->top_fd, "contexts/key/index", O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0 && pwrite(fd, "x", 1, 130) == 1);
	close(fd);

	build_and_close(f);

	assert_int_equal(f->received, 5);
	assert_content(f, "a", "right");
}

static void there_is_no_list_while_the_tree_changes(void **state)
{
	struct fixture *f = *state;
	struct err e;
	file(f->from, "a", "old", 100);
	build_and_close(f);
	assert_true(is_there(f, "index"));
	struct kept *k = kept_open(f->dir, "key", &f->e);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, f->ends), 0);
	scoped(buf) struct buf b = BUF_INIT;
	const struct fsutil_packet p = {.type = FSUTIL_STAT,
		.has_stat = true,
		.stat = {.path = "a", .mode = S_IFREG | 0644, .link = "", .mtime_ns = 5}};
	fsutil_packet_write(&p, &b);
	assert_int_equal(peer_put(&f->ends[0], b.data, b.len, false, &e), 0);
	shutdown(f->ends[0], SHUT_WR); /* the client has gone */

	const struct fsutil_stream s = {peer_put, peer_get, &f->ends[1]};
	assert_int_equal(kept_receive(k, &s, NULL, NULL, NULL, &f->e), -1);

	assert_false(is_there(f, "index"));
	assert_true(is_there(f, "tree"));
	kept_close(k);
	assert_false(is_there(f, "tree")); /* a full disk has its space back */
	close(f->ends[0]);
	close(f->ends[1]);
	build_and_close(f);
	assert_content(f, "a", "old");
}

static void another_boot_trusts_what_was_on_disk_only(void **state)
{
	struct fixture *f = *state;
	struct err e;
	unsigned char here[16], other[16] = "another boot";
	scoped(buf) struct buf b = BUF_INIT;
	file(f->from, "a", "a", 100);
	struct kept *k = build(f);
	assert_int_equal(path_read(f->top_fd, "contexts/key/index", 1u << 20, &b), 0);
	memcpy(here, buf_str(&b) + 8, 16);
	struct file_index x;

	assert_int_equal(file_index_parse(b.data, b.len, here, &x, &e), 0);
	file_index_deinit(&x);
	assert_int_equal(file_index_parse(b.data, b.len, other, &x, &e), -1);

	kept_close(k); /* which waits for the disk */
	assert_int_equal(path_read(f->top_fd, "contexts/key/index", 1u << 20, &b), 0);
	assert_int_equal(file_index_parse(b.data, b.len, other, &x, &e), 0);
	file_index_deinit(&x);
}

static void one_build_at_a_time_has_it(void **state)
{
	struct fixture *f = *state;
	struct err e;
	file(f->from, "a", "a", 100);
	struct kept *k = build(f);

	assert_null(kept_open(f->dir, "key", &e));
	assert_int_equal(e.kind, ERR_BUSY);
	assert_int_equal(kept_remove(f->dir, "key", &e), -1);
	assert_int_equal(e.kind, ERR_BUSY);

	kept_close(k);
	assert_int_equal(kept_remove(f->dir, "key", &e), 0);
	assert_false(is_there(f, ""));
}

static void count(void *owner, const struct kept_info *i)
{
	int64_t *bytes = owner;
	assert_string_equal(i->key, "key");
	assert_true(i->used_ns > 0 && !i->in_use);
	*bytes += i->bytes;
}

static void all_are_listed_with_their_size(void **state)
{
	struct fixture *f = *state;
	int64_t bytes = 0;
	file(f->from, "a", "12345", 100);
	build_and_close(f);

	assert_int_equal(kept_list(f->dir, count, &bytes, &f->e), 0);

	assert_int_equal(bytes, 5);
}

static void what_is_ignored_is_left_out(void **state)
{
	struct fixture *f = *state;
	static const char patterns[] = "*.log\nd\n!d/back\n";
	assert_int_equal(mkdirat(f->from, "d", 0755), 0);
	assert_int_equal(mkdirat(f->from, "e", 0755), 0);
	file(f->from, "d/back", "back", 100);
	file(f->from, "d/x", "x", 100);
	file(f->from, "a.log", "log", 100);
	file(f->from, "e/b.log", "kept", 100);
	f->ignore = ignore_parse(patterns, strlen(patterns), "test", &f->e);

	build_and_close(f);

	assert_int_equal(f->received, 8);
	assert_content(f, "d/back", "back");
	assert_content(f, "e/b.log", "kept");
	assert_false(is_there(f, "tree/d/x"));
	assert_false(is_there(f, "tree/a.log"));
	build_and_close(f);
	assert_int_equal(f->received, 0);
	ignore_free(f->ignore);
}

static void touch_key(struct fixture *f, const char *key, long seconds)
{
	char path[80];
	const struct timespec times[2] = {{seconds, 0}, {seconds, 0}};
	snprintf(path, sizeof(path), "contexts/%s", key);
	assert_int_equal(utimensat(f->top_fd, path, times, 0), 0);
}

static void those_that_are_old_or_too_large_go(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	struct err e;
	static const char *const keys[] = {"a", "b", "c"};
	file(f->from, "x", "12345", 100);
	for (size_t i = 0; i < 3; i++) {
		build_and_close(f);
		char path[40];
		snprintf(path, sizeof(path), "contexts/%s", keys[i]);
		assert_int_equal(renameat(f->top_fd, "contexts/key", f->top_fd, path), 0);
	}
	touch_key(f, "a", 1000);
	touch_key(f, "b", 2000);
	touch_key(f, "c", 3000);
	struct kept *k = kept_open(f->dir, "b", &e); /* in use, whenever that began */
	touch_key(f, "b", 2000);

	kept_trim(f->dir, (int64_t)3100 * 1000000000, (int64_t)1500 * 1000000000, 100);
	assert_int_equal(fstatat(f->top_fd, "contexts/a", &st, 0), -1);
	assert_int_equal(fstatat(f->top_fd, "contexts/c", &st, 0), 0);

	kept_trim(f->dir, (int64_t)3100 * 1000000000, (int64_t)1500 * 1000000000, 9);
	assert_int_equal(fstatat(f->top_fd, "contexts/b", &st, 0), 0);
	assert_int_equal(fstatat(f->top_fd, "contexts/c", &st, 0), -1);
	kept_close(k);
}

static enum copy_verdict skip_b(void *owner, const char *top, const char *path)
{
	return strcmp(path, "b") == 0 ? COPY_SKIP : COPY_TAKE;
}

static void the_list_gives_the_digest_of_the_tree(void **state)
{
	struct fixture *f = *state;
	static const char *const paths[] = {".", "d", "d/x", "l", "d/y"};
	assert_int_equal(mkdirat(f->from, "d", 0755), 0);
	assert_int_equal(mkdirat(f->from, "d/b", 0755), 0);
	assert_int_equal(mkdirat(f->from, "d-", 0700), 0);
	file(f->from, "d/x", "x", 100);
	file(f->from, "d/b/z", "z", 100);
	assert_int_equal(linkat(f->from, "d/x", f->from, "d/y", 0), 0);
	assert_int_equal(symlinkat("d/x", f->from, "l"), 0);
	struct kept *k = build(f);
	for (int skip = 0; skip < 2; skip++) {
		for (size_t i = 0; i < 5; i++) {
			char read[65], known[65];
			int tree = kept_tree_fd(k);
			copy_filter *fn = skip ? skip_b : NULL;

			assert_int_equal(
				context_digest(tree, paths[i], false, fn, NULL, read, &f->e), 0);
			assert_int_equal(context_digest_index(
						 kept_index(k), paths[i], fn, NULL, known, &f->e),
				0);

			assert_string_equal(read, known);
		}
	}
	kept_close(k);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(only_what_changed_is_fetched_again),
		TEST(a_file_is_replaced_never_changed),
		TEST(what_is_gone_goes_and_kinds_change),
		TEST(names_of_a_file_follow_it),
		TEST(a_list_that_is_damaged_is_not_trusted),
		TEST(there_is_no_list_while_the_tree_changes),
		TEST(another_boot_trusts_what_was_on_disk_only),
		TEST(one_build_at_a_time_has_it),
		TEST(all_are_listed_with_their_size),
		TEST(what_is_ignored_is_left_out),
		TEST(those_that_are_old_or_too_large_go),
		TEST(the_list_gives_the_digest_of_the_tree),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
