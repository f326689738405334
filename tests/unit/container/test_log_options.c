/* LogConfig: values in Docker's words, and what stands in each line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "container/log_options.h"
#include "fixture.h"

#define PREFIX "failed to create task for container: failed to initialize logging driver: "

static struct log_settings read_ok(const char *type, json_t *take_config)
{
	scoped(json) json_t *config = take_config;
	struct log_settings s;
	struct err e;
	assert_int_equal(log_options_read(type, config, &s, &e), 0);
	return s;
}

static void sizes_are_decimal_and_a_size_alone_is_one_file(void **state)
{
	struct log_settings s = read_ok("json-file", json_pack("{ss}", "max-size", "10m"));
	assert_int_equal(s.max_bytes, 10000000);
	assert_int_equal(s.files, 1);
	assert_false(s.compress);
	assert_int_equal(s.buffer_bytes, 0);
}

static void defaults_are_bounded(void **state)
{
	struct log_settings json = read_ok("json-file", json_object());
	struct log_settings local = read_ok("local", json_object());
	assert_int_equal(json.max_bytes, 10000000);
	assert_int_equal(json.files, 3);
	assert_int_equal(local.max_bytes, 20000000);
	assert_int_equal(local.files, 5);
	assert_true(local.compress);
}

static void no_limit_can_be_asked_for(void **state)
{
	assert_int_equal(read_ok("json-file", json_pack("{ss}", "max-size", "-1")).max_bytes, 0);
	assert_int_equal(read_ok("local", json_pack("{ss}", "max-size", "0")).max_bytes, 0);
}

static void a_mode_that_does_not_wait_has_a_buffer(void **state)
{
	assert_int_equal(
		read_ok("json-file", json_pack("{ss}", "mode", "non-blocking")).buffer_bytes,
		1 << 20);
	assert_int_equal(read_ok("local", json_pack("{ss ss}", "mode", "non-blocking",
						  "max-buffer-size", "4m"))
				 .buffer_bytes,
		4 << 20);
}

/* Recorded from dockerd 26.1.5. */
static void wrong_values_are_named_as_docker_names_them(void **state)
{
	static const struct {
		const char *type, *key, *value, *said;
	} cases[] = {{"json-file", "max-size", "x", "invalid size: 'x'"},
		{"json-file", "max-size", "0", "max-size must be a positive number"},
		{"json-file", "max-file", "0", "max-file cannot be less than 1"},
		{"json-file", "max-file", "x", "strconv.Atoi: parsing \"x\": invalid syntax"},
		{"json-file", "compress", "maybe",
			"strconv.ParseBool: parsing \"maybe\": invalid syntax"},
		{"local", "compress", "x",
			"error reading compress log option: strconv.ParseBool: parsing \"x\": invalid syntax"},
		{"local", "max-size", "x", "invalid value for max-size: x: invalid size: 'x'"},
		{"local", "max-file", "0",
			"compression cannot be enabled when max file count is 1"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(json) json_t *config = json_pack("{ss}", cases[i].key, cases[i].value);
		scoped(free) char *expected = xasprintf(PREFIX "%s", cases[i].said);
		struct log_settings s;
		struct err e;
		assert_int_equal(log_options_read(cases[i].type, config, &s, &e), -1);
		assert_string_equal(e.msg, expected);
		assert_int_equal(e.kind, ERR_SYSTEM);
	}
}

static const struct container *labelled(struct fixture *f)
{
	f->anchor->config = json_pack("{s[ss] s{ss ss} s[s]}", "Env", "ROOM=7", "X=a=b", "Labels",
		"com.site", "lab", "other", "o\n", "Cmd", "top");
	f->anchor->image_id =
		xstrdup("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
	f->anchor->image_ref = xstrdup("bb:1");
	return f->anchor;
}

static char *extra(struct fixture *f, const char *type, json_t *take_config)
{
	scoped(json) json_t *config = take_config;
	scoped(buf) struct buf text = BUF_INIT;
	return log_options_extra(f->anchor, type, config, &text, &f->e) < 0 ? xstrdup(f->e.msg)
									    : buf_take_str(&text);
}

static void attributes_are_those_named_and_those_that_match(void **state)
{
	struct fixture *f = *state;
	labelled(f);
	scoped(free) char *none = extra(f, "json-file", json_object());
	scoped(free) char *some = extra(f, "json-file",
		json_pack("{ss ss ss ss}", "labels-regex", "^com\\.", "env", "X,NONE", "labels",
			"nothing", "tag", "{{.Name}}/{{ .ImageID }}/{{.ImageName}}/{{.Command}}"));
	scoped(free) char *broken = extra(f, "json-file", json_pack("{ss}", "env-regex", "("));

	assert_string_equal(none, "");
	assert_string_equal(some,
		"\"attrs\":{\"X\":\"a=b\",\"com.site\":\"lab\",\"tag\":\"anchor/0123456789ab/"
		"bb:1/top\"},");
	assert_non_null(strstr(broken, PREFIX "error parsing regexp: "));
}

static void the_journal_has_fields(void **state)
{
	struct fixture *f = *state;
	labelled(f);
	scoped(free) char *text = extra(f, "journald", json_pack("{ss}", "labels", "com.site"));
	static const char expected[] =
		"CONTAINER_ID=aaaaaaaaaaaa\nCONTAINER_ID_FULL=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaa\nCONTAINER_NAME=anchor\nCONTAINER_TAG=aaaaaaaaaaaa\nSYSLOG_IDENTIFIER=aaaaaaaaaaaa\n"
		"IMAGE_NAME=bb:1\nCOM_SITE=lab\n";
	assert_string_equal(text, expected);
}

static void a_tag_that_is_no_template_is_refused(void **state)
{
	struct fixture *f = *state;
	labelled(f);
	scoped(free) char *field = extra(f, "json-file", json_pack("{ss}", "tag", "{{.Foo}}"));
	scoped(free) char *open = extra(f, "json-file", json_pack("{ss}", "tag", "a{{.ID"));

	assert_string_equal(field, PREFIX
		"template: log-tag:1:2: executing \"log-tag\" at <.Foo>: can't evaluate field Foo in "
		"type *logger.Info");
	assert_string_equal(open, PREFIX "template: log-tag:1: unclosed action");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_decimal_and_a_size_alone_is_one_file),
		cmocka_unit_test(defaults_are_bounded),
		cmocka_unit_test(no_limit_can_be_asked_for),
		cmocka_unit_test(a_mode_that_does_not_wait_has_a_buffer),
		cmocka_unit_test(wrong_values_are_named_as_docker_names_them),
		WITH(attributes_are_those_named_and_those_that_match),
		WITH(the_journal_has_fields),
		WITH(a_tag_that_is_no_template_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
