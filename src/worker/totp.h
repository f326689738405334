/* worker/totp.h - codes of the second factor: RFC 6238 with SHA-1, 30 seconds and 6 digits, which
 * is what every authenticator can. */
#pragma once
#include <stdint.h>

#include "base/err.h"

#define TOTP_STEP_S 30
#define TOTP_DIGITS 6

/* The code of a step (seconds since 1970 / TOTP_STEP_S); secret in base32 (RFC 4648 6), blanks and
 * small letters are fine. ERR_INVALID for what is no secret. */
int totp_code(const char *secret, int64_t step, char ret[static TOTP_DIGITS + 1], struct err *e);
/* *ret: the step whose code it is, of those that clocks may differ by: now, one before, one after;
 * -1 for none. Takes as long for each. */
int totp_find(const char *secret, const char *code, int64_t now_s, int64_t *ret, struct err *e);
