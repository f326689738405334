/* user/user.h - who may sign in, and who may use the API from afar.
 *
 * A user is a name, a role, a password (only its argon2id hash, made by a job: user/password.h),
 * and when he wants it a second factor (RFC 6238) and certificates for the API. All are in memory,
 * each change is in the store before it counts.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strv.h"

#define USER_NAME_MAX 32
#define USERS_MAX 1000
#define USER_CERTIFICATES_MAX 16

struct store;
struct user_set;
struct user;

/* Each may what the one before it may. */
enum user_role {
	ROLE_NONE,
	ROLE_READ,    /* look, without secrets and without contents of files */
	ROLE_OPERATE, /* start, stop, restart, read logs */
	ROLE_ADMIN,   /* everything, which is as much as being root */
};
const char *role_word(enum user_role role);            /* "read", ...; "" for none */
int role_parse(const char *word, enum user_role *ret); /* -EINVAL */

/* Reads what is kept; NULL with *e. s is borrowed and outlives the set. */
struct user_set *user_set_new(struct store *s, struct err *e);
void user_set_free(struct user_set *s); /* NULL is fine */

/* [a-z0-9_][a-z0-9_.-]*, at most USER_NAME_MAX: the name is in headers, certificates and paths. */
bool user_name_is_valid(const char *name);
struct user *user_find(const struct user_set *s, const char *name); /* NULL when there is none */
/* In order of their making; start with *pos = 0, NULL at the end. */
struct user *user_next(const struct user_set *s, size_t *pos);
size_t user_count(const struct user_set *s);

/* Borrowed until the user changes. */
const char *user_name(const struct user *u);
enum user_role user_role(const struct user *u);
bool user_is_disabled(const struct user *u);
const char *user_hash(const struct user *u);
const char *user_totp(const struct user *u); /* the secret in base32, or "" */
/* A new object for the API: no hash, no secret. */
json_t *user_json(const struct user *u);

/* ERR_CONFLICT, ERR_INVALID, ERR_DENIED when USERS_MAX are there. */
int user_check_new(const struct user_set *s, const char *name, struct err *e);
/* The same errors. hash: of crypto_pwhash_str. */
int user_add(
	struct user_set *s, const char *name, enum user_role role, const char *hash, struct err *e);
int user_remove(struct user_set *s, const char *name, struct err *e); /* ERR_NOT_FOUND */
int user_set_hash(struct user_set *s, struct user *u, const char *hash, struct err *e);
int user_set_role(struct user_set *s, struct user *u, enum user_role role, struct err *e);
int user_set_disabled(struct user_set *s, struct user *u, bool disabled, struct err *e);
int user_set_totp(struct user_set *s, struct user *u, const char *secret, struct err *e);
/* The code of this step was used: ERR_DENIED when it, or a later one, was before. */
int user_take_totp_step(struct user_set *s, struct user *u, int64_t step, struct err *e);

/* ERR_DENIED when there are USER_CERTIFICATES_MAX. */
int user_check_certificate(const struct user *u, struct err *e);
/* Certificates for the API: known by the id in the name that the daemon gave them, so that one of a
 * user who was removed is not that of a later user of the name. */
int user_add_certificate(
	struct user_set *s, struct user *u, const char *id, const char *not_after, struct err *e);
/* id NULL: all of them. ERR_NOT_FOUND. */
int user_remove_certificate(struct user_set *s, struct user *u, const char *id, struct err *e);
size_t user_certificates(const struct user *u);
const char *user_certificate_id(const struct user *u, size_t i); /* borrowed, as above */
/* Not disabled, and with a certificate: there is a socket for this one. */
bool user_has_api(const struct user *u);
/* Appends "alice:0123456789abcdef" for each certificate that is good: the common name that it has.
 */
void user_api_names(const struct user_set *s, struct strv *ret);
/* RUN/ingress/api/ID.sock of a certificate; the caller's. */
char *user_api_socket(const char *exec_root, const char *id);

/* Told after each change; name is borrowed. A removed one cannot be found any more. */
enum user_change { USER_ADDED, USER_CHANGED, USER_NEW_PASSWORD, USER_REMOVED };
typedef void user_change_fn(void *owner, const char *name, enum user_change change);
struct user_listener;
struct user_listener *user_listen(struct user_set *s, user_change_fn *fn, void *owner);
void user_unlisten(struct user_listener *l); /* NULL is fine */
