/* codec/form.h - what a browser sends to a sign-in page: form fields, cookies, host, origin, and
 * where to go afterwards. No fds, no clock, no globals.
 *
 * WHATWG URL "application/x-www-form-urlencoded", RFC 6265 5.4, RFC 6454 7. Where two programs
 * could read a text in two ways it is refused.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/strv.h"

#define FORM_FIELDS_MAX 16
#define FORM_BYTES_MAX 8192
#define COOKIE_VALUE_MAX 128
#define HOST_TEXT_MAX 255
#define REDIRECT_MAX 2048

/* name, value, name, value ... decoded. -EINVAL: a broken escape, a NUL, a name that comes twice,
 * more than FORM_FIELDS_MAX or FORM_BYTES_MAX; *ret is then undefined, and still the caller's. */
int form_parse(const char *text, size_t n, struct strv *ret);
const char *form_field(const struct strv *form, const char *name); /* "" when absent; borrowed */

/* The value of the only cookie of that name in a Cookie header (NULL: none): 1. 0 when there is
 * none. -EINVAL when there are several, as one of another host under this name would make, or when
 * it is too long. */
int cookie_find(const char *header, const char *name, char ret[static COOKIE_VALUE_MAX + 1]);

/* A Host header without its port, in lower case and without a last dot; an IPv6 address keeps its
 * brackets. -EINVAL for what is no host. */
int host_normal(const char *header, char ret[static HOST_TEXT_MAX + 1]);
/* An Origin header ("https://app.example.org:8443") is one of this host, by https. */
bool origin_is_of(const char *origin, const char *host);

/* A path of the same host, with its query: no browser reads another host in it, whatever it does
 * with blanks, backslashes and control characters. */
bool redirect_is_local(const char *to);
/* Equal, in a time that depends on the lengths alone. */
bool text_equal_slowly(const char *a, const char *b);
