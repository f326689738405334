/* Attributes of the Dockerfile frontend as options of a build. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "buildkit/solve.h"

static json_t *solve_with(const char *attrs, const char *exporters, struct err *e)
{
	scoped(json) json_t *a = json_loads(attrs, 0, NULL);
	scoped(json) json_t *x = json_loads(exporters, 0, NULL);
	assert_non_null(a);
	assert_non_null(x);
	const struct solve_request r = {
		.frontend = "dockerfile.v0", .session = "s1", .attrs = a, .exporters = x};
	return solve_options(&r, e);
}

static void has(const char *attrs, const char *key, const char *value)
{
	struct err e;
	scoped(json) json_t *options = solve_with(attrs, "[]", &e);
	scoped(json) json_t *want = json_loads(value, JSON_DECODE_ANY, NULL);
	assert_non_null(options);
	assert_non_null(want);
	if (!json_equal(json_object_get(options, key), want)) {
		scoped(free) char *got = json_text(options);
		fail_msg("%s of %s is not %s: %s", key, attrs, value, got);
	}
}

static void refused(const char *attrs, enum err_kind kind, const char *part)
{
	struct err e;
	assert_null(solve_with(attrs, "[]", &e));
	assert_int_equal(e.kind, kind);
	if (!strstr(e.msg, part)) {
		fail_msg("'%s' does not say '%s'", e.msg, part);
	}
}

static void attributes_become_options(void **state)
{
	has("{}", "session", "\"s1\"");
	has("{}", "progress", "\"vertices\"");
	has("{}", "dockerfile", "\"Dockerfile\"");
	has("{\"filename\": \"sub/D\"}", "dockerfile", "\"sub/D\"");
	has("{\"target\": \"t\"}", "target", "\"t\"");
	has("{\"build-arg:A\": \"1\", \"build-arg:B\": \"\"}", "buildargs",
		"{\"A\": \"1\", \"B\": \"\"}");
	has("{\"label:x.y\": \"z=1\"}", "labels", "{\"x.y\": \"z=1\"}");
	has("{\"context:base\": \"docker-image://bb\"}", "named_contexts",
		"{\"base\": \"docker-image://bb\"}");
	has("{\"platform\": \"linux/amd64,linux/arm/v7\"}", "platforms",
		"[\"linux/amd64\", \"linux/arm/v7\"]");
	has("{\"no-cache\": \"\"}", "nocache", "true");
	has("{\"no-cache\": \"a,b\"}", "no_cache_filter", "[\"a\", \"b\"]");
	has("{\"image-resolve-mode\": \"pull\"}", "pull", "true");
	has("{\"image-resolve-mode\": \"local\"}", "pull", "false");
	has("{\"add-hosts\": \"a=1.2.3.4,b=::1\"}", "extrahosts", "[\"a:1.2.3.4\", \"b:::1\"]");
	has("{\"shm-size\": \"1048576\"}", "shmsize", "1048576");
	has("{\"ulimit\": \"nofile=10:20,core=unlimited\"}", "rlimits",
		"[{\"type\": \"RLIMIT_NOFILE\", \"soft\": 10, \"hard\": 20},"
		" {\"type\": \"RLIMIT_CORE\", \"soft\": -1, \"hard\": -1}]");
	has("{\"force-network-mode\": \"none\"}", "networkmode", "\"none\"");
	has("{}", "networkmode", "\"default\"");
	has("{\"build-arg:SOURCE_DATE_EPOCH\": \"17\"}", "source_date_epoch", "17");
	has("{\"attest:provenance\": \"mode=min\", \"other\": \"x\"}", "attrs",
		"{\"other\": \"x\"}");
	has("{\"requestid\": \"frontend.lint\"}", "check", "true");
}

static void contexts_come_from_where_they_are(void **state)
{
	has("{}", "context", "{\"kind\": \"session\", \"name\": \"context\", \"session\": \"\"}");
	has("{}", "dockerfile_source",
		"{\"kind\": \"session\", \"name\": \"dockerfile\", \"session\": \"\"}");
	has("{\"local-sessionid:context\": \"s2\"}", "context",
		"{\"kind\": \"session\", \"name\": \"context\", \"session\": \"s2\"}");
	has("{\"context\": \"https://h/r.git#main:sub\"}", "context",
		"{\"kind\": \"git\", \"url\": \"https://h/r.git#main:sub\"}");
	has("{\"context\": \"git@h:r\"}", "context", "{\"kind\": \"git\", \"url\": \"git@h:r\"}");
	has("{\"context\": \"https://h/c.tar\"}", "context",
		"{\"kind\": \"http\", \"url\": \"https://h/c.tar\"}");
	has("{\"context\": \"http://buildkit-session/abc\"}", "context",
		"{\"kind\": \"upload\", \"path\": \"/abc\"}");
	has("{\"context\": \"https://h/c.tar\", \"dockerfilekey\": \"dockerfile\"}",
		"dockerfile_source",
		"{\"kind\": \"session\", \"name\": \"dockerfile\", \"session\": \"\"}");
}

static void caches_of_all_forms_are_listed(void **state)
{
	has("{\"cache-imports\": \"[{\\\"Type\\\":\\\"registry\\\",\\\"Attrs\\\":{\\\"ref\\\":\\\"a\\\"}}]\"}",
		"cache_from", "[{\"type\": \"registry\", \"attrs\": {\"ref\": \"a\"}}]");
	has("{\"cache-from\": \"a,b\"}", "cache_from",
		"[{\"type\": \"registry\", \"attrs\": {\"ref\": \"a\"}},"
		" {\"type\": \"registry\", \"attrs\": {\"ref\": \"b\"}}]");
}

static void names_of_images_are_tags(void **state)
{
	struct err e;
	scoped(json) json_t *o =
		solve_with("{}", "[{\"type\": \"moby\", \"attrs\": {\"name\": \"a:1,b\"}}]", &e);
	scoped(json) json_t *want = json_pack("[ss]", "a:1", "b");
	assert_true(json_equal(json_object_get(o, "tags"), want));
	assert_int_equal(json_array_size(json_object_get(o, "outputs")), 1);
}

static void only_the_host_network_can_be_granted(void **state)
{
	static const char *const granted[] = {"[\"network.host\"]", "[\"security.insecure\"]"};
	for (size_t i = 0; i < 2; i++) {
		struct err e;
		scoped(json) json_t *list = json_loads(granted[i], 0, NULL);
		scoped(json) json_t *attrs = json_object();
		const struct solve_request q = {.frontend = "dockerfile.v0",
			.session = "s",
			.attrs = attrs,
			.entitlements = list};
		scoped(json) json_t *options = solve_options(&q, &e);
		assert_true((options != NULL) == (i == 0));
	}
}

static void what_cannot_be_is_refused_in_words(void **state)
{
	refused("{\"ulimit\": \"nofile\"}", ERR_INVALID, "ulimit");
	refused("{\"ulimit\": \"nofile=a\"}", ERR_INVALID, "ulimit");
	refused("{\"shm-size\": \"-1\"}", ERR_INVALID, "shm size");
	refused("{\"force-network-mode\": \"bridge7\"}", ERR_INVALID, "netmode");
	refused("{\"add-hosts\": \"a\"}", ERR_INVALID, "hosts");
	refused("{\"cgroup-parent\": \"/x\"}", ERR_INVALID, "cgroup");
	refused("{\"cache-imports\": \"{\"}", ERR_INVALID, "cache-imports");
	refused("{\"build-arg:BUILDKIT_SYNTAX\": \"me/mine:1\"}", ERR_NOT_IMPLEMENTED, "me/mine:1");
}

static void the_dockerfile_image_is_ourselves(void **state)
{
	assert_true(solve_is_dockerfile_image("docker/dockerfile"));
	assert_true(solve_is_dockerfile_image("docker/dockerfile:1.7-labs"));
	assert_true(solve_is_dockerfile_image("docker.io/docker/dockerfile-upstream:master"));
	assert_true(solve_is_dockerfile_image("docker/dockerfile@sha256:00"));
	assert_false(solve_is_dockerfile_image("docker/dockerfiles"));
	assert_false(solve_is_dockerfile_image("example.com/docker/dockerfile"));
	struct err e;
	scoped(json) json_t *attrs = json_pack("{ss}", "source", "docker/dockerfile:1");
	struct solve_request r = {.frontend = "gateway.v0", .session = "", .attrs = attrs};
	scoped(json) json_t *options = solve_options(&r, &e);
	assert_non_null(options);
	r.frontend = "gateway.v1";
	assert_null(solve_options(&r, &e));
	assert_int_equal(e.kind, ERR_NOT_IMPLEMENTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attributes_become_options),
		cmocka_unit_test(contexts_come_from_where_they_are),
		cmocka_unit_test(caches_of_all_forms_are_listed),
		cmocka_unit_test(names_of_images_are_tags),
		cmocka_unit_test(only_the_host_network_can_be_granted),
		cmocka_unit_test(what_cannot_be_is_refused_in_words),
		cmocka_unit_test(the_dockerfile_image_is_ourselves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
