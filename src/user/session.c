#include "user/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "store/store.h"
#include "user/user.h"

#define KEY_LEN 64 /* hex of the token's SHA-256 */

struct session {
	char *user, *host, *address, *root; /* root: a key, perhaps its own */
	int64_t expires_s;                  /* of the real clock */
	int64_t used_s;                     /* of the monotonic one */
};

struct session_set {
	struct store *store;
	struct user_set *users;
	struct user_listener *listener;
	struct map *sessions; /* KEY_LEN digits -> struct session, the oldest first */
	struct moment loaded;
};

struct moment moment_now(void)
{
	return (struct moment){clock_real_ns() / NS_PER_SEC, clock_mono_ms() / 1000};
}

static void session_free(struct session *s)
{
	if (s) {
		free(s->user);
		free(s->host);
		free(s->address);
		free(s->root);
		free(s);
	}
}

static void key_of(const char *token, char ret[static KEY_LEN + 1])
{
	uint8_t sum[32];
	sha256(token, strlen(token), sum);
	text_hex(sum, sizeof(sum), ret);
}

static bool is_over(const struct session *s, struct moment now)
{
	return now.real_s >= s->expires_s || now.mono_s - s->used_s >= SESSION_IDLE_S;
}

/* A session whose row stays would be back after a restart: it is said, and in memory it is over. */
static void drop(struct session_set *s, const char *key)
{
	struct err e;
	if (store_delete(s->store, STORE_SESSIONS, key, &e) < 0) {
		log_error("user", "session_not_removed", "error", e.msg, NULL);
	}
	session_free(map_remove(s->sessions, key));
}

static int load(void *owner, const char *id, json_t *doc, struct err *e)
{
	struct session_set *s = owner;
	if (!text_is_hex(id, KEY_LEN)) {
		return err_set(e, ERR_SYSTEM, "the state file has a session that is none");
	}
	struct session *one = xnew(struct session);
	one->user = xstrdup(json_str(doc, "user"));
	one->host = xstrdup(json_str(doc, "host"));
	one->address = xstrdup(json_str(doc, "address"));
	one->root = xstrdup(*json_str(doc, "root") ? json_str(doc, "root") : id);
	one->expires_s = json_i64(doc, "expires", 0);
	one->used_s = s->loaded.mono_s;
	session_free(map_put(s->sessions, id, one));
	return 0;
}

/* Those that are over, and those of users that are not there: of a removal that a power cut tore.
 */
static void sweep(struct session_set *s, struct moment now)
{
	size_t pos = 0;
	const char *key;
	for (struct session *one; (one = map_next(s->sessions, &pos, &key));) {
		if (is_over(one, now) || !user_find(s->users, one->user)) {
			char copy[KEY_LEN + 1];
			memcpy(copy, key, sizeof(copy));
			drop(s, copy);
		}
	}
}

static void user_changed(void *owner, const char *name, enum user_change change)
{
	struct session_set *s = owner;
	const struct user *u = user_find(s->users, name);
	if (change == USER_NEW_PASSWORD || change == USER_REMOVED || (u && user_is_disabled(u))) {
		session_close_user(s, name);
	}
}

struct session_set *session_set_new(
	struct store *store, struct user_set *users, struct moment now, struct err *e)
{
	struct session_set *s = xnew(struct session_set);
	s->store = store;
	s->users = users;
	s->sessions = map_new();
	s->loaded = now;
	if (store_each(store, STORE_SESSIONS, load, s, e) < 0) {
		session_set_free(s);
		return NULL;
	}
	sweep(s, now);
	s->listener = user_listen(users, user_changed, s);
	return s;
}

void session_set_free(struct session_set *s)
{
	if (!s) {
		return;
	}
	user_unlisten(s->listener);
	map_each (s->sessions, struct session, one) {
		session_free(one);
	}
	map_free(s->sessions);
	free(s);
}

size_t session_count(const struct session_set *s)
{
	return map_count(s->sessions);
}

/* The oldest of a user, or of all with NULL, goes when there are max. */
static void make_room(struct session_set *s, const char *user, size_t max)
{
	size_t n = 0;
	size_t pos = 0;
	const char *key;
	char oldest[KEY_LEN + 1] = "";
	for (const struct session *one; (one = map_next(s->sessions, &pos, &key));) {
		if (!user || strcmp(one->user, user) == 0) {
			n++;
			if (!*oldest) {
				memcpy(oldest, key, sizeof(oldest));
			}
		}
	}
	if (n >= max) {
		drop(s, oldest);
	}
}

int session_open(struct session_set *s, const char *user, const char *host, const char *address,
	const char *root, struct moment now, char ret_token[static SESSION_TOKEN_LEN + 1],
	struct err *e)
{
	char token[SESSION_TOKEN_LEN + 1];
	char key[KEY_LEN + 1];
	sweep(s, now);
	make_room(s, user, SESSIONS_OF_USER_MAX);
	make_room(s, NULL, SESSIONS_MAX);
	id_new(token);
	key_of(token, key);
	const int64_t expires_s = now.real_s + SESSION_LIFE_S;
	scoped(json) json_t *doc = json_pack("{ss ss ss ss sI}", "user", user, "host", host,
		"address", address, "root", root ? root : key, "expires", (json_int_t)expires_s);
	if (store_put(s->store, STORE_SESSIONS, key, doc, e) < 0) {
		return -1;
	}
	struct session *one = xnew(struct session);
	one->user = xstrdup(user);
	one->host = xstrdup(host);
	one->address = xstrdup(address);
	one->root = xstrdup(root ? root : key);
	one->expires_s = expires_s;
	one->used_s = now.mono_s;
	session_free(map_put(s->sessions, key, one));
	memcpy(ret_token, token, sizeof(token));
	return 0;
}

struct user *session_user(
	struct session_set *s, const char *token, const char *host, struct moment now)
{
	char key[KEY_LEN + 1];
	if (!text_is_hex(token, SESSION_TOKEN_LEN)) {
		return NULL;
	}
	key_of(token, key);
	struct session *one = map_get(s->sessions, key);
	if (!one || strcmp(one->host, host) != 0) {
		return NULL;
	}
	if (is_over(one, now)) {
		drop(s, key);
		return NULL;
	}
	struct user *u = user_find(s->users, one->user);
	if (!u || user_is_disabled(u)) {
		return NULL;
	}
	one->used_s = now.mono_s;
	return u;
}

static const struct session *find(const struct session_set *s, const char *token)
{
	char key[KEY_LEN + 1];
	key_of(token, key);
	return map_get(s->sessions, key);
}

const char *session_root(const struct session_set *s, const char *token)
{
	const struct session *one = find(s, token);
	return one ? one->root : "";
}

bool session_is_root(const struct session_set *s, const char *root, const char *user)
{
	const struct session *one = map_get(s->sessions, root);
	return one && strcmp(one->user, user) == 0;
}

/* Those of a user with NULL, or those with that root. */
static void close_all(struct session_set *s, const char *user, const char *root)
{
	size_t pos = 0;
	const char *key;
	for (struct session *one; (one = map_next(s->sessions, &pos, &key));) {
		if (root ? strcmp(one->root, root) == 0 : strcmp(one->user, user) == 0) {
			char copy[KEY_LEN + 1];
			memcpy(copy, key, sizeof(copy));
			drop(s, copy);
		}
	}
}

void session_close(struct session_set *s, const char *token)
{
	scoped(free) char *root = xstrdup(session_root(s, token));
	if (*root) {
		close_all(s, NULL, root);
	}
}

void session_close_user(struct session_set *s, const char *user)
{
	close_all(s, user, NULL);
}

bool session_is_from(
	const struct session_set *s, const char *user, const char *address, struct moment now)
{
	map_each (s->sessions, struct session, one) {
		if (strcmp(one->user, user) == 0 && strcmp(one->address, address) == 0 &&
			!is_over(one, now)) {
			return true;
		}
	}
	return false;
}
