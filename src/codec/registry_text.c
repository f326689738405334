#include "codec/registry_text.h"

#include <string.h>
#include <strings.h>

#include "base/parse.h"
#include "base/scoped.h"
#include "base/mem.h"
#include "base/text.h"

/* The length of "http://" or "https://", or 0. */
static size_t scheme_len(const char *url)
{
	return strncasecmp(url, "https://", 8) == 0  ? 8
	       : strncasecmp(url, "http://", 7) == 0 ? 7
						     : 0;
}

/* "ftp:", "javascript:": what RFC 3986 3.1 calls a scheme, before any slash. */
static bool has_scheme(const char *url)
{
	size_t n = strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
	return n > 0 && url[n] == ':';
}

static bool is_printable(const char *url)
{
	for (; *url; url++) {
		if ((unsigned char)*url <= ' ' || *url == 0x7f) {
			return false;
		}
	}
	return true;
}

bool registry_url_resolve(const char *base, const char *reference, struct buf *ret)
{
	size_t scheme = scheme_len(base);
	if (scheme == 0 || !is_printable(base) || !is_printable(reference)) {
		return false;
	}
	size_t authority = scheme + strcspn(base + scheme, "/?#");
	size_t path = authority + strcspn(base + authority, "?#");
	size_t query = path + strcspn(base + path, "#");
	size_t kept = 0; /* of base, before the reference */
	if (scheme_len(reference) > 0) {
		kept = 0;
	} else if (has_scheme(reference)) {
		return false;
	} else if (text_starts(reference, "//")) {
		kept = scheme - 2;
	} else if (*reference == '/') {
		kept = authority;
	} else if (*reference == '?') {
		kept = path;
	} else if (*reference == '\0' || *reference == '#') {
		kept = query;
	} else {
		for (kept = path; kept > authority && base[kept - 1] != '/'; kept--) {
		}
	}
	buf_clear(ret);
	buf_append(ret, base, kept);
	if (kept > 0 && kept == authority && *reference != '/' && *reference &&
		!strchr("?#", *reference)) {
		buf_putc(ret, '/');
	}
	buf_append(ret, reference, strcspn(reference, "#"));
	const char *url = buf_str(ret);
	size_t n = scheme_len(url);
	return n > 0 && !strchr("/?#:@", url[n]) && ret->len <= REGISTRY_URL_MAX;
}

void registry_url_query(struct buf *url, const char *key, const char *value)
{
	buf_printf(url, "%s%s=", strchr(buf_str(url), '?') ? "&" : "?", key);
	percent_encode(value, url);
}

bool registry_range_parse(const char *text, int64_t *ret_bytes)
{
	text += text_starts(text, "bytes=") ? 6 : 0;
	int64_t last;
	if (!text_starts(text, "0-") || parse_i64(text + 2, 0, INT64_MAX - 1, &last) < 0) {
		return false;
	}
	*ret_bytes = last == 0 ? 0 : last + 1;
	return true;
}

bool registry_content_range(const char *text, int64_t *ret_begin)
{
	const char *dash = strchr(text, '-');
	if (!text_starts(text, "bytes ") || !dash) {
		return false;
	}
	scoped(free) char *begin = xstrndup(text + 6, (size_t)(dash - text - 6));
	return parse_i64(begin, 0, INT64_MAX, ret_begin) == 0;
}

/* The parameters behind one target, up to the comma before the next; what is quoted may hold both.
 */
static bool is_next(const char *p, const char **ret_end)
{
	bool quoted = false, next = false;
	for (; *p && (quoted || *p != ','); p++) {
		quoted = *p == '"' ? !quoted : quoted;
		if (quoted || *p != ';') {
			continue;
		}
		const char *name = p + 1 + strspn(p + 1, " \t");
		if (strncasecmp(name, "rel=", 4) == 0) {
			const char *value = name + 4 + (name[4] == '"');
			next = next || (strncasecmp(value, "next", 4) == 0 &&
					       (!value[4] || strchr("\" \t;,", value[4])));
		}
	}
	*ret_end = p;
	return next;
}

bool registry_link_next(const char *header, struct buf *ret)
{
	for (const char *p = header; (p = strchr(p, '<'));) {
		const char *target = p + 1;
		size_t n = strcspn(target, ">");
		if (!target[n]) {
			return false;
		}
		if (is_next(target + n + 1, &p) && n > 0) {
			buf_clear(ret);
			buf_append(ret, target, n);
			return true;
		}
	}
	return false;
}

int registry_retry_after(const char *text, int dflt, int max)
{
	int64_t seconds;
	int64_t wanted = parse_i64(text, 0, INT64_MAX, &seconds) == 0 ? seconds : dflt;
	return wanted < max ? (int)wanted : max;
}
