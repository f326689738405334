/* Modes that share something with another container, control groups by name, and what create
 * refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "fixture.h"

static void assert_refused(json_t *take_config, json_t *take_host, const char *sentence)
{
	struct err e = {0};
	scoped(json) json_t *config = take_config;
	scoped(json) json_t *host = take_host;
	assert_int_equal(modes_check(config, host, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
	assert_string_equal(e.msg, sentence);
}

/* Recorded from dockerd 26.1.5. */
static void what_excludes_each_other_is_refused(void **state)
{
	assert_refused(json_object(), json_pack("{ss}", "NetworkMode", "container:"),
		"Invalid network mode: invalid container format container:<name|id>");
	assert_refused(json_pack("{ss}", "Hostname", "h"),
		json_pack("{ss}", "NetworkMode", "container:x"),
		"conflicting options: hostname and the network mode");
	assert_refused(json_object(),
		json_pack("{ss s[s]}", "NetworkMode", "container:x", "Dns", "1.1.1.1"),
		"conflicting options: dns and the network mode");
	assert_refused(json_object(),
		json_pack("{ss sb}", "NetworkMode", "container:x", "PublishAllPorts", 1),
		"conflicting options: port publishing and the container type network mode");
	assert_refused(json_pack("{ss}", "Hostname", "h"), json_pack("{ss}", "UTSMode", "host"),
		"conflicting options: hostname and the UTS mode");
	assert_refused(json_object(), json_pack("{ss}", "PidMode", "container:"),
		"invalid PID mode: container:");
	assert_refused(json_object(), json_pack("{ss}", "IpcMode", "foo"), "invalid IPC mode: foo");
	assert_refused(json_object(), json_pack("{ss}", "CgroupnsMode", "foo"),
		"invalid cgroup namespace mode: foo");
}

static void a_mode_remembers_the_id_and_not_the_name(void **state)
{
	struct fixture *f = *state;
	fixture_image(f, json_pack("{s[s] s{s{}}}", "Cmd", "sh", "ExposedPorts", "80/tcp"));

	/* exposing is the image's here, and no conflict */
	const struct container *c =
		fixture_create(f, "web", NULL, json_pack("{ss}", "PidMode", "container:anchor"));

	assert_non_null(c);
	scoped(free) char *mode = xasprintf("container:%s", f->anchor->id);
	assert_string_equal(json_str(c->host_config, "PidMode"), mode);
	assert_string_equal(json_str(c->host_config, "NetworkMode"), mode);
	assert_ptr_equal(container_etc_owner(c), f->anchor);
}

static void an_owner_that_does_not_run_has_no_namespace(void **state)
{
	struct fixture *f = *state;
	fixture_image(f, json_pack("{s[s]}", "Cmd", "sh"));
	const struct container *c = fixture_create(f, "web", NULL, NULL);
	char *path = NULL;

	assert_int_equal(mode_namespace(c, "NetworkMode", "net", &path, &f->e), -1);
	assert_int_equal(f->e.kind, ERR_CONFLICT);
	assert_non_null(strstr(f->e.msg, "cannot join network of a non running container"));
	f->anchor->state = CONTAINER_RUNNING;
	f->anchor->pid = 77;
	assert_int_equal(mode_namespace(c, "NetworkMode", "net", &path, &f->e), 0);
	assert_string_equal(path, "/proc/77/ns/net");
	free(path);
	f->anchor->state = CONTAINER_EXITED;
}

static void a_ring_of_modes_ends(void **state)
{
	struct fixture *f = *state;
	scoped(free) char *self = xasprintf("container:%s", f->anchor->id);
	json_t *before = f->anchor->host_config;
	f->anchor->host_config = json_pack("{ss}", "NetworkMode", self);

	assert_ptr_equal(container_etc_owner(f->anchor), f->anchor);
	json_decref(f->anchor->host_config);
	f->anchor->host_config = before;
}

static void a_group_is_named_in_either_drivers_form(void **state)
{
	static const struct {
		const char *parent, *expected;
	} cases[] = {{"wherry", "wherry/ID"},
		{"/kubepods/besteffort/podX", "kubepods/besteffort/podX/ID"},
		{"kubepods-besteffort-podX.slice",
			"kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podX.slice/ID"},
		{"a.slice", "a.slice/ID"}, {"/a/b.slice", "a/b.slice/ID"}, {"../../etc", "etc/ID"},
		{"-.slice", "-.slice/ID"}, {"/", "ID"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(free) char *path = runtime_cgroup(cases[i].parent, "ID");
		assert_string_equal(path, cases[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_excludes_each_other_is_refused),
		WITH(a_mode_remembers_the_id_and_not_the_name),
		WITH(an_owner_that_does_not_run_has_no_namespace),
		WITH(a_ring_of_modes_ends),
		cmocka_unit_test(a_group_is_named_in_either_drivers_form),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
