#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after what it needs */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/scoped.h"
#include "store/store.h"
#include "user/password.h"
#include "user/user.h"

static struct store *store;
static struct user_set *users;
static struct err e;

static int setup(void **state)
{
	store = store_open(":memory:", &e);
	users = user_set_new(store, &e);
	return users ? 0 : -1;
}

static int teardown(void **state)
{
	user_set_free(users);
	store_close(store);
	return 0;
}

static void again(void)
{
	user_set_free(users);
	users = user_set_new(store, &e);
	assert_non_null(users);
}

static void a_user_outlives_the_daemon(void **state)
{
	assert_int_equal(user_add(users, "alice", ROLE_OPERATE, "$argon2id$x", &e), 0);
	user_set_totp(users, user_find(users, "alice"), "ABCD", &e);
	again();
	const struct user *u = user_find(users, "alice");
	assert_int_equal(user_role(u), ROLE_OPERATE);
	assert_string_equal(user_hash(u), "$argon2id$x");
	assert_string_equal(user_totp(u), "ABCD");
	assert_false(user_is_disabled(u));
}

static void what_is_shown_has_no_secret(void **state)
{
	user_add(users, "alice", ROLE_READ, "SECRETHASH", &e);
	user_set_totp(users, user_find(users, "alice"), "SECRETKEY", &e);
	json_t *o = user_json(user_find(users, "alice"));
	char *text = json_dumps(o, 0);
	assert_null(strstr(text, "SECRET"));
	assert_true(json_is_true(json_object_get(o, "totp")));
	free(text);
	json_decref(o);
}

static void names_fit_headers_paths_and_certificates(void **state)
{
	static const char *const good[] = {"a", "alice", "_x", "a.b-c_9", "0"};
	static const char *const bad[] = {"", "Alice", ".a", "-a", "a b", "a/b", "a\n", "\xc3\xa4",
		"a@b", "a,b", "a=b", "@admin", "123456789012345678901234567890123"};
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_true(user_name_is_valid(good[i]));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_false(user_name_is_valid(bad[i]));
		assert_int_equal(user_add(users, bad[i], ROLE_READ, "h", &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

static void a_name_is_given_once(void **state)
{
	user_add(users, "alice", ROLE_READ, "h", &e);
	assert_int_equal(user_add(users, "alice", ROLE_ADMIN, "h", &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(user_role(user_find(users, "alice")), ROLE_READ);
	assert_int_equal(user_remove(users, "bob", &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

static void a_code_is_good_once(void **state)
{
	user_add(users, "alice", ROLE_READ, "h", &e);
	assert_int_equal(user_take_totp_step(users, user_find(users, "alice"), 100, &e), 0);
	assert_int_equal(user_take_totp_step(users, user_find(users, "alice"), 100, &e), -1);
	assert_int_equal(e.kind, ERR_DENIED);
	again();
	assert_int_equal(user_take_totp_step(users, user_find(users, "alice"), 99, &e), -1);
	assert_int_equal(user_take_totp_step(users, user_find(users, "alice"), 101, &e), 0);
}

static void a_certificate_is_of_one_user(void **state)
{
	user_add(users, "alice", ROLE_ADMIN, "h", &e);
	struct user *u = user_find(users, "alice");
	assert_false(user_has_api(u));
	assert_int_equal(user_add_certificate(users, u, "0011", "2030-01-01T00:00:00Z", &e), 0);
	scoped(strv) struct strv names = STRV_INIT;
	user_api_names(users, &names);
	assert_int_equal(names.n, 1);
	assert_string_equal(names.v[0], "alice:0011");
	assert_true(user_has_api(u));
	user_set_disabled(users, u, true, &e);
	assert_false(user_has_api(u));
	user_set_disabled(users, u, false, &e);
	assert_int_equal(user_remove_certificate(users, u, "0012", &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(user_remove_certificate(users, u, "0011", &e), 0);
	assert_false(user_has_api(u));
	user_add_certificate(users, u, "0013", "", &e);
	user_remove(users, "alice", &e);
	user_add(users, "alice", ROLE_ADMIN, "h", &e);
	assert_int_equal(user_certificates(user_find(users, "alice")), 0);
}

static void certificates_have_a_bound(void **state)
{
	user_add(users, "alice", ROLE_ADMIN, "h", &e);
	struct user *u = user_find(users, "alice");
	for (int i = 0; i < USER_CERTIFICATES_MAX; i++) {
		scoped(free) char *id = xasprintf("%d", i);
		assert_int_equal(user_add_certificate(users, u, id, "", &e), 0);
	}
	assert_int_equal(user_add_certificate(users, u, "x", "", &e), -1);
	assert_int_equal(user_remove_certificate(users, u, NULL, &e), 0);
	assert_int_equal(user_certificates(u), 0);
}

struct heard {
	char text[256];
};

static void hear(void *owner, const char *name, enum user_change change)
{
	struct heard *h = owner;
	size_t n = strlen(h->text);
	snprintf(h->text + n, sizeof(h->text) - n, "%s%d ", name, (int)change);
}

static void changes_are_told(void **state)
{
	struct heard h = {0};
	struct user_listener *l = user_listen(users, hear, &h);
	user_add(users, "a", ROLE_READ, "h", &e);
	user_set_role(users, user_find(users, "a"), ROLE_ADMIN, &e);
	user_set_hash(users, user_find(users, "a"), "i", &e);
	user_remove(users, "a", &e);
	user_unlisten(l);
	user_add(users, "b", ROLE_READ, "h", &e);
	assert_string_equal(h.text, "a0 a1 a2 a3 ");
}

static void secrets_are_base32_and_differ(void **state)
{
	char one[33], other[33];
	totp_secret_new(one);
	totp_secret_new(other);
	assert_int_equal(strspn(one, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), 32);
	assert_string_not_equal(one, other);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_user_outlives_the_daemon),
		TEST(what_is_shown_has_no_secret),
		TEST(names_fit_headers_paths_and_certificates),
		TEST(a_name_is_given_once),
		TEST(a_code_is_good_once),
		TEST(a_certificate_is_of_one_user),
		TEST(certificates_have_a_bound),
		TEST(changes_are_told),
		TEST(secrets_are_base32_and_differ),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
