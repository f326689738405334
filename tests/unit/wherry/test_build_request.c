/* wherry/build_request.h: attributes are those that `docker buildx build` 0.13 was seen to send for
 * the same flags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "buildkit/fsutil.h"
#include "wherry/build_filter.h"
#include "wherry/build_hint.h"
#include "wherry/build_messages.h"
#include "wherry/build_request.h"

static char *dir; /* emptied by nobody but the group's end */

static void touch(const char *name, const char *text)
{
	scoped(free) char *path = path_join(dir, name);
	char *slash = strrchr(path, '/');
	*slash = '\0';
	assert_int_equal(path_mkdirs(path, 0755), 0);
	*slash = '/';
	assert_int_equal(path_write(AT_FDCWD, path, text, strlen(text), 0644, false), 0);
}

static void assert_attr(const struct build_request *r, const char *name, const char *value)
{
	assert_string_equal(json_str(r->attrs, name), value);
}

/* The options as one flag each, read into a request. */
static int read_one(struct build_request *r, struct strv *list, struct build_options *o,
	const char *value, struct err *e)
{
	strv_add(list, value);
	build_request_init(r);
	int result = build_request_options(r, o, e);
	return result < 0 ? result : build_request_outputs(r, o, e);
}

static void flags_become_attributes_of_the_frontend(void **state)
{
	struct err e;
	scoped(build_options) struct build_options o = {.target = "t",
		.pull = true,
		.network = "host",
		.no_cache = true,
		.shm_size_bytes = 1 << 20,
		.memory_bytes = 64 << 20,
		.cpuset_cpus = "0-1"};
	scoped(build_request) struct build_request r;
	setenv("OWN", "mine", 1);
	unsetenv("ABSENT");
	strv_add(&o.build_args, "A=1=2");
	strv_add(&o.build_args, "OWN");
	strv_add(&o.build_args, "ABSENT");
	strv_add(&o.labels, "l=x");
	strv_add(&o.add_hosts, "a:1.2.3.4");
	strv_add(&o.add_hosts, "b=::1");
	strv_add(&o.ulimits, "nofile=10:20");
	strv_add(&o.platforms, "linux/amd64,linux/arm64");
	strv_add(&o.cache_from, "r/app:cache");
	build_request_init(&r);

	assert_int_equal(build_request_options(&r, &o, &e), 0);

	assert_attr(&r, "target", "t");
	assert_attr(&r, "image-resolve-mode", "pull");
	assert_attr(&r, "force-network-mode", "host");
	assert_string_equal(r.entitlements.v[0], "network.host");
	assert_non_null(json_object_get(r.attrs, "no-cache"));
	assert_attr(&r, "shm-size", "1048576");
	assert_attr(&r, "wherry.memory", "67108864");
	assert_attr(&r, "wherry.cpuset-cpus", "0-1");
	assert_attr(&r, "build-arg:A", "1=2");
	assert_attr(&r, "build-arg:OWN", "mine");
	assert_null(json_object_get(r.attrs, "build-arg:ABSENT"));
	assert_attr(&r, "label:l", "x");
	assert_attr(&r, "add-hosts", "a=1.2.3.4,b=::1");
	assert_attr(&r, "ulimit", "nofile=10:20");
	assert_attr(&r, "platform", "linux/amd64,linux/arm64");
	assert_attr(&r, "cache-imports",
		"[{\"Type\":\"registry\",\"Attrs\":{\"ref\":\"r/app:cache\"}}]");
}

static void outputs_choose_exporters_and_places(void **state)
{
	static const struct {
		const char *output, *type, *dest;
		bool tree;
	} known[] = {{"out", "local", "out", true}, {"type=local,dest=out", "local", "out", true},
		{"type=tar,dest=x.tar", "tar", "x.tar", false},
		{"type=oci,dest=x.tar", "oci", "x.tar", false},
		{"type=docker,dest=x.tar", "docker", "x.tar", false},
		{"type=docker", "moby", NULL, false}, {"type=image", "moby", NULL, false}};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		struct err e;
		scoped(build_options) struct build_options o = {0};
		scoped(build_request) struct build_request r;
		strv_add(&o.tags, "a:1");
		strv_add(&o.tags, "b:2");

		assert_int_equal(read_one(&r, &o.outputs, &o, known[i].output, &e), 0);

		const json_t *export = json_array_get(r.exports, 0);
		assert_string_equal(json_str(export, "type"), known[i].type);
		assert_int_equal(r.n_dests, known[i].dest ? 1 : 0);
		if (known[i].dest) {
			assert_string_equal(r.dests[0].path, known[i].dest);
			assert_int_equal(r.dests[0].tree, known[i].tree);
		}
		bool named =
			strcmp(known[i].type, "local") != 0 && strcmp(known[i].type, "tar") != 0;
		assert_string_equal(
			json_str(json_object_get(export, "attrs"), "name"), named ? "a:1,b:2" : "");
	}
}

static void pushing_needs_names(void **state)
{
	struct err e;
	scoped(build_options) struct build_options o = {.push = true};
	scoped(build_request) struct build_request without;
	scoped(build_request) struct build_request with;
	build_request_init(&without);
	build_request_init(&with);

	assert_int_equal(build_request_outputs(&without, &o, &e), -1);
	assert_string_equal(e.msg, "tag is needed when pushing to registry");
	strv_add(&o.tags, "r/x:1");
	assert_int_equal(build_request_outputs(&with, &o, &e), 0);
	assert_int_equal(with.push_names.n, 1);
	assert_string_equal(with.push_names.v[0], "r/x:1");
}

static void what_cannot_be_done_is_refused_in_words(void **state)
{
	struct build_options o = {0};
	const struct {
		struct strv *list;
		const char *value, *words;
	} known[] = {{&o.security_opts, "seccomp=x", "not supported for build steps"},
		{&o.cache_to, "type=local", "requires dest"},
		{&o.secrets, "src=x", "id is required"},
		{&o.secrets, "id=a,src=/nonexistent", "failed to stat /nonexistent"},
		{&o.secrets, "id=a,what=x", "unexpected key 'what'"},
		{&o.contexts, "x", "expected key=value"},
		{&o.contexts, "x=/nonexistent", "failed to get build context x"},
		{&o.ssh, "k=/dev/null", "--ssh: ssh-a"},
		{&o.outputs, "type=local", "dest is required"},
		{&o.outputs, "dest=x", "type is required"},
		{&o.outputs, "type=oci,tar=false", "dest is required"}};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		struct err e;
		scoped(build_request) struct build_request r;
		assert_int_equal(read_one(&r, known[i].list, &o, known[i].value, &e), -1);
		assert_non_null(strstr(e.msg, known[i].words));
		strv_clear(known[i].list);
	}
	build_options_deinit(&o);
}

static void secrets_come_from_files_and_variables(void **state)
{
	struct err e;
	scoped(build_options) struct build_options o = {0};
	scoped(build_request) struct build_request r;
	setenv("TOKEN", "x", 1);
	touch("secret", "s");
	scoped(free) char *file = xasprintf("id=f,src=%s/secret", dir);
	strv_add(&o.secrets, file);
	strv_add(&o.secrets, "id=e,env=TOKEN");
	strv_add(&o.secrets, "type=env,id=t,src=TOKEN");

	assert_int_equal(read_one(&r, &o.secrets, &o, "id=TOKEN", &e), 0);

	assert_int_equal(r.n_secrets, 4);
	assert_null(r.secrets[0].env);
	for (size_t i = 1; i < 4; i++) {
		assert_string_equal(r.secrets[i].env, "TOKEN");
		assert_null(r.secrets[i].path);
	}
}

static void a_directory_is_two_locals(void **state)
{
	struct err e;
	scoped(free) char *ctx = path_join(dir, "ctx");
	scoped(free) char *other = path_join(dir, "other/Dockerfile.x");
	scoped(build_request) struct build_request r;
	touch("ctx/Dockerfile", "FROM a");
	touch("other/Dockerfile.x", "FROM b");
	const struct build_options o = {.operand = ctx, .file = other};
	build_request_init(&r);

	assert_int_equal(build_request_context(&r, &o, &e), 0);

	assert_int_equal(r.n_locals, 2);
	assert_string_equal(r.locals[0].name, "context");
	assert_string_equal(r.locals[0].path, ctx);
	assert_string_equal(r.locals[1].name, "dockerfile");
	assert_attr(&r, "filename", "Dockerfile.x");
}

static void an_inline_dockerfile_is_kept_apart_and_goes(void **state)
{
	struct err e;
	char path[256];
	struct build_request r;
	const struct build_options o = {.operand = dir, .dockerfile_text = "FROM x"};
	build_request_init(&r);
	assert_int_equal(build_request_context(&r, &o, &e), 0);
	snprintf(path, sizeof(path), "%s/Dockerfile", r.locals[1].path);
	assert_int_equal(access(path, R_OK), 0);

	build_request_deinit(&r);

	assert_int_equal(access(path, R_OK), -1);
}

static void a_url_is_given_to_the_engine(void **state)
{
	struct err e;
	scoped(build_request) struct build_request r;
	const struct build_options o = {.operand = "https://h.test/x.git#main:sub", .file = "D"};
	build_request_init(&r);

	assert_int_equal(build_request_context(&r, &o, &e), 0);

	assert_attr(&r, "context", "https://h.test/x.git#main:sub");
	assert_attr(&r, "filename", "D");
	assert_int_equal(r.n_locals, 0);
}

/* --- the filter --- */

static struct build_filter *filter(const char *const *metadata)
{
	struct err e;
	scoped(strv) struct strv list = STRV_INIT;
	for (; *metadata; metadata++) {
		strv_add(&list, *metadata);
	}
	scoped(close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct build_filter *f = build_filter_new(fd, &list, &e);
	assert_non_null(f);
	return f;
}

static void only_what_is_asked_for_is_given(void **state)
{
	static const char *const metadata[] = {"followpaths", "f/a", "followpaths", "f/*.txt",
		"followpaths", "link/x", "exclude-patterns", "f/no.txt", "exclude-patterns",
		"secret*", NULL};
	touch("f/a", "");
	touch("f/b", "");
	touch("f/yes.txt", "");
	touch("f/no.txt", "");
	touch("real/x", "");
	touch("real/y", "");
	scoped(free) char *link = path_join(dir, "link");
	assert_int_equal(symlink("real", link), 0);
	static const struct {
		const char *path;
		bool is_dir;
		unsigned want;
	} known[] = {{"f", true, FSUTIL_ENTER}, {"f/a", false, FSUTIL_SEND},
		{"f/a/below", false, FSUTIL_SEND}, {"f/b", false, 0},
		{"f/yes.txt", false, FSUTIL_SEND}, {"f/no.txt", false, 0},
		{"link", false, FSUTIL_SEND}, {"real", true, FSUTIL_ENTER},
		{"real/x", false, FSUTIL_SEND}, {"real/y", false, 0}, {"fa", false, 0},
		{"other", true, 0}};

	scoped(build_filter_free) struct build_filter *f = filter(metadata);

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		assert_int_equal(
			build_filter_path(f, known[i].path, known[i].is_dir), known[i].want);
	}
}

static void a_link_that_leaves_the_context_leads_back_into_it(void **state)
{
	static const char *const metadata[] = {"followpaths", "out/passwd", NULL};
	scoped(free) char *link = path_join(dir, "out");
	assert_int_equal(symlink("../../etc", link), 0);

	scoped(build_filter_free) struct build_filter *f = filter(metadata);

	assert_int_equal(build_filter_path(f, "out", false), FSUTIL_SEND);
	assert_int_equal(build_filter_path(f, "etc/passwd", false), FSUTIL_SEND);
	assert_int_equal(build_filter_path(f, "other", false), 0);
}

static void links_in_a_circle_end(void **state)
{
	static const char *const metadata[] = {"followpaths", "round/x", NULL};
	scoped(free) char *link = path_join(dir, "round");
	assert_int_equal(symlink("round", link), 0);

	scoped(build_filter_free) struct build_filter *f = filter(metadata);

	assert_int_equal(build_filter_path(f, "round", false), FSUTIL_SEND);
}

static void without_paths_everything_is_given_but_the_excluded(void **state)
{
	static const char *const metadata[] = {"exclude-patterns", "*", "exclude-patterns",
		"%21d/keep", "exclude-patterns-encoded", "1", NULL};

	scoped(build_filter_free) struct build_filter *f = filter(metadata);

	assert_int_equal(build_filter_path(f, "a", false), 0);
	assert_int_equal(build_filter_path(f, "d", true), FSUTIL_ENTER);
	assert_int_equal(build_filter_path(f, "d/keep", false), FSUTIL_SEND);
}

/* --- messages --- */

static void hints_are_for_known_errors(void **state)
{
	assert_non_null(build_hint("process \"x\" did not complete successfully: exit code: 137"));
	assert_non_null(build_hint("failed to compute cache key: \"/x\": not found"));
	assert_null(build_hint("process \"x\" did not complete successfully: exit code: 3"));
}

static void details_that_are_none_give_no_place(void **state)
{
	struct build_place place = {0};
	struct buf garbage = BUF_INIT;
	buf_puts(&garbage, "\x1a\xff\xff\xff\xff\x0f");

	build_unpack_place(&garbage, &place);

	assert_int_equal(place.line, 0);
	buf_deinit(&garbage);
	build_place_deinit(&place);
}

static int make_dir(void **state)
{
	char template[] = "/tmp/wherry-request-XXXXXX";
	dir = xstrdup(mkdtemp(template));
	return dir ? 0 : -1;
}

static int remove_dir(void **state)
{
	path_remove_tree(AT_FDCWD, dir);
	free(dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_become_attributes_of_the_frontend),
		cmocka_unit_test(outputs_choose_exporters_and_places),
		cmocka_unit_test(pushing_needs_names),
		cmocka_unit_test(what_cannot_be_done_is_refused_in_words),
		cmocka_unit_test(secrets_come_from_files_and_variables),
		cmocka_unit_test(a_directory_is_two_locals),
		cmocka_unit_test(an_inline_dockerfile_is_kept_apart_and_goes),
		cmocka_unit_test(a_url_is_given_to_the_engine),
		cmocka_unit_test(only_what_is_asked_for_is_given),
		cmocka_unit_test(a_link_that_leaves_the_context_leads_back_into_it),
		cmocka_unit_test(links_in_a_circle_end),
		cmocka_unit_test(without_paths_everything_is_given_but_the_excluded),
		cmocka_unit_test(hints_are_for_known_errors),
		cmocka_unit_test(details_that_are_none_give_no_place),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
