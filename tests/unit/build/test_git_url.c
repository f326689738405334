#include "build/git_url.h"

#include "base/scoped.h"
#include "cmocka_all.h"

static void parts_are_found(void **state)
{
	static const struct {
		const char *text, *remote, *ref, *subdir;
	} cases[] = {
		{"https://h/a/b.git", "https://h/a/b.git", "", ""},
		{"https://h/a/b.git#main", "https://h/a/b.git", "main", ""},
		{"https://h/a/b.git#v1.0:sub/../dir/", "https://h/a/b.git", "v1.0", "dir"},
		{"https://h/a/b.git#:../../x", "https://h/a/b.git", "", "x"},
		{"http://h/b.git?ref=feature/x&subdir=%2Fdocs", "http://h/b.git", "feature/x",
			"docs"},
		{"https://h/b.git?branch=x#:y", "https://h/b.git", "refs/heads/x", "y"},
		{"https://h/b.git?tag=v1", "https://h/b.git", "refs/tags/v1", ""},
		{"git@h.example:a/b.git#x", "git@h.example:a/b.git", "x", ""},
		{"me@h:b", "me@h:b", "", ""},
		{"ssh://git@h:22/b", "ssh://git@h:22/b", "", ""},
		{"git://h/b", "git://h/b", "", ""},
		{"github.com/moby/moby#main:docs", "https://github.com/moby/moby", "main", "docs"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(git_url) struct git_url g = {0};
		struct err e = {0};
		if (git_url_parse(cases[i].text, &g, &e) < 0) {
			fail_msg("%s: %s", cases[i].text, e.msg);
		}
		assert_string_equal(g.remote, cases[i].remote);
		assert_string_equal(g.ref, cases[i].ref);
		assert_string_equal(g.subdir, cases[i].subdir);
	}
}

static void switches_of_the_query(void **state)
{
	scoped(git_url) struct git_url g = {0};
	struct err e = {0};

	assert_int_equal(
		git_url_parse(
			"https://u:pw@h/b.git?checksum=0123456789&keep-git-dir=1&submodules=false",
			&g, &e),
		0);

	assert_string_equal(g.checksum, "0123456789");
	assert_true(g.keep_git_dir);
	assert_true(g.no_submodules);
	assert_string_equal(g.remote, "https://u:pw@h/b.git");
	assert_string_equal(g.shown, "https://h/b.git");
}

/* Each of these could reach a file, a program or an option. */
static void what_git_could_misunderstand_is_refused(void **state)
{
	static const char *const cases[] = {"file:///etc", "ext::sh -c id", "/srv/b.git",
		"../b.git", "ssh://-oProxyCommand=id/b", "git@-oProxyCommand=id:b",
		"https://-x/b.git", "git@h:-b", "https:///b.git",
		"git@h:", "https://h/b.git#-upload-pack=id", "https://h/b.git#a..b",
		"https://h/b.git#a b", "https://h/b.git#a%20b", "https://h/b.git#a%0ab",
		"https://h/b.git#a:b%", "https://h/b.git#x^{}", "https://h/b.git#x.lock",
		"https://h/b.git?ref=--x", "https://h/b.git?ref=a&tag=b", "https://h/b.git?bogus=1",
		"https://h/b.git?checksum=xyz", "https://h/b.git?ref=a%00b", "https://h/\nb.git",
		"ssh://h/ext::sh", "fd::17", "https://h/b", ""};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(git_url) struct git_url g = {0};
		struct err e = {0};
		if (git_url_parse(cases[i], &g, &e) == 0) {
			fail_msg("'%s' was accepted", cases[i]);
		}
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

static void what_add_takes_for_a_repository(void **state)
{
	assert_true(git_url_is("https://h/b.git?x#y", false));
	assert_true(git_url_is("git@h:b", false));
	assert_false(git_url_is("https://h/b.tar", false));
	assert_false(git_url_is("https://h/b#x.git", false));
	assert_false(git_url_is("a@b/c:d", false));
	assert_false(git_url_is("dir/a@b", false));
	assert_false(git_url_is("github.com/a/b", false));
	assert_true(git_url_is("github.com/a/b", true));
	assert_true(git_url_is_http("HTTPS://h/b.git"));
	assert_false(git_url_is_http("httpd@h:b.git")); /* ssh, and without a "://" */
	assert_true(git_is_commit("0123456789012345678901234567890123456789"));
	assert_false(git_is_commit("012345678901234567890123456789012345678"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_are_found),
		cmocka_unit_test(switches_of_the_query),
		cmocka_unit_test(what_git_could_misunderstand_is_refused),
		cmocka_unit_test(what_add_takes_for_a_repository),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
