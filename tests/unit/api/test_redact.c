#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after what it needs */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "api/redact.h"
#include "base/json.h"

static void assert_redacted(const char *from, const char *to)
{
	struct err e;
	scoped(json) json_t *given = json_parse(from, strlen(from), "the answer", &e);
	scoped(json) json_t *shown = redact(given);
	scoped(free) char *text = json_text(shown);
	scoped(free) char *before = json_text(given);
	assert_string_equal(text, to);
	assert_string_equal(before, from); /* what is shared with the daemon stays */
}

static void environments_have_names_only(void **state)
{
	assert_redacted("{\"Config\":{\"Env\":[\"A=secret=x\",\"B\",\"C=\"],\"Cmd\":[\"A=b\"]}}",
		"{\"Config\":{\"Env\":[\"A=***\",\"B\",\"C=***\"],\"Cmd\":[\"A=b\"]}}");
	assert_redacted("{\"Env\":null}", "{\"Env\":null}");
}

static void options_of_file_servers_are_hidden(void **state)
{
	assert_redacted("[{\"Options\":{\"type\":\"cifs\",\"o\":\"password=x\"},\"o\":1}]",
		"[{\"Options\":{\"type\":\"cifs\",\"o\":\"***\"},\"o\":1}]");
	assert_redacted("{\"DriverConfig\":{\"Options\":{\"o\":\"p\"}}}",
		"{\"DriverConfig\":{\"Options\":{\"o\":\"***\"}}}");
}

static void hashes_in_labels_are_hidden_names_are_not(void **state)
{
	assert_redacted(
		"{\"Labels\":{\"wherry.http.users\":\"u:$2y$x\",\"wherry.http.a.users\":\"u:h\",\"x.users\":\"a:b\"}}",
		"{\"Labels\":{\"wherry.http.users\":\"***\",\"wherry.http.a.users\":\"***\",\"x.users\":\"a:b\"}}");
	assert_redacted("{\"Labels\":{\"wherry.http.users\":\"alice,@admin\"}}",
		"{\"Labels\":{\"wherry.http.users\":\"alice,@admin\"}}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(environments_have_names_only),
		cmocka_unit_test(options_of_file_servers_are_hidden),
		cmocka_unit_test(hashes_in_labels_are_hidden_names_are_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
