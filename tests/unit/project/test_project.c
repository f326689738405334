#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "project/project.h"

struct fixture {
	char folder[64];
	struct project_store *projects;
};

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);
	struct err e;
	strcpy(f->folder, "/tmp/wherry-project-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	f->projects = project_store_new(f->folder, &e);
	assert_non_null(f->projects);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	project_store_free(f->projects);
	path_remove_tree(AT_FDCWD, f->folder);
	free(f);
	return 0;
}

static void restart_daemon(struct fixture *f)
{
	struct err e;
	project_store_free(f->projects);
	f->projects = project_store_new(f->folder, &e);
	assert_non_null(f->projects);
}

static int put(struct fixture *f, const char *name, const char *text, bool *ret_new, struct err *e)
{
	scoped(json) json_t *doc = json_loads(text, 0, NULL);
	assert_non_null(doc);
	return project_store_put(f->projects, name, doc, ret_new, e);
}

static void what_was_put_is_there_after_a_restart(void **state)
{
	struct fixture *f = *state;
	struct err e;
	struct stat st;
	bool is_new;
	const char *doc = "{\"name\":\"shop\",\"config\":{\"services\":{\"a\":{\"image\":\"x\"}}},"
			  "\"working_dir\":\"/srv\",\"config_files\":[\"/srv/compose.yaml\"]}";
	scoped(free) char *path = xasprintf("%s/projects/shop.json", f->folder);
	scoped(free) char *half = xasprintf("%s/projects/shop.json.tmp", f->folder);
	assert_int_equal(put(f, "shop", doc, &is_new, &e), 0);
	assert_true(is_new);
	assert_int_equal(put(f, "shop", doc, &is_new, &e), 0);
	assert_false(is_new);
	assert_int_equal(path_write(AT_FDCWD, half, "{", 1, 0600, false), 0);
	restart_daemon(f);

	scoped(buf) struct buf text = BUF_INIT;
	scoped(json) json_t *list = project_store_list(f->projects);
	assert_int_equal(project_store_get(f->projects, "shop", &text, &e), 0);
	scoped(json) json_t *got = json_loads(buf_str(&text), 0, NULL);

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_non_null(json_object_get(json_object_get(got, "config"), "services"));
	assert_int_equal(json_array_size(list), 1);
	const json_t *line = json_array_get(list, 0);
	assert_string_equal(json_str(line, "working_dir"), "/srv");
	assert_string_not_equal(json_str(line, "updated"), "");
	assert_null(json_object_get(line, "config"));
}

static const char *listed_dir(struct fixture *f)
{
	static char dir[64];
	scoped(json) json_t *list = project_store_list(f->projects);
	assert_int_equal(json_array_size(list), 1);
	snprintf(dir, sizeof(dir), "%s", json_str(json_array_get(list, 0), "working_dir"));
	return dir;
}

static void a_line_that_does_not_fit_its_document_is_made_again(void **state)
{
	struct fixture *f = *state;
	struct err e;
	bool is_new;
	scoped(free) char *path = xasprintf("%s/projects/shop.json", f->folder);
	scoped(free) char *line = xasprintf("%s/projects/shop.line", f->folder);
	static const char edited[] =
		"{\"name\":\"shop\",\"config\":{},\"working_dir\":\"/by-hand\"}";
	static const char bad[] = "{\"name\":\"shop\",\"config\":7}";
	assert_int_equal(
		put(f, "shop", "{\"name\":\"shop\",\"config\":{},\"working_dir\":\"/srv\"}",
			&is_new, &e),
		0);

	/* it is what a start reads */
	scoped(buf) struct buf text = BUF_INIT;
	assert_int_equal(path_read(AT_FDCWD, line, 4096, &text), 0);
	scoped(json) json_t *kept = json_loads(buf_str(&text), 0, NULL);
	json_put_str(json_object_get(kept, "line"), "working_dir", "/of-the-line");
	scoped(free) char *changed = json_text(kept);
	assert_int_equal(path_write(AT_FDCWD, line, changed, strlen(changed), 0600, false), 0);
	restart_daemon(f);
	assert_string_equal(listed_dir(f), "/of-the-line");

	assert_int_equal(path_write(AT_FDCWD, path, edited, strlen(edited), 0600, false), 0);
	restart_daemon(f);
	assert_string_equal(listed_dir(f), "/by-hand");

	assert_int_equal(path_write(AT_FDCWD, line, "{", 1, 0600, false), 0);
	restart_daemon(f);
	assert_string_equal(listed_dir(f), "/by-hand");

	assert_int_equal(path_write(AT_FDCWD, path, bad, strlen(bad), 0600, false), 0);
	restart_daemon(f);
	scoped(json) json_t *list = project_store_list(f->projects);
	assert_int_equal(json_array_size(list), 0);
}

static void files_of_others_stay(void **state)
{
	struct fixture *f = *state;
	scoped(free) char *other = xasprintf("%s/projects/README", f->folder);
	scoped(free) char *orphan = xasprintf("%s/projects/gone.line", f->folder);
	scoped(free) char *half = xasprintf("%s/projects/gone.line.tmp", f->folder);
	assert_int_equal(path_write(AT_FDCWD, other, "x", 1, 0600, false), 0);
	assert_int_equal(path_write(AT_FDCWD, orphan, "{}", 2, 0600, false), 0);
	assert_int_equal(path_write(AT_FDCWD, half, "{", 1, 0600, false), 0);

	restart_daemon(f);

	struct stat st;
	assert_int_equal(stat(other, &st), 0);
	assert_int_equal(stat(orphan, &st), -1);
	assert_int_equal(stat(half, &st), -1);
}

static void a_removed_one_is_gone(void **state)
{
	struct fixture *f = *state;
	struct err e;
	bool is_new;
	scoped(buf) struct buf text = BUF_INIT;
	assert_int_equal(put(f, "a", "{\"name\":\"a\",\"config\":{}}", &is_new, &e), 0);

	assert_int_equal(project_store_remove(f->projects, "a", &e), 0);

	assert_int_equal(project_store_remove(f->projects, "a", &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "no such project: a");
	restart_daemon(f);
	assert_int_equal(project_store_get(f->projects, "a", &text, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

static void names_are_no_paths_and_documents_have_their_shape(void **state)
{
	static const char *const cases[][2] = {
		{"..", "{\"name\":\"..\",\"config\":{}}"},
		{"a/b", "{\"name\":\"a/b\",\"config\":{}}"},
		{"A", "{\"name\":\"A\",\"config\":{}}"},
		{"-a", "{\"name\":\"-a\",\"config\":{}}"},
		{"", "{\"name\":\"\",\"config\":{}}"},
		{"a", "{\"name\":\"b\",\"config\":{}}"},
		{"a", "{\"name\":\"a\"}"},
		{"a", "{\"name\":\"a\",\"config\":[]}"},
		{"a", "{\"name\":\"a\",\"config\":{},\"config_files\":[1]}"},
		{"a", "{\"name\":1,\"config\":{}}"},
		{"a", "{\"config\":{}}"},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e;
		bool is_new;

		assert_int_equal(put(f, cases[i][0], cases[i][1], &is_new, &e), -1);

		assert_int_equal(e.kind, ERR_INVALID);
	}
	scoped(json) json_t *list = project_store_list(f->projects);
	assert_int_equal(json_array_size(list), 0);
}

static void a_thousand_are_enough_and_large_ones_are_refused(void **state)
{
	struct fixture *f = *state;
	struct err e;
	bool is_new;
	for (int i = 0; i < PROJECTS_MAX; i++) {
		scoped(free) char *name = xasprintf("p%d", i);
		scoped(free) char *doc = xasprintf("{\"name\":\"%s\",\"config\":{}}", name);
		assert_int_equal(put(f, name, doc, &is_new, &e), 0);
	}

	assert_int_equal(put(f, "more", "{\"name\":\"more\",\"config\":{}}", &is_new, &e), -1);

	assert_int_equal(e.kind, ERR_DENIED);
	assert_int_equal(put(f, "p7", "{\"name\":\"p7\",\"config\":{}}", &is_new, &e), 0);
	scoped(json) json_t *huge = json_pack("{ss s{}}", "name", "p7", "config");
	scoped(free) char *text = xnew_array(char, PROJECT_BYTES_MAX + 1);
	memset(text, 'x', PROJECT_BYTES_MAX);
	json_put_str(json_object_get(huge, "config"), "x", text);
	assert_int_equal(project_store_put(f->projects, "p7", huge, &is_new, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
}

/* A thousand of them stay in memory. */
static void what_is_kept_in_memory_of_one_is_bounded(void **state)
{
	struct fixture *f = *state;
	struct err e;
	bool is_new;
	scoped(json) json_t *doc = json_pack("{ss s{} s[]}", "name", "p", "config", "config_files");
	scoped(free) char *text = xnew_array(char, (64u << 10) + 1);
	memset(text, 'x', 64u << 10);
	json_array_append_new(json_object_get(doc, "config_files"), json_string(text));

	assert_int_equal(project_store_put(f->projects, "p", doc, &is_new, &e), -1);

	assert_int_equal(e.kind, ERR_INVALID);
	/* nor is a file taken that somebody wrote by hand */
	scoped(free) char *path = xasprintf("%s/projects/p.json", f->folder);
	scoped(free) char *by_hand = json_dumps(doc, 0);
	assert_int_equal(path_write(AT_FDCWD, path, by_hand, strlen(by_hand), 0600, false), 0);
	restart_daemon(f);
	scoped(json) json_t *list = project_store_list(f->projects);
	assert_int_equal(json_array_size(list), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_was_put_is_there_after_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_line_that_does_not_fit_its_document_is_made_again, setup, teardown),
		cmocka_unit_test_setup_teardown(files_of_others_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_line_that_does_not_fit_its_document_is_made_again, setup, teardown),
		cmocka_unit_test_setup_teardown(files_of_others_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(a_removed_one_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(
			names_are_no_paths_and_documents_have_their_shape, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_thousand_are_enough_and_large_ones_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_is_kept_in_memory_of_one_is_bounded, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
