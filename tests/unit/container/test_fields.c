/* Config and HostConfig of a request: Docker's defaults for what is missing, the field's name for
 * what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "container/internal.h"

static json_t *config_of(json_t *take_body)
{
	scoped(json) json_t *body = take_body;
	struct err e;
	json_t *out = container_fields_config(body, &e);
	assert_non_null(out);
	return out;
}

static void assert_config_refused(json_t *take_body, const char *name)
{
	scoped(json) json_t *body = take_body;
	struct err e;
	assert_null(container_fields_config(body, &e));
	assert_int_equal(e.kind, ERR_INVALID);
	assert_non_null(strstr(e.msg, name));
}

static void assert_host_refused(json_t *take_body, const char *name)
{
	scoped(json) json_t *body = take_body;
	struct err e;
	assert_null(container_fields_host(body, &e));
	assert_int_equal(e.kind, ERR_INVALID);
	assert_non_null(strstr(e.msg, name));
}

static void an_empty_request_gets_dockers_defaults(void **state)
{
	struct err e;

	scoped(json) json_t *config = config_of(json_object());
	scoped(json) json_t *host = container_fields_host(NULL, &e);

	assert_true(json_is_string(json_object_get(config, "Hostname")));
	assert_true(json_is_false(json_object_get(config, "Tty")));
	assert_true(json_is_null(json_object_get(config, "Env")));
	assert_true(json_is_null(json_object_get(config, "StopTimeout")));
	assert_true(json_is_object(json_object_get(config, "Labels")));
	assert_int_equal(json_i64(host, "Memory", 7), 0);
	assert_true(json_is_null(json_object_get(host, "PidsLimit")));
	assert_true(json_is_null(json_object_get(host, "PortBindings")));
	assert_true(json_is_null(json_object_get(host, "Binds")));
}

static void null_counts_as_missing(void **state)
{
	scoped(json) json_t *config =
		config_of(json_pack("{sn sn sn}", "Hostname", "Tty", "Labels"));

	assert_string_equal(json_str(config, "Hostname"), "");
	assert_true(json_is_false(json_object_get(config, "Tty")));
	assert_true(json_is_object(json_object_get(config, "Labels")));
}

static void unknown_fields_are_left_out(void **state)
{
	scoped(json) json_t *config =
		config_of(json_pack("{ss s{}}", "Spaceship", "x", "HostConfig"));

	assert_null(json_object_get(config, "Spaceship"));
	assert_null(json_object_get(config, "HostConfig"));
}

static void a_command_may_be_a_single_string(void **state)
{
	scoped(json) json_t *config =
		config_of(json_pack("{ss s[ss]}", "Cmd", "ls", "Entrypoint", "a", "b"));

	scoped(free) char *cmd = json_text(json_object_get(config, "Cmd"));
	scoped(free) char *entrypoint = json_text(json_object_get(config, "Entrypoint"));
	assert_string_equal(cmd, "[\"ls\"]");
	assert_string_equal(entrypoint, "[\"a\",\"b\"]");
}

static void a_wrong_type_is_refused_by_name(void **state)
{
	assert_config_refused(json_pack("{si}", "Hostname", 1), "Hostname");
	assert_config_refused(json_pack("{ss}", "Tty", "true"), "Tty");
	assert_config_refused(json_pack("{ss}", "Env", "A=b"), "Env");
	assert_config_refused(json_pack("{s[i]}", "Env", 1), "Env");
	assert_config_refused(json_pack("{s[si]}", "Cmd", "a", 1), "Cmd");
	assert_config_refused(json_pack("{s[n]}", "Entrypoint"), "Entrypoint");
	assert_config_refused(json_pack("{s{si}}", "Labels", "a", 1), "Labels");
	assert_config_refused(json_pack("{s[s]}", "Labels", "a"), "Labels");
	assert_config_refused(json_pack("{ss}", "StopTimeout", "10"), "StopTimeout");
	assert_host_refused(json_pack("{s[i]}", "Binds", 1), "Binds");
	assert_host_refused(json_pack("{s[s]}", "Mounts", "x"), "Mounts");
	assert_host_refused(json_pack("{s[s]}", "Devices", "/dev/x"), "Devices");
	assert_host_refused(json_pack("{ss}", "Memory", "64m"), "Memory");
	assert_host_refused(json_pack("{sf}", "Memory", 1.5), "Memory");
	assert_host_refused(json_pack("{s[s]}", "ConsoleSize", "80"), "ConsoleSize");
	assert_host_refused(json_pack("{s[]}", "PortBindings"), "PortBindings");
}

static void the_request_is_not_changed_through_the_result(void **state)
{
	scoped(json) json_t *body = json_pack("{s{ss} s[s]}", "Labels", "a", "b", "Env", "A=b");
	struct err e;
	scoped(json) json_t *config = container_fields_config(body, &e);

	json_put_str(json_object_get(config, "Labels"), "a", "changed");
	json_array_clear(json_object_get(config, "Env"));

	assert_string_equal(json_str(json_object_get(body, "Labels"), "a"), "b");
	assert_int_equal(json_array_size(json_object_get(body, "Env")), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_request_gets_dockers_defaults),
		cmocka_unit_test(null_counts_as_missing),
		cmocka_unit_test(unknown_fields_are_left_out),
		cmocka_unit_test(a_command_may_be_a_single_string),
		cmocka_unit_test(a_wrong_type_is_refused_by_name),
		cmocka_unit_test(the_request_is_not_changed_through_the_result),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
