/* user/password.h - passwords and codes, checked by jobs.
 *
 * argon2id takes 19 MiB and a tenth of a second by intent: at most PASSWORD_JOBS run at a time,
 * some more wait in order, the rest is refused. A flood of sign-ins costs two processors' time at
 * most, and memory that a machine with 512 MB has.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define PASSWORD_JOBS 2
#define PASSWORD_WAITING_MAX 32
#define PASSWORD_BYTES_MIN 8
#define PASSWORD_BYTES_MAX 256
#define TOTP_SECRET_BYTES 20

struct job_pool;
struct password_desk;
struct password_ask; /* one question on its way */

struct password_desk *password_desk_new(struct job_pool *jobs);
/* After the job pool; NULL is fine. Nobody is answered any more. */
void password_desk_free(struct password_desk *d);

/* The answer, once, never before the question has returned. value: see below; with *e set there is
 * none. */
struct password_answer {
	const char *hash; /* of password_hash; borrowed */
	int64_t value;
};
typedef void password_fn(void *owner, const struct password_answer *a, const struct err *e);

/* Asks return NULL with *e: ERR_BUSY when too many wait, ERR_INVALID for passwords that are too
 * short or too long. */
struct password_ask *password_hash(
	struct password_desk *d, const char *password, password_fn *fn, void *owner, struct err *e);
/* value 1: it is that password. hash NULL: nobody's, which takes as long and is 0. */
struct password_ask *password_check(struct password_desk *d, const char *password, const char *hash,
	password_fn *fn, void *owner, struct err *e);
/* value: the step (RFC 6238: 30 s) whose code it is, now or one before or after; -1 for none. */
struct password_ask *password_check_code(struct password_desk *d, const char *code,
	const char *secret, password_fn *fn, void *owner, struct err *e);
/* Nobody waits for the answer any more; the job may go on. NULL is fine. */
void password_forget(struct password_ask *a);

/* A new secret in base32, as authenticators read it. */
void totp_secret_new(char ret[static 33]);
