/* Which changes a watch sees, and what they mean. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/path.h"
#include "wherry/watch_rules.h"
#include "wherry/watch_tree.h"

struct place {
	char dir[32];
	struct watch_tree *tree;
};

static int set_up(void **state)
{
	struct err e;
	struct place *p = xnew(struct place);
	strcpy(p->dir, "/tmp/watch.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	p->tree = watch_tree_new(NULL, NULL, &e);
	assert_non_null(p->tree);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	watch_tree_free(p->tree);
	path_remove_tree(AT_FDCWD, p->dir);
	free(p);
	return 0;
}

static char *below(const struct place *p, const char *name)
{
	return xasprintf("%s/%s", p->dir, name);
}

static void make_dir(const struct place *p, const char *name)
{
	scoped(free) char *path = below(p, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void make_file(const struct place *p, const char *name, const char *text)
{
	scoped(free) char *path = below(p, name);
	assert_int_equal(path_write(AT_FDCWD, path, text, strlen(text), 0644, false), 0);
}

static void move(const struct place *p, const char *from, const char *to)
{
	scoped(free) char *a = below(p, from);
	scoped(free) char *b = below(p, to);
	assert_int_equal(rename(a, b), 0);
}

static void add(const struct place *p, const char *name)
{
	struct err e;
	scoped(free) char *path = *name ? below(p, name) : xstrdup(p->dir);
	assert_int_equal(watch_tree_add(p->tree, path, &e), 0);
}

/* What has changed, sorted, without the directory: "a b/c". */
static void assert_changed(const struct place *p, const char *expected)
{
	struct err e;
	bool all = false;
	scoped(strv) struct strv paths = STRV_INIT;
	scoped(buf) struct buf text = BUF_INIT;
	assert_int_equal(watch_tree_read(p->tree, &paths, &all, &e), 0);
	strv_sort(&paths);
	for (size_t i = 0; i < paths.n; i++) {
		const char *name = watch_below(p->dir, paths.v[i]);
		/* path_write makes a temporary file first */
		if (name && !strstr(name, ".tmp")) {
			buf_printf(&text, "%s%s", text.len ? " " : "", name);
		}
	}
	assert_string_equal(buf_str(&text), expected);
	assert_false(all);
}

static void files_that_come_change_and_go_are_told_once(void **state)
{
	const struct place *p = *state;
	make_dir(p, "d");
	make_file(p, "d/old", "1");
	add(p, "");

	make_file(p, "new", "1");
	make_file(p, "d/old", "2");
	make_file(p, "d/old", "3");
	assert_changed(p, "d/old new");

	scoped(free) char *path = below(p, "new");
	unlink(path);
	assert_changed(p, "new");
	assert_changed(p, "");
}

static void what_was_in_a_new_directory_before_its_watch_is_told(void **state)
{
	const struct place *p = *state;
	add(p, "");

	make_dir(p, "a");
	make_dir(p, "a/b");
	make_file(p, "a/b/f", "x");
	assert_changed(p, "a a/b a/b/f");

	make_file(p, "a/b/g", "x");
	assert_changed(p, "a/b/g");
}

static void a_directory_that_moves_is_gone_here_and_new_there(void **state)
{
	const struct place *p = *state;
	make_dir(p, "a");
	make_file(p, "a/f", "x");
	add(p, "");

	move(p, "a", "z");
	assert_changed(p, "a z z/f");

	make_file(p, "z/g", "x");
	assert_changed(p, "z/g");
}

static void a_root_that_is_a_file_or_not_there_yet_is_seen_from_above(void **state)
{
	const struct place *p = *state;
	add(p, "file");
	add(p, "later/src");

	make_file(p, "file", "x");
	make_file(p, "other", "x");
	assert_changed(p, "file");

	make_dir(p, "later");
	make_dir(p, "later/src");
	make_file(p, "later/src/f", "x");
	make_file(p, "later/beside", "x");
	assert_changed(p, "later/src/f");
}

static void a_root_that_is_made_anew_is_watched_again(void **state)
{
	const struct place *p = *state;
	make_dir(p, "src");
	add(p, "src");

	scoped(free) char *path = below(p, "src");
	rmdir(path);
	make_dir(p, "src");
	make_file(p, "src/f", "x");
	assert_changed(p, "src/f");
}

static void below_is_by_whole_components(void **state)
{
	assert_string_equal(watch_below("/a", "/a/b/c"), "b/c");
	assert_string_equal(watch_below("/a", "/a"), "");
	assert_string_equal(watch_below("/", "/a"), "a");
	assert_null(watch_below("/a", "/ab"));
	assert_null(watch_below("/a/b", "/a"));
}

/* ---- rules ---- */

static const char *ignore_words[] = {"*.log", "node_modules/", "!keep.log"};
static const char *include_words[] = {"*.py", "lib"};

static void assert_match(const struct watch_rule *r, const char *path, const char *target)
{
	scoped(free) char *got = NULL;
	bool match = watch_rule_match(r, path, &got);
	assert_true(match == (target != NULL));
	if (target) {
		assert_string_equal(got, target);
	}
}

static struct watch_rules rules_of(struct watch *w, struct service *s)
{
	struct err e;
	struct watch_rules r;
	bool selected[] = {true};
	s->name = "s";
	s->watches = w;
	s->n_watches = 1;
	struct project p = {.services = s, .n_services = 1};
	assert_int_equal(watch_rules_init(&r, &p, selected, &e), 0);
	return r;
}

static void ignored_and_editors_files_do_not_match(void **state)
{
	struct watch w = {.path = "/src", .target = "/app", .ignore = {ignore_words, 3, true}};
	struct service s = {0};
	struct watch_rules r = rules_of(&w, &s);

	assert_match(&r.v[0], "/src/a/b", "/app/a/b");
	assert_match(&r.v[0], "/src", "/app");
	assert_match(&r.v[0], "/other", NULL);
	assert_match(&r.v[0], "/src/x.log", NULL);
	assert_match(&r.v[0], "/src/keep.log", "/app/keep.log");
	assert_match(&r.v[0], "/src/node_modules/deep/f", NULL);
	assert_match(&r.v[0], "/src/.main.c.swp", NULL);
	assert_match(&r.v[0], "/src/main.c~", NULL);
	assert_match(&r.v[0], "/src/.git/HEAD", NULL);
	watch_rules_deinit(&r);
}

static void include_limits_what_matches(void **state)
{
	struct watch w = {.path = "/src", .target = "/app", .include = {include_words, 2, true}};
	struct service s = {0};
	struct watch_rules r = rules_of(&w, &s);

	assert_match(&r.v[0], "/src/a.py", "/app/a.py");
	assert_match(&r.v[0], "/src/lib/x", "/app/lib/x");
	assert_match(&r.v[0], "/src/a.c", NULL);
	watch_rules_deinit(&r);
}

static void directories_without_anything_of_interest_are_skipped(void **state)
{
	const char *words[] = {"node_modules"};
	struct watch w = {.path = "/top/src", .target = "/app", .ignore = {words, 1, true}};
	struct service s = {0};
	struct watch_rules r = rules_of(&w, &s);

	assert_false(watch_rules_skip(&r, "/top"));
	assert_false(watch_rules_skip(&r, "/top/src/lib"));
	assert_true(watch_rules_skip(&r, "/top/src/node_modules"));
	assert_true(watch_rules_skip(&r, "/top/elsewhere"));
	watch_rules_deinit(&r);
}

static void impossible_rules_are_refused(void **state)
{
	struct err e;
	struct watch_rules r;
	bool selected[] = {true};
	struct watch rebuild = {.path = "/src", .action = WATCH_REBUILD};
	struct service s = {.name = "s", .watches = &rebuild, .n_watches = 1};
	struct project p = {.services = &s, .n_services = 1};

	assert_int_equal(watch_rules_init(&r, &p, selected, &e), -1);
	assert_string_equal(
		e.msg, "can't watch service \"s\" with action rebuild without a build context");

	s.n_watches = 0;
	assert_int_equal(watch_rules_init(&r, &p, selected, &e), -1);
	assert_string_equal(e.msg,
		"none of the selected services is configured for watch, consider setting a 'develop' section");
}

static void a_bound_path_is_left_alone(void **state)
{
	struct mount m = {.type = MOUNT_BIND, .source = "/src", .target = "/app"};
	struct watch w = {.path = "/src/sub", .target = "/app/sub"};
	struct service s = {.mounts = &m, .n_mounts = 1};
	struct watch_rules r = rules_of(&w, &s);

	assert_true(r.v[0].bound);
	assert_match(&r.v[0], "/src/sub/f", NULL);
	watch_rules_deinit(&r);
}

int main(void)
{
#define ON_DISK(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ON_DISK(files_that_come_change_and_go_are_told_once),
		ON_DISK(what_was_in_a_new_directory_before_its_watch_is_told),
		ON_DISK(a_directory_that_moves_is_gone_here_and_new_there),
		ON_DISK(a_root_that_is_a_file_or_not_there_yet_is_seen_from_above),
		ON_DISK(a_root_that_is_made_anew_is_watched_again),
		cmocka_unit_test(below_is_by_whole_components),
		cmocka_unit_test(ignored_and_editors_files_do_not_match),
		cmocka_unit_test(include_limits_what_matches),
		cmocka_unit_test(directories_without_anything_of_interest_are_skipped),
		cmocka_unit_test(impossible_rules_are_refused),
		cmocka_unit_test(a_bound_path_is_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
