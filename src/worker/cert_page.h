/* worker/cert_page.h - the page with which phones and computers come to trust this device, as files
 * that nginx serves below /.wherry/ca, over plain http as well:
 *   index.html, ca.crt (PEM, what signs for the device), other.crt (what signs for other hosts,
 * when it is there), wherry.mobileconfig (both, for iOS and macOS)
 */
#pragma once
#include <stdint.h>

#include "worker/pki.h"

struct cert_page {
	const char *device; /* NAME of NAME.local */
	int http_port;
	const struct strv *addresses;
	X509 *authority; /* borrowed; what signs for the device */
	X509 *other;     /* or NULL */
};

/* The URL that the QR code has; the caller's. */
char *cert_page_url(const struct cert_page *p);
/* Pure; the caller's, NULL with *e. */
char *cert_page_html(const struct cert_page *p, struct err *e);
char *cert_page_profile(const struct cert_page *p);
/* Writes what is different from what is there. dir is made if it is missing. */
int cert_page_write(const char *dir, const struct cert_page *p, struct err *e);
