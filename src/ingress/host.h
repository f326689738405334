/* ingress/host.h - names of hosts as routes have them. Pure.
 *
 * RFC 1123 2.1: labels of letters, digits and '-', at most 63 bytes, 253 together. Here always in
 * lower case and without a last dot, so that names can be compared by their bytes. A name in
 * another script is written in its ASCII form (RFC 5890, "xn--..."): which of the ways to map
 * letters is meant (UTS 46) is the browser's to say.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"

#define HOST_NAME_MAX_BYTES 253

/* "App.Example.org." to "app.example.org", "*.example.org", "app", "." or "@" to ".". The caller's;
 * NULL with ERR_INVALID: the sentence says what is wrong with it. */
char *host_read(const char *text, struct err *e);
/* "My_app.1" to "my-app-1": a label out of any name; the caller's. NULL when nothing of it can
 * stand. */
char *host_label(const char *name);
bool host_is_label(const char *text); /* one label, lower case */
