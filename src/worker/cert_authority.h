/* worker/cert_authority.h - DATA/tls/NAME.{crt,key}: authorities of this device, made at first
 * need.
 *
 * The key is durable before the certificate is there: an authority exists when its .crt does, and a
 * power cut leaves one or none, never another one. One whose key does not fit or is gone is an
 * error, not a reason to make a new one: phones trust the old one.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "worker/pki.h"

struct authority {
	struct pki_pair pair; /* cert is NULL while it is not loaded */
	char *file;           /* its certificate */
	bool given;           /* from outside, by daemon.json */
	bool failed;          /* tried, and *e was told */
};
void authority_deinit(struct authority *a);
static inline void scoped_authority(struct authority *a)
{
	authority_deinit(a);
}

struct authority_wish {
	const char *dir;              /* DATA/tls */
	const char *name;             /* "ca": the file */
	const char *device;           /* for its subject */
	const struct strv *permitted; /* pki_make_authority */
	int64_t now;
	bool clock_is_set; /* then one that has expired is replaced */
};
int authority_need(const struct authority_wish *w, struct authority *ret, struct err *e);
/* One of the user's. */
int authority_read(
	const char *cert, const char *key, int64_t now, struct authority *ret, struct err *e);
/* {"file", "subject", "fingerprint", "not_after", "limited", "given", "pem"} */
json_t *authority_json(const struct authority *a);
