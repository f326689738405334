/* JSON as Go's encoding/json prints it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "wherry/manifest_text.h"

static void a_text_is_laid_out_as_by_go(void **state)
{
	/* json.Indent(text, "", "\t") of Go 1.19 */
	const char *text =
		" {\"a\" :[1,2.50,{} ,[ ]],\"b\":{\"c\\\"{\":\"x : [y\" , \"d\":null}}\n";
	scoped(buf) struct buf got = BUF_INIT;

	manifest_indent(text, strlen(text), "\t", &got);

	assert_string_equal(buf_str(&got),
		"{\n\t\"a\": [\n\t\t1,\n\t\t2.50,\n\t\t{},\n\t\t[]\n\t],\n\t\"b\": {\n\t\t\"c\\\"{\": "
		"\"x : [y\",\n\t\t\"d\": null\n\t}\n}");
}

static void markup_is_escaped(void **state)
{
	scoped(json) json_t *doc =
		json_pack("{ss}", "a", "<b>&\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa");
	scoped(buf) struct buf got = BUF_INIT;

	manifest_compact(doc, &got);

	assert_string_equal(
		buf_str(&got), "{\"a\":\"\\u003cb\\u003e\\u0026\\u2028\\u2029\xe2\x80\xaa\"}");
}

static void a_text_that_ends_early_is_read_to_its_end_only(void **state)
{
	static const char *const cut[] = {"{\"a", "{\"a\\", "{", "[\"a\",", "}"};
	for (size_t i = 0; i < sizeof(cut) / sizeof(*cut); i++) {
		scoped(buf) struct buf got = BUF_INIT;
		manifest_indent(cut[i], strlen(cut[i]), " ", &got);
		assert_non_null(buf_str(&got));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_is_laid_out_as_by_go),
		cmocka_unit_test(markup_is_escaped),
		cmocka_unit_test(a_text_that_ends_early_is_read_to_its_end_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
