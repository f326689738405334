#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after what it needs */
#include <cmocka.h>
#include <string.h>

#include "store/store.h"
#include "user/session.h"
#include "user/user.h"

static struct store *store;
static struct user_set *users;
static struct session_set *sessions;
static const struct moment begin = {1000000, 50};

static struct moment later(int64_t seconds)
{
	return (struct moment){begin.real_s + seconds, begin.mono_s + seconds};
}

static int setup(void **state)
{
	struct err e;
	store = store_open(":memory:", &e);
	users = user_set_new(store, &e);
	assert_int_equal(user_add(users, "alice", ROLE_ADMIN, "hash", &e), 0);
	assert_int_equal(user_add(users, "bob", ROLE_READ, "hash", &e), 0);
	sessions = session_set_new(store, users, begin, &e);
	assert_non_null(sessions);
	return 0;
}

static int teardown(void **state)
{
	session_set_free(sessions);
	user_set_free(users);
	store_close(store);
	return 0;
}

static void open_one(const char *user, char token[static SESSION_TOKEN_LEN + 1])
{
	struct err e;
	assert_int_equal(
		session_open(sessions, user, "app.box.local", "10.0.0.9", NULL, begin, token, &e),
		0);
}

static const struct user *who(const char *token, const char *host, int64_t after_s)
{
	return session_user(sessions, token, host, later(after_s));
}

static void a_token_is_its_user_at_its_host(void **state)
{
	char token[SESSION_TOKEN_LEN + 1];
	open_one("alice", token);
	assert_string_equal(user_name(who(token, "app.box.local", 1)), "alice");
	assert_null(who(token, "other.box.local", 1)); /* a stolen one opens no other app */
	token[0] = token[0] == 'a' ? 'b' : 'a';
	assert_null(who(token, "app.box.local", 1));
	assert_null(who("", "app.box.local", 1));
	assert_null(who("x", "app.box.local", 1));
}

static int has_token(void *owner, const char *id, json_t *doc, struct err *e)
{
	const char *token = owner;
	char *text = json_dumps(doc, 0);
	assert_null(strstr(text, token));
	assert_string_not_equal(id, token);
	free(text);
	return 0;
}

static void the_store_has_no_token(void **state)
{
	char token[SESSION_TOKEN_LEN + 1];
	struct err e;
	open_one("alice", token);
	assert_int_equal(store_each(store, STORE_SESSIONS, has_token, token, &e), 0);
}

static void a_session_ends_by_age_and_by_idleness(void **state)
{
	char token[SESSION_TOKEN_LEN + 1];
	open_one("alice", token);
	for (int64_t s = 0; s < SESSION_LIFE_S; s += SESSION_IDLE_S - 1) {
		assert_non_null(who(token, "app.box.local", s));
	}
	assert_null(who(token, "app.box.local", SESSION_LIFE_S));
	open_one("alice", token);
	assert_null(who(token, "app.box.local", SESSION_IDLE_S));
	assert_int_equal(session_count(sessions), 0);
}

static void sessions_outlive_the_daemon(void **state)
{
	char token[SESSION_TOKEN_LEN + 1];
	char closed[SESSION_TOKEN_LEN + 1];
	struct err e;
	open_one("alice", token);
	open_one("alice", closed);
	session_close(sessions, closed);
	session_set_free(sessions);
	sessions = session_set_new(store, users, later(10), &e);
	assert_non_null(who(token, "app.box.local", 11));
	assert_null(who(closed, "app.box.local", 11));
}

static void what_is_taken_from_a_user_ends_his_sessions(void **state)
{
	char token[SESSION_TOKEN_LEN + 1];
	char bobs[SESSION_TOKEN_LEN + 1];
	struct err e;
	open_one("alice", token);
	open_one("bob", bobs);
	struct user *alice = user_find(users, "alice");
	user_set_role(users, alice, ROLE_READ, &e);
	assert_int_equal(user_role(who(token, "app.box.local", 1)), ROLE_READ);
	user_set_hash(users, alice, "other", &e);
	assert_null(who(token, "app.box.local", 1));
	open_one("alice", token);
	user_set_disabled(users, alice, true, &e);
	user_set_disabled(users, alice, false, &e);
	assert_null(who(token, "app.box.local", 1));
	open_one("alice", token);
	user_remove(users, "alice", &e);
	user_add(users, "alice", ROLE_READ, "hash", &e); /* another person */
	assert_null(who(token, "app.box.local", 1));
	assert_non_null(who(bobs, "app.box.local", 1));
}

/* One sign-in, several hosts: a sign-out at one of them is one everywhere. */
static void what_came_of_a_session_ends_with_it(void **state)
{
	char home[SESSION_TOKEN_LEN + 1];
	char app[SESSION_TOKEN_LEN + 1];
	char other[SESSION_TOKEN_LEN + 1];
	struct err e;
	open_one("alice", home);
	open_one("alice", other);
	const char *root = session_root(sessions, home);
	assert_true(session_is_root(sessions, root, "alice"));
	assert_false(session_is_root(sessions, root, "bob"));
	session_open(sessions, "alice", "app.box.local", "10.0.0.9", root, begin, app, &e);
	session_set_free(sessions);
	sessions = session_set_new(store, users, later(1), &e);
	session_close(sessions, app);
	assert_null(who(home, "app.box.local", 2));
	assert_null(who(app, "app.box.local", 2));
	assert_non_null(who(other, "app.box.local", 2));
	assert_string_equal(session_root(sessions, "x"), "");
}

static void their_number_is_bounded(void **state)
{
	char first[SESSION_TOKEN_LEN + 1];
	char token[SESSION_TOKEN_LEN + 1];
	char bobs[SESSION_TOKEN_LEN + 1];
	open_one("bob", bobs);
	open_one("alice", first);
	for (int i = 0; i < SESSIONS_OF_USER_MAX; i++) {
		open_one("alice", token);
	}
	assert_int_equal(session_count(sessions), SESSIONS_OF_USER_MAX + 1);
	assert_null(who(first, "app.box.local", 1));
	assert_non_null(who(token, "app.box.local", 1));
	assert_non_null(who(bobs, "app.box.local", 1));
}

static void an_address_is_known_while_somebody_is_signed_in_there(void **state)
{
	char token[SESSION_TOKEN_LEN + 1];
	open_one("alice", token);
	assert_true(session_is_from(sessions, "alice", "10.0.0.9", later(1)));
	assert_false(session_is_from(sessions, "bob", "10.0.0.9", later(1)));
	assert_false(session_is_from(sessions, "alice", "10.0.0.8", later(1)));
	session_close(sessions, token);
	assert_false(session_is_from(sessions, "alice", "10.0.0.9", later(1)));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_token_is_its_user_at_its_host),
		TEST(the_store_has_no_token),
		TEST(a_session_ends_by_age_and_by_idleness),
		TEST(sessions_outlive_the_daemon),
		TEST(what_is_taken_from_a_user_ends_his_sessions),
		TEST(what_came_of_a_session_ends_with_it),
		TEST(their_number_is_bounded),
		TEST(an_address_is_known_while_somebody_is_signed_in_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
