/* codec/challenge.h - the WWW-Authenticate header of a registry (RFC 9110 11.6.1; distribution
 * "token authentication"). */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define CHALLENGE_VALUE_MAX 1024

struct challenge {
	bool bearer; /* else Basic */
	char realm[CHALLENGE_VALUE_MAX];
	char service[CHALLENGE_VALUE_MAX];
	char scope[CHALLENGE_VALUE_MAX];
};

/* False for another scheme, a broken parameter or one that is too long. Unknown parameters are
 * skipped. */
bool challenge_parse(const char *header, struct challenge *ret);
