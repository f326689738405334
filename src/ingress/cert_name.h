/* ingress/cert_name.h - which names a certificate covers. Pure; the daemon and its workers use it.
 *
 * Names are lower case, without a last dot. A wildcard stands for one whole label, the first (RFC
 * 6125 6.4.3); addresses are equal or not. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strv.h"

/* It was later than this when this line was written, 2026-11-01: a clock that says less is not set
 * (a board without a battery begins in 1970), and certificates are dated from here. */
#define CERT_CLOCK_FLOOR INT64_C(1793491200)

enum cert_match { CERT_MATCH_NONE, CERT_MATCH_WILDCARD, CERT_MATCH_EXACT };

/* host may be a wildcard itself, which only the same one covers. */
enum cert_match cert_name_match(const char *name, const char *host);
enum cert_match cert_names_match(const struct strv *names, const char *host); /* the best */

/* The names of the device's own certificate, the first of them NAME.local: *.NAME.local, what the
 * machine is called, that with each domain that its resolver searches, the addresses. hostname may
 * have dots. */
void cert_device_names(const char *name, const char *hostname, const struct strv *search,
	const struct strv *addresses, struct strv *ret);
/* Whether text is a host name for a certificate: labels of [a-z0-9_-], at most 253 bytes, "*." in
 * front allowed. */
bool cert_name_is_valid(const char *text);
/* A name that no public authority signs for: one label, or below .local, .lan, .internal and their
 * like; addresses too. */
bool cert_name_is_private(const char *name);
/* The domains of those, NULL-terminated. */
const char *const *cert_private_domains(void);
