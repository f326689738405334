/* codec/registry_text.h - what a registry's answers say in headers: Location, Range, Link,
 * Retry-After (distribution-spec 1.1 "Push", "Content Discovery"). Pure.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define REGISTRY_URL_MAX 4096

/* Where reference leads from base, an absolute http or https URL: RFC 3986 5.2, without the
 * fragment and without cleaning "..". It replaces what was in ret. False for another scheme, an
 * empty host, a control character or blank, or more than REGISTRY_URL_MAX bytes. */
bool registry_url_resolve(const char *base, const char *reference, struct buf *ret);
/* "?key=value", or "&key=value" when there is a query already; value is encoded. */
void registry_url_query(struct buf *url, const char *key, const char *value);

/* "0-1023" or "bytes=0-1023": how many bytes the registry has, 1024. "0-0" is none: that is how
 * registries say it, and one byte would be sent again. False for everything else. */
bool registry_range_parse(const char *text, int64_t *ret_bytes);

/* The first byte of "bytes 1000-1999/2000" (RFC 9110 14.4). False for everything else. */
bool registry_content_range(const char *text, int64_t *ret_begin);

/* The target of `<...>; rel="next"`, not yet resolved. False when there is none. */
bool registry_link_next(const char *header, struct buf *ret);

/* Seconds, from a number; what is no number (a date) gives dflt. At most max. */
int registry_retry_after(const char *text, int dflt, int max);
