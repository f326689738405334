/* ingress/acme_plan.h - which certificates ACME is asked for, and when. Pure: now is handed in.
 *
 * Let's Encrypt, "Rate Limits": 5 failures for a name in an hour, 5 same certificates in a week. A
 * failure is followed by a longer and longer pause, and no two devices ask at the same second.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/strv.h"

#define ACME_CERTS_MAX 64
#define ACME_NAMES_MAX 100 /* of one certificate: the limit of Let's Encrypt */

/* The certificates to have, each as a list of names "a.example.org,b.example.org": those that the
 * settings name (each entry is one certificate), else one for each host of a route that a public
 * authority may sign for. A wildcard only with DNS-01. */
void acme_wanted(const struct strv *configured, const struct strv *hosts, bool has_dns_hook,
	struct strv *ret);

/* Seconds to wait after so many failures in a row (1...): ten minutes, then twice as long each
 * time, up to a day; seed spreads it by up to a quarter. */
int64_t acme_pause(unsigned failures, uint32_t seed);
/* When to renew what is good from not_before to not_after: a third is left, up to a tenth of that
 * earlier by seed. */
int64_t acme_renew_at(int64_t not_before, int64_t not_after, uint32_t seed);
/* The same for everybody who has the same text. */
uint32_t acme_seed(const char *device, const char *names);

/* When a certificate is asked for next: now or earlier is at once. state: {"not_before",
 * "not_after", "failures", "tried"}, seconds since 1970; NULL: never asked for. A try "in the
 * future" is one of a wrong clock and counts for nothing. */
int64_t acme_next(const json_t *state, int64_t now, uint32_t seed);
