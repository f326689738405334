/* What docker compose 2.40.3 printed for made-up projects (golden.json, made by
 * tests/compose/compare
 * --record): the loader and the printer give the same document, and refuse what it refused. */
#include "files.h"

#include <jansson.h>

#include "base/mem.h"
#include "compose/emit.h"
#include "compose/show.h"

static int read_case(void *owner, const char *path, size_t limit, struct buf *ret)
{
	const char *text = json_string_value(json_object_get(owner, path));
	return text ? buf_append_limited(ret, text, strlen(text), limit) : -ENOENT;
}

/* "-f NAME" and "--profile NAME" of the case. */
static void read_arguments(const json_t *list, struct strv *files, struct strv *profiles)
{
	strv_add(files, "/case/compose.yaml");
	for (size_t i = 0; i + 1 < json_array_size(list); i += 2) {
		const char *flag = json_string_value(json_array_get(list, i));
		const char *value = json_string_value(json_array_get(list, i + 1));
		strv_add(strcmp(flag, "-f") == 0 ? files : profiles, value);
	}
}

static struct project *load_case(const json_t *c, struct err *e)
{
	static const char *const environment[] = {
		"PATH=/usr/bin:/bin", "HOME=/home/someone", "SET=value", "EMPTY=", NULL};
	scoped(strv) struct strv files = STRV_INIT;
	scoped(strv) struct strv profiles = STRV_INIT;
	scoped(strv) struct strv none = STRV_INIT;
	read_arguments(json_object_get(c, "arguments"), &files, &profiles);
	const struct load_options o = {.files = &files,
		.env_files = &none,
		.profiles = &profiles,
		.services = &none,
		.cwd = "/case",
		.environment = (char *const *)environment,
		.read = read_case,
		.owner = json_object_get(c, "files"),
		.only_show = true};
	return project_load(&o, e);
}

/* 1 when ours is theirs. */
static int is_same(const json_t *c)
{
	struct err e = {0};
	const char *name = json_string_value(json_object_get(c, "name"));
	const json_t *wanted = json_object_get(c, "json");
	scoped(project_free) struct project *p = load_case(c, &e);
	if (!p || !wanted) {
		if (!p != !wanted) {
			print_error("%s: %s\n", name, p ? "accepted" : e.msg);
		}
		return !p == !wanted;
	}
	scoped(buf) struct buf text = BUF_INIT;
	emit_json(show_project(p->tree, p->root, true), false, &text);
	json_t *got = json_loadb(text.data, text.len, 0, NULL);
	int same = json_equal(got, wanted);
	if (!same) {
		scoped(free) char *theirs = json_dumps(wanted, JSON_INDENT(2) | JSON_SORT_KEYS);
		print_error("%s: got\n%s\nwanted\n%s\n", name, buf_str(&text), theirs);
	}
	json_decref(got);
	return same;
}

static void config_is_what_docker_compose_prints(void **state)
{
	json_t *cases = json_load_file(GOLDEN, 0, NULL);
	assert_non_null(cases);
	int different = 0;
	for (size_t i = 0; i < json_array_size(cases); i++) {
		different += !is_same(json_array_get(cases, i));
	}
	assert_true(json_array_size(cases) > 50);
	json_decref(cases);
	assert_int_equal(different, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config_is_what_docker_compose_prints),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
