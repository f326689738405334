/* The page that leads to trust, its QR code, and what uacme says in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/path.h"
#include "worker/acme_words.h"
#include "worker/cert_page.h"
#include "worker/qr.h"

#define NOW INT64_C(1795900000)

static const struct strv none = STRV_INIT;

static struct pki_pair authority_called(const char *name)
{
	struct pki_pair ca;
	struct err e;
	assert_int_equal(pki_make_authority(name, &none, NOW, &ca, &e), 0);
	return ca;
}

static void the_code_leads_to_the_page_by_plain_http(void **state)
{
	struct cert_page p = {.device = "pi", .http_port = 80, .addresses = &none};
	scoped(free) char *url = cert_page_url(&p);
	p.http_port = 8080;
	scoped(free) char *other = cert_page_url(&p);

	assert_string_equal(url, "http://pi.local/.wherry/ca");
	assert_string_equal(other, "http://pi.local:8080/.wherry/ca");
}

static void a_name_is_text_in_the_page_not_markup(void **state)
{
	scoped(pki_pair) struct pki_pair ca = authority_called("<script>&\"x\"");
	struct strv addresses = {.v = (char *[]){"192.0.2.7", "2001:db8::7", NULL}, .n = 2};
	const struct cert_page p = {
		.device = "pi", .http_port = 80, .addresses = &addresses, .authority = ca.cert};
	struct err e;

	scoped(free) char *html = cert_page_html(&p, &e);
	scoped(free) char *profile = cert_page_profile(&p);

	assert_non_null(strstr(html, "&lt;script&gt;&amp;&quot;x&quot;"));
	assert_null(strstr(html, "<script"));
	assert_null(strstr(profile, "<script"));
	assert_non_null(strstr(html, "http://[2001:db8::7]/.wherry/ca"));
	assert_non_null(strstr(html, "<svg "));
	assert_null(strstr(html, "other.crt"));
	assert_non_null(strstr(profile, "<string>com.apple.security.root</string>"));
}

static void files_are_written_only_when_they_change(void **state)
{
	scoped(pki_pair) struct pki_pair ca = authority_called("one");
	scoped(pki_pair) struct pki_pair second = authority_called("two");
	struct cert_page p = {.device = "pi",
		.http_port = 80,
		.addresses = &none,
		.authority = ca.cert,
		.other = second.cert};
	char dir[] = "/tmp/wherry-page.XXXXXX";
	struct stat before;
	struct stat after;
	struct err e;
	assert_non_null(mkdtemp(dir));
	scoped(free) char *page = xasprintf("%s/index.html", dir);
	scoped(free) char *other = xasprintf("%s/other.crt", dir);

	assert_int_equal(cert_page_write(dir, &p, &e), 0);
	assert_int_equal(stat(page, &before), 0);
	assert_int_equal(access(other, R_OK), 0);
	assert_int_equal(cert_page_write(dir, &p, &e), 0);
	assert_int_equal(stat(page, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	p.other = NULL;
	assert_int_equal(cert_page_write(dir, &p, &e), 0);
	assert_int_not_equal(access(other, R_OK), 0);

	path_remove_tree(AT_FDCWD, dir);
}

/* The three finder patterns are where a reader looks for them. */
static void a_qr_code_has_its_quiet_zone_and_corners(void **state)
{
	scoped(buf) struct buf svg = BUF_INIT;
	struct err e;

	assert_int_equal(qr_svg("http://pi.local/.wherry/ca", &svg, &e), 0);

	assert_non_null(strstr(buf_str(&svg), "viewBox=\"0 0 33 33\"")); /* version 2 and twice 4 */
	assert_non_null(strstr(buf_str(&svg), "M4 4h7v1h-7z"));
	assert_non_null(strstr(buf_str(&svg), "M22 4h7v1h-7z"));
	assert_non_null(strstr(buf_str(&svg), "M4 22h7v1h-7z"));
}

static char *words(const char *text)
{
	return acme_words(text, strlen(text));
}

static void the_authoritys_words_are_the_error(void **state)
{
	scoped(free) char *w =
		words("uacme: challenge https://x failed with status invalid\n"
		      "uacme: the server reported the following error:\n{\n"
		      "    \"type\": \"urn:ietf:params:acme:error:connection\",\n"
		      "    \"detail\": \"Get \\\"http://a.example.org/\\\": connection refused\",\n"
		      "    \"status\": 400\n}\nuacme: failed to authorize order at https://y\n");

	assert_string_equal(w, "Get \"http://a.example.org/\": connection refused (connection)");
}

static void else_uacmes_own_are(void **state)
{
	scoped(free) char *net =
		words("uacme: curl_get: GET https://x/dir failed: Couldn't connect\n"
		      "uacme: curl_get: waiting 5 seconds before retrying\n"
		      "uacme: failed to fetch directory at https://x/dir\n");
	scoped(free) char *last = words("uacme: loading key\nuacme: no valid identifier in auth\n");
	scoped(free) char *nothing = words("");
	scoped(free) char *challenge = words("uacme: no challenge completed\n");
	scoped(free) char *cut = words("{\"detail\": \"unfinished \\");

	assert_string_equal(net, "GET https://x/dir failed: Couldn't connect");
	assert_string_equal(last, "no valid identifier in auth");
	assert_string_equal(nothing, "uacme failed and said nothing");
	assert_non_null(strstr(challenge, "dns-hook"));
	assert_string_equal(cut, "unfinished \\");
}

static void a_token_is_no_path(void **state)
{
	assert_true(acme_token_is_valid("IHnFBsqtDfMZccDJ_-"));
	assert_false(acme_token_is_valid(""));
	assert_false(acme_token_is_valid("../x"));
	assert_false(acme_token_is_valid("a.b"));
	assert_true(acme_authorization_is_valid("abc.def"));
	assert_false(acme_authorization_is_valid("abc.def.g"));
	assert_false(acme_authorization_is_valid("abc."));
	assert_false(acme_authorization_is_valid("a\nb"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_code_leads_to_the_page_by_plain_http),
		cmocka_unit_test(a_name_is_text_in_the_page_not_markup),
		cmocka_unit_test(files_are_written_only_when_they_change),
		cmocka_unit_test(a_qr_code_has_its_quiet_zone_and_corners),
		cmocka_unit_test(the_authoritys_words_are_the_error),
		cmocka_unit_test(else_uacmes_own_are),
		cmocka_unit_test(a_token_is_no_path),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
