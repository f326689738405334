/* ingress/settings.h - "ingress" of daemon.json, typed and checked. Pure.
 *
 *   {"enabled": true, "name": HOSTNAME, "http-port": 80, "https-port": 443, "api-port": 0,
 *    "addresses": [], "trusted-proxies": [], "certificates": [{"cert", "key"}],
 *    "ca": {"cert", "key"},
 *    "acme": {"directory", "email", "hosts", "dns-hook", "ca-file"},
 * "log-archive": false, "mdns": true}
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strv.h"

#define INGRESS_HTTP_PORT 80
#define INGRESS_HTTPS_PORT 443
#define INGRESS_API_PORT 2376

struct ingress_certificate {
	char *cert, *key; /* absolute paths */
};

struct ingress_acme {
	char *directory; /* https URL, or NULL: no ACME */
	char *email;     /* or NULL */
	struct strv hosts;
	char *dns_hook; /* absolute path of a program, NULL: HTTP-01 */
	char *ca_file;  /* that the directory's certificate is checked with, or NULL */
};

struct ingress_settings {
	bool enabled;
	char *name; /* one label, lower case: the device is NAME.local */
	uint16_t http_port, https_port;
	uint16_t api_port;     /* 0: no remote API */
	struct strv addresses; /* that are listened on, plain or in brackets as given; empty: all */
	struct strv trusted_proxies; /* addresses and ranges whose X-Forwarded-* are believed */
	struct ingress_certificate *certificates;
	size_t n_certificates;
	struct ingress_certificate
		ca; /* a fleet's authority; cert NULL: the device makes its own */
	struct ingress_acme acme;
	bool log_archive;
	bool mdns;
};

/* doc: the object, or NULL for the defaults; hostname: for the default name, up to its first dot.
 * ERR_INVALID names the key ("ingress.http-port ..."). ret is the caller's also after a failure. */
int ingress_settings_read(
	const json_t *doc, const char *hostname, struct ingress_settings *ret, struct err *e);
void ingress_settings_deinit(struct ingress_settings *s);
static inline void scoped_ingress_settings(struct ingress_settings *s)
{
	ingress_settings_deinit(s);
}
