/* ingress/certs.h - which pair of certificate and key serves a host, kept true.
 *
 * A host is served by the user's own files, else by what ACME got, else by a pair of the local
 * authority, which the job "certificates" (worker/certificates.c) makes. It runs again when hosts,
 * settings, addresses, the user's files or the clock change, and before anything expires. The
 * daemon sees names and dates, never a key.
 *
 * Events: type "ingress", action "certificate-problem" (id: file or host; error), once for each
 * until it is another or gone, and "certificate-expires" (id: the first name; names, expires, file,
 * source) 14 days before for what is not renewed here.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/strv.h"

typedef struct uv_loop_s uv_loop_t;
struct event_bus;
struct ingress_settings;
struct job_pool;
struct certs;

struct certs_deps {
	uv_loop_t *loop;
	struct job_pool *jobs;
	struct event_bus *bus;
	const char *data_root; /* DATA; copied */
	/* What certs_stem says is different, or what certs_want began is over. Never from inside
	 * one of these calls. */
	void (*changed)(void *owner);
	void *owner;
};

struct certs *certs_new(const struct certs_deps *d);
void certs_free(struct certs *c); /* after the pool of jobs; NULL is fine */

/* What there is to serve from now on; both are copied. hosts: full names, "*.x" and "." among them.
 * True: certs_stem answers for all of them, or for those that can be had. False: changed() follows,
 * and the next call with the same is true. */
bool certs_want(struct certs *c, const struct ingress_settings *s, const struct strv *hosts);
/* Nothing is served: no watching, no renewals. */
void certs_rest(struct certs *c);
/* nginx serves port 80 by a configuration with these hosts: ACME may ask for what is not there yet.
 */
void certs_served(struct certs *c);

/* An ingress_certificate_fn (ingress/conf.h): absolute, without ".crt" and ".key"; NULL: the
 * default, which is "". Borrowed until the next changed(). */
const char *certs_stem(void *certs, const char *host);

/* {"Certificates": [{"Names", "Source", "Issuer", "NotBefore", "NotAfter", "File"}], "Authorities":
 * [{"Subject", "Fingerprint", "NotAfter", "Limited", "Given", "Pem"}], "Problems": [{"What",
 * "Error"}]}; new. */
json_t *certs_json(const struct certs *c);
