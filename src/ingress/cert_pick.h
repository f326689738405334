/* ingress/cert_pick.h - reads what the job "certificates" said. Pure. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* The stem of the pair for a host, borrowed from result: the user's own before ACME's before ours;
 * of those an exact name before a wildcard, then the one that lasts longest. "" and "."
 * are the device itself. NULL: none, also when result is NULL. */
const char *cert_pick(const json_t *result, const char *host);
/* Whether a pair is to be warned of: at most 14 days are left, and it is not ours to renew. */
bool cert_expires_soon(const json_t *pair, int64_t now);
/* certs.h's document for the API; new. */
json_t *cert_shown(const json_t *result);
