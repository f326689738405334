/* The job "password" (user/password.h): {"do": "hash", "password"}: {"hash"};
 * {"do": "check", "password", "hash"}: {"value": 1 or 0}; {"do": "code", "code", "secret"}:
 * {"value": the step, or -1}. */
#include <sodium.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "worker/jobs.h"
#include "worker/totp.h"

/* OWASP Password Storage Cheat Sheet, argon2id: 19 MiB, two passes. A tenth of a second here, half
 * a one on a Raspberry Pi 3, and memory that 512 MB have twice at a time. */
#define PASSES 2
#define MEMORY_BYTES (19u << 20)

/* Of no password that anybody knows, with the same costs: what is compared when there is no such
 * user. */
static const char nobody[] =
	"$argon2id$v=19$m=19456,t=2,p=1$gJTACL8ghxrGtBHcduFQ2Q$vfCtVnOxrPMFKUbYusSM/Z/j4K+o0xgQbm9c5hRZXmY";

static json_t *hash(const char *password, struct err *e)
{
	char text[crypto_pwhash_STRBYTES];
	if (crypto_pwhash_str(text, password, strlen(password), PASSES, MEMORY_BYTES) < 0) {
		(void)err_set(e, ERR_SYSTEM, "not enough memory to hash a password");
		return NULL;
	}
	return json_pack("{ss}", "hash", text);
}

static json_t *check(const char *password, const char *wanted, struct err *e)
{
	bool known = *wanted != '\0';
	errno = 0;
	int r = crypto_pwhash_str_verify(known ? wanted : nobody, password, strlen(password));
	if (r < 0 && errno == ENOMEM) {
		(void)err_set(e, ERR_BUSY, "not enough memory to check a password");
		return NULL;
	}
	return json_pack("{si}", "value", r == 0 && known ? 1 : 0);
}

static json_t *check_code(const char *code, const char *secret, struct err *e)
{
	int64_t step;
	if (totp_find(secret, code, (int64_t)time(NULL), &step, e) < 0) {
		return NULL;
	}
	return json_pack("{sI}", "value", (json_int_t)step);
}

json_t *worker_password(struct rpc *r, const json_t *request, struct err *e)
{
	const char *what = json_str(request, "do");
	if (sodium_init() < 0) {
		(void)err_set(e, ERR_SYSTEM, "libsodium cannot be used");
		return NULL;
	}
	if (strcmp(what, "hash") == 0) {
		return hash(json_str(request, "password"), e);
	}
	if (strcmp(what, "check") == 0) {
		return check(json_str(request, "password"), json_str(request, "hash"), e);
	}
	return check_code(json_str(request, "code"), json_str(request, "secret"), e);
}
