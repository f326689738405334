/* user/session.h - who is signed in, at which host.
 *
 * A session is a random token in a browser's cookie; here only its SHA-256 is kept, so that neither
 * the store nor a dump of it opens a door. It is good for one host. Written down when it begins and
 * when it is ended, not when it is used: after a restart of the daemon the idle time begins anew.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SESSION_TOKEN_LEN 64 /* hex digits: 256 bits */
#define SESSION_HOST_MAX 255
#define SESSION_LIFE_S (30 * 24 * 3600)
#define SESSION_IDLE_S (7 * 24 * 3600)
#define SESSIONS_MAX 2000       /* of all users; the oldest goes */
#define SESSIONS_OF_USER_MAX 50 /* the same of one */

struct store;
struct session_set;
struct user;
struct user_set;

/* The present: the end of a session is a date, idleness is counted on a clock that never jumps. */
struct moment {
	int64_t real_s, mono_s;
};
struct moment moment_now(void);

/* Both are borrowed and outlive the set. Ends the sessions of users who are changed for the worse.
 * NULL with *e. */
struct session_set *session_set_new(
	struct store *s, struct user_set *users, struct moment now, struct err *e);
void session_set_free(struct session_set *s); /* NULL is fine */
size_t session_count(const struct session_set *s);

/* host in its normal form (codec/form.h), address as text; copied. root: the session that it was
 * made from (session_root), with which it ends; NULL: none. */
int session_open(struct session_set *s, const char *user, const char *host, const char *address,
	const char *root, struct moment now, char ret_token[static SESSION_TOKEN_LEN + 1],
	struct err *e);
/* Whose it is: NULL when it is none, over, of another host, or of somebody who may not sign in any
 * more. Counts as use. Borrowed. */
struct user *session_user(
	struct session_set *s, const char *token, const char *host, struct moment now);
/* What the sessions of one sign-in have in common: borrowed, "" for an unknown token. */
const char *session_root(const struct session_set *s, const char *token);
bool session_is_root(const struct session_set *s, const char *root, const char *user);
/* Ends all of the same sign-in; unknown is fine. */
void session_close(struct session_set *s, const char *token);
void session_close_user(struct session_set *s, const char *user);
/* This user is signed in from there: not the one who tries many passwords. */
bool session_is_from(
	const struct session_set *s, const char *user, const char *address, struct moment now);
