/* Both ends of the DiffCopy protocol, against each other and against peers that misbehave. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/path.h"
#include "base/scoped.h"
#include "buildkit/fsutil.h"
#include "peer.h"

struct fixture {
	char top[40];
	int from, to;
	int ends[2];
	struct fsutil_stream sender, receiver;
	struct fsutil_send_options options;
	struct err send_error, receive_error;
	int sent;
};

static int make_dir_fd(const char *top, const char *name)
{
	char path[80];
	snprintf(path, sizeof(path), "%s/%s", top, name);
	assert_int_equal(mkdir(path, 0755), 0);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	strcpy(f->top, "/tmp/unit-fsutil.XXXXXX");
	assert_non_null(mkdtemp(f->top));
	f->from = make_dir_fd(f->top, "from");
	f->to = make_dir_fd(f->top, "to");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, f->ends), 0);
	f->sender = (struct fsutil_stream){peer_put, peer_get, &f->ends[0]};
	f->receiver = (struct fsutil_stream){peer_put, peer_get, &f->ends[1]};
	umask(022);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	close(f->from);
	close(f->to);
	for (int i = 0; i < 2; i++) {
		if (f->ends[i] >= 0) {
			close(f->ends[i]);
		}
	}
	path_remove_tree(AT_FDCWD, f->top);
	free(f);
	return 0;
}

/* --- given --- */

static void file(int dir, const char *name, const char *content, mode_t mode)
{
	assert_int_equal(path_write(dir, name, content, strlen(content), mode, false), 0);
	const struct timespec times[2] = {{1000, 5}, {1000, 123456789}};
	assert_int_equal(utimensat(dir, name, times, 0), 0);
}

static void directory(int dir, const char *name)
{
	assert_int_equal(mkdirat(dir, name, 0755), 0);
}

/* --- when --- */

static void *send_all(void *arg)
{
	struct fixture *f = arg;
	f->sent = fsutil_send(&f->sender, f->from, &f->options, &f->send_error);
	shutdown(f->ends[0], SHUT_RDWR);
	return NULL;
}

static int transfer(struct fixture *f)
{
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, send_all, f), 0);
	int r = fsutil_receive_tree(&f->receiver, f->to, (uid_t)-1, (gid_t)-1, &f->receive_error);
	shutdown(f->ends[1], SHUT_RDWR);
	pthread_join(thread, NULL);
	return r;
}

/* What a sender would say, one packet after another, then the end of the stream. */
static int receive_script(struct fixture *f, const struct fsutil_packet *packets, size_t n)
{
	scoped(buf) struct buf b = BUF_INIT;
	struct err e;
	for (size_t i = 0; i < n; i++) {
		fsutil_packet_write(&packets[i], &b);
		assert_int_equal(peer_put(&f->ends[0], b.data, b.len, false, &e), 0);
	}
	shutdown(f->ends[0], SHUT_WR);
	return fsutil_receive_tree(&f->receiver, f->to, (uid_t)-1, (gid_t)-1, &f->receive_error);
}

static struct fsutil_packet stat_packet(const char *path, mode_t mode, const char *link)
{
	return (struct fsutil_packet){.type = FSUTIL_STAT,
		.has_stat = true,
		.stat = {.path = path, .mode = mode, .link = link}};
}

/* --- then --- */

static void assert_content(int dir, const char *name, const char *want)
{
	scoped(buf) struct buf b = BUF_INIT;
	assert_int_equal(path_read(dir, name, 1u << 24, &b), 0);
	assert_string_equal(buf_str(&b), want);
}

static void assert_absent(int dir, const char *name)
{
	struct stat st;
	assert_int_equal(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW), -1);
}

/* --- a tree goes over --- */

static void a_tree_arrives_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct stat a, b;
	char link[64] = "";
	directory(f->from, "d");
	directory(f->from, "d/empty");
	file(f->from, "d/x", "hello", 0640);
	file(f->from, "d-more", "", 04755);
	assert_int_equal(symlinkat("../anywhere", f->from, "d/link"), 0);
	assert_int_equal(mkfifoat(f->from, "fifo", 0600), 0);
	assert_int_equal(fchmodat(f->from, "d/empty", 0500, 0), 0);

	assert_int_equal(transfer(f), 0);

	assert_int_equal(f->sent, 0);
	assert_content(f->to, "d/x", "hello");
	assert_content(f->to, "d-more", "");
	assert_int_equal(readlinkat(f->to, "d/link", link, sizeof(link) - 1), 11);
	assert_string_equal(link, "../anywhere");
	const char *const same[] = {"d", "d/empty", "d/x", "d-more", "fifo"};
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(fstatat(f->from, same[i], &a, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(fstatat(f->to, same[i], &b, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(a.st_mode, b.st_mode);
		assert_int_equal(a.st_mtim.tv_sec, b.st_mtim.tv_sec);
		assert_int_equal(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
	}
}

static void names_of_one_file_stay_one_file(void **state)
{
	struct fixture *f = *state;
	struct stat a, b;
	directory(f->from, "d");
	file(f->from, "z", "one", 0644);
	assert_int_equal(linkat(f->from, "z", f->from, "d/y", 0), 0);

	assert_int_equal(transfer(f), 0);

	assert_content(f->to, "z", "one");
	assert_int_equal(fstatat(f->to, "z", &a, 0), 0);
	assert_int_equal(fstatat(f->to, "d/y", &b, 0), 0);
	assert_int_equal(a.st_ino, b.st_ino);
}

static void many_and_large_files_arrive(void **state)
{
	struct fixture *f = *state;
	char name[32];
	size_t n = 3u << 20;
	char *large = malloc(n + 1);
	for (size_t i = 0; i < n; i++) {
		large[i] = (char)('a' + i % 23);
	}
	large[n] = '\0';
	for (int i = 0; i < 500; i++) { /* more than are asked for at a time */
		snprintf(name, sizeof(name), "f%d", i);
		file(f->from, name, name, 0644);
	}
	file(f->from, "large", large, 0644);

	assert_int_equal(transfer(f), 0);

	assert_content(f->to, "f0", "f0");
	assert_content(f->to, "f499", "f499");
	assert_content(f->to, "large", large);
	free(large);
}

static void what_is_there_is_replaced_and_the_rest_stays(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	file(f->from, "a", "new", 0644);
	directory(f->from, "b");
	file(f->from, "b/in", "in", 0644);
	file(f->from, "c", "file", 0644);
	file(f->to, "a", "old", 0600);
	assert_int_equal(symlinkat("../from", f->to, "b"), 0); /* must not be entered */
	directory(f->to, "c");
	file(f->to, "c/below", "old", 0644);
	file(f->to, "other", "other", 0644);

	assert_int_equal(transfer(f), 0);

	assert_content(f->to, "a", "new");
	assert_int_equal(fstatat(f->to, "b", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_content(f->to, "b/in", "in");
	assert_content(f->to, "c", "file");
	assert_content(f->to, "other", "other");
	assert_absent(f->from, "in");
}

static unsigned only_inner(void *owner, const char *path, bool is_dir)
{
	if (is_dir) {
		return strcmp(path, "skipped") == 0 ? 0 : FSUTIL_ENTER;
	}
	return strcmp(path, "a/b/wanted") == 0 || strcmp(path, "skipped/x") == 0 ? FSUTIL_SEND : 0;
}

static void directories_come_only_for_what_is_in_them(void **state)
{
	struct fixture *f = *state;
	directory(f->from, "a");
	directory(f->from, "a/b");
	directory(f->from, "a/c");
	directory(f->from, "skipped");
	file(f->from, "skipped/x", "x", 0644);
	file(f->from, "a/b/wanted", "w", 0644);
	file(f->from, "a/c/other", "o", 0644);
	f->options.filter = only_inner;

	assert_int_equal(transfer(f), 0);

	assert_content(f->to, "a/b/wanted", "w");
	assert_absent(f->to, "a/c");
	assert_absent(f->to, "skipped");
}

static void root_owned(void *owner, struct fsutil_stat *st)
{
	st->mtime_ns = 7;
}

static void a_directory_in_front_moves_links_too(void **state)
{
	struct fixture *f = *state;
	char link[64] = "";
	struct stat like, a, b;
	file(f->from, "one", "1", 0644);
	assert_int_equal(linkat(f->from, "one", f->from, "two", 0), 0);
	assert_int_equal(symlinkat("/one", f->from, "abs"), 0);
	assert_int_equal(fstat(f->from, &like), 0);
	f->options.below = "linux_arm_v7";
	f->options.like = &like;
	f->options.change = root_owned;

	assert_int_equal(transfer(f), 0);

	assert_content(f->to, "linux_arm_v7/one", "1");
	assert_int_equal(readlinkat(f->to, "linux_arm_v7/abs", link, sizeof(link) - 1), 17);
	assert_string_equal(link, "/linux_arm_v7/one");
	assert_int_equal(fstatat(f->to, "linux_arm_v7/one", &a, 0), 0);
	assert_int_equal(fstatat(f->to, "linux_arm_v7/two", &b, 0), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(a.st_mtim.tv_nsec, 7);
}

/* --- peers that misbehave --- */

/* Each file's own, on the way into directories and out of them again. */
static void attributes_come_with_their_files(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {"a", "b/c/same", "b/same", "d/same", "e"};
	char path[80];
	f->options.xattrs = true;
	directory(f->from, "b");
	directory(f->from, "b/c");
	directory(f->from, "d");
	for (size_t i = 0; i < 5; i++) {
		file(f->from, names[i], "x", 0644);
		snprintf(path, sizeof(path), "%s/from/%s", f->top, names[i]);
		if (setxattr(path, "user.name", names[i], strlen(names[i]), 0) < 0) {
			print_message("no attributes of users in /tmp\n");
			skip();
		}
	}

	assert_int_equal(transfer(f), 0);

	for (size_t i = 0; i < 5; i++) {
		char value[16] = "";
		snprintf(path, sizeof(path), "%s/to/%s", f->top, names[i]);
		assert_true(getxattr(path, "user.name", value, sizeof(value) - 1) > 0);
		assert_string_equal(value, names[i]);
	}
}

static void paths_that_lead_out_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "/etc/x", "..", "../x", "a/../b", "./a", "a//b", "a/", ".", "a/.", "missing/x"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		void *fresh;
		setup(&fresh);
		struct fixture *f = fresh;
		const struct fsutil_packet p[] = {
			stat_packet(bad[i], S_IFDIR | 0755, ""), {.type = FSUTIL_STAT}};

		int r = receive_script(f, p, 2);

		assert_int_equal(r, -1);
		assert_int_equal(f->receive_error.kind, ERR_INVALID);
		assert_absent(f->to, "x");
		teardown(&fresh);
	}
	(void)state;
}

static void nothing_goes_through_a_link(void **state)
{
	struct fixture *f = *state;
	const struct fsutil_packet p[] = {
		stat_packet("l", S_IFLNK | 0777, "../from"),
		stat_packet("l/x", S_IFREG | 0644, ""),
	};

	assert_int_equal(receive_script(f, p, 2), -1);

	assert_absent(f->from, "x");
}

static void entries_out_of_order_are_refused(void **state)
{
	struct fixture *f = *state;
	const struct fsutil_packet p[] = {
		stat_packet("b", S_IFDIR | 0755, ""),
		stat_packet("a", S_IFDIR | 0755, ""),
	};

	assert_int_equal(receive_script(f, p, 2), -1);
	assert_non_null(strstr(f->receive_error.msg, "out of order"));
}

static void a_link_to_what_was_not_told_is_refused(void **state)
{
	struct fixture *f = *state;
	file(f->to, "secret", "s", 0600);
	const struct fsutil_packet p[] = {stat_packet("x", S_IFREG | 0644, "secret")};

	assert_int_equal(receive_script(f, p, 1), -1);
	assert_absent(f->to, "x");
}

static void data_that_nobody_asked_for_is_refused(void **state)
{
	struct fixture *f = *state;
	const struct fsutil_packet p[] = {
		stat_packet("d", S_IFDIR | 0755, ""),
		{.type = FSUTIL_DATA, .id = 0, .data = "x", .n = 1},
	};

	assert_int_equal(receive_script(f, p, 2), -1);
	assert_non_null(strstr(f->receive_error.msg, "nobody asked"));
}

static void a_stream_that_is_cut_off_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	const struct fsutil_packet p[] = {
		stat_packet("a", S_IFREG | 0644, ""),
		{.type = FSUTIL_DATA, .id = 0, .data = "half", .n = 4},
	};

	assert_int_equal(receive_script(f, p, 2), -1);

	/* and what there is of the file is told from a whole one */
	assert_int_equal(fstatat(f->to, "a", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0);
}

static void a_type_that_is_none_is_refused(void **state)
{
	struct fsutil_packet p;
	struct err e = {0};
	/* mode (field 2) of the stat: directory and link at once */
	const uint8_t raw[] = {0x12, 0x08, 0x0a, 0x01, 'a', 0x10, 0x80, 0x80, 0x80, 0xc0, 0x08};

	assert_int_equal(fsutil_packet_read(raw, sizeof(raw), &p, &e), -1);
	(void)state;
}

static void a_request_for_nothing_ends_the_sender(void **state)
{
	struct fixture *f = *state;
	scoped(buf) struct buf b = BUF_INIT;
	struct err e;
	pthread_t thread;
	bool told = false;
	directory(f->from, "d");
	assert_int_equal(pthread_create(&thread, NULL, send_all, f), 0);

	fsutil_packet_write(&(struct fsutil_packet){.type = FSUTIL_REQ, .id = 0}, &b);
	assert_int_equal(peer_put(&f->ends[1], b.data, b.len, false, &e), 0);
	while (!told && peer_get(&f->ends[1], &b, &e) == 1) {
		scoped(fsutil_packet) struct fsutil_packet p = {0};
		assert_int_equal(fsutil_packet_read(b.data, b.len, &p, &e), 0);
		told = p.type == FSUTIL_ERR;
	}
	shutdown(f->ends[1], SHUT_RDWR);
	pthread_join(thread, NULL);

	assert_true(told);
	assert_int_equal(f->sent, -1);
}

static void paths_compare_by_components(void **state)
{
	assert_true(fsutil_path_compare("a", "a/b") < 0);
	assert_true(fsutil_path_compare("a/b", "a-b") < 0);
	assert_true(fsutil_path_compare("a-b", "a/b") > 0);
	assert_true(fsutil_path_compare("a/z", "b") < 0);
	assert_true(fsutil_path_compare("a\xff", "az") > 0);
	assert_int_equal(fsutil_path_compare("a/b", "a/b"), 0);
	(void)state;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_tree_arrives_as_it_was),
		TEST(names_of_one_file_stay_one_file),
		TEST(many_and_large_files_arrive),
		TEST(what_is_there_is_replaced_and_the_rest_stays),
		TEST(directories_come_only_for_what_is_in_them),
		TEST(a_directory_in_front_moves_links_too),
		TEST(attributes_come_with_their_files),
		cmocka_unit_test(paths_that_lead_out_are_refused),
		TEST(nothing_goes_through_a_link),
		TEST(entries_out_of_order_are_refused),
		TEST(a_link_to_what_was_not_told_is_refused),
		TEST(data_that_nobody_asked_for_is_refused),
		TEST(a_stream_that_is_cut_off_is_an_error),
		cmocka_unit_test(a_type_that_is_none_is_refused),
		TEST(a_request_for_nothing_ends_the_sender),
		cmocka_unit_test(paths_compare_by_components),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
