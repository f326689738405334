#include "ingress/route_text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/text.h"

#define TOKEN_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"

bool route_text_is_plain(const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p;) {
		size_t more = *p < 0x80 ? 0 : *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
		if (*p < 0x20 || *p == 0x7f || (*p >= 0x80 && *p < 0xc2) || *p > 0xf4) {
			return false;
		}
		unsigned code = more == 0 ? *p : *p & (0x3fu >> more);
		for (size_t i = 1; i <= more; i++) {
			if ((p[i] & 0xc0) != 0x80) {
				return false;
			}
			code = code << 6 | (p[i] & 0x3f);
		}
		static const unsigned least[] = {0, 0xa0, 0x800, 0x10000}; /* 0x80 to 0x9f: C1 */
		if (code < least[more] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
			return false;
		}
		p += more + 1;
	}
	return true;
}

bool route_text_fits(const char *text)
{
	size_t n = 0;
	for (const char *p = text; *p && n <= ROUTE_WRITTEN_MAX; p++) {
		n += *p == '$' ? sizeof("${wherry_dollar}") - 1 : *p == '"' || *p == '\\' ? 2 : 1;
	}
	return n <= ROUTE_WRITTEN_MAX;
}

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

static size_t trimmed(const char *p, size_t n)
{
	while (n > 0 && strchr(" \t\r\n", p[n - 1])) {
		n--;
	}
	return n;
}

void route_text_list(const char *text, struct strv *ret)
{
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, ",\n");
		const char *word = skip_blanks(p);
		if (word < p + n) {
			size_t len = trimmed(word, (size_t)(p + n - word));
			if (len > 0) {
				strv_addn(ret, word, len);
			}
		}
		p += n + (p[n] != '\0');
	}
}

int route_text_path(const char *text, char **ret, struct err *e)
{
	if (*text != '/') {
		return err_set(e, ERR_INVALID, "must begin with '/', not '%.60s'", text);
	}
	if (strlen(text) > ROUTE_TEXT_MAX || !route_text_fits(text)) {
		return err_set(e, ERR_INVALID, "is longer than %d bytes", ROUTE_TEXT_MAX);
	}
	if (!route_text_is_plain(text)) {
		return err_set(e, ERR_INVALID, "has control characters, or is not UTF-8");
	}
	free(*ret);
	*ret = path_clean(text);
	return 0;
}

/* --- headers --- */

/* Of the connection, not of the answer (RFC 9110 7.6.1), or what nginx counts itself. */
static bool is_hop(const char *name)
{
	static const char *const hops[] = {"Connection", "Keep-Alive", "Proxy-Connection", "TE",
		"Trailer", "Transfer-Encoding", "Upgrade", "Content-Length", "Content-Encoding"};
	for (size_t i = 0; i < sizeof(hops) / sizeof(*hops); i++) {
		if (strcasecmp(name, hops[i]) == 0) {
			return true;
		}
	}
	return false;
}

static int add_header(struct route *r, const char *name, const char *value, struct err *e)
{
	if (!*name || strlen(name) > 128 || strspn(name, TOKEN_BYTES) != strlen(name)) {
		return err_set(e, ERR_INVALID,
			"'%.60s' is not a header's name: letters, digits and '-'", name);
	}
	if (is_hop(name)) {
		return err_set(e, ERR_INVALID, "%s cannot be set: it is the connection's", name);
	}
	size_t all = strlen(value);
	for (size_t i = 0; i < r->n_headers; i++) {
		all += strlen(r->headers[i].value);
	}
	if (!route_text_fits(value) || all > ROUTE_HEADERS_BYTES_MAX) {
		return err_set(e, ERR_INVALID, "%s is too long: %d bytes, of all %d", name,
			ROUTE_WRITTEN_MAX, ROUTE_HEADERS_BYTES_MAX);
	}
	if (!route_text_is_plain(value)) {
		return err_set(e, ERR_INVALID, "%s has control characters, or is not UTF-8", name);
	}
	if (r->n_headers == ROUTE_HEADERS_MAX) {
		return err_set(e, ERR_INVALID, "more than %d", ROUTE_HEADERS_MAX);
	}
	for (size_t i = 0; i < r->n_headers; i++) {
		if (strcasecmp(r->headers[i].name, name) == 0) {
			return err_set(e, ERR_INVALID, "%s is given twice", name);
		}
	}
	r->headers = xrealloc(r->headers, r->n_headers + 1, sizeof(*r->headers));
	r->headers[r->n_headers++] = (struct route_header){xstrdup(name), xstrdup(value)};
	return 0;
}

static int headers_of_json(const char *text, struct route *r, struct err *e)
{
	scoped(json) json_t *doc = json_parse(text, strlen(text), "the label", e);
	if (!doc) {
		return -1;
	}
	const char *name;
	json_t *value;
	json_object_foreach (doc, name, value) {
		if (!json_is_string(value) && !json_is_null(value)) {
			return err_set(e, ERR_INVALID, "the value of %.60s must be text", name);
		}
		if (add_header(r, name, json_is_null(value) ? "" : json_string_value(value), e) <
			0) {
			return -1;
		}
	}
	return 0;
}

/* Where "; Name:" begins the next header; a ';' that something else follows is in the value, as
 * in "max-age=60; includeSubDomains". */
static size_t value_length(const char *p, bool lines)
{
	if (lines) {
		return strcspn(p, "\n");
	}
	for (const char *at = p; (at = strchr(at, ';')); at++) {
		const char *next = skip_blanks(at + 1);
		size_t n = strspn(next, TOKEN_BYTES);
		if (!*next || (n > 0 && next[n] == ':')) {
			return (size_t)(at - p);
		}
	}
	return strlen(p);
}

static int headers_of_text(const char *text, struct route *r, struct err *e)
{
	bool lines = strchr(text, '\n') != NULL;
	for (const char *p = skip_blanks(text); *p;) {
		size_t n = value_length(p, lines);
		const char *colon = memchr(p, ':', n);
		if (!colon) {
			return err_set(e, ERR_INVALID, "'%.*s' is not of the form Name: value",
				(int)(n < 60 ? n : 60), p);
		}
		scoped(free) char *name = xstrndup(p, trimmed(p, (size_t)(colon - p)));
		const char *from = colon + 1 + strspn(colon + 1, " \t");
		size_t len = from < p + n ? trimmed(from, (size_t)(p + n - from)) : 0;
		scoped(free) char *value = xstrndup(from, len);
		if (add_header(r, name, value, e) < 0) {
			return -1;
		}
		p = skip_blanks(p + n + (p[n] != '\0'));
	}
	return 0;
}

int route_text_headers(const char *text, struct route *r, struct err *e)
{
	text = skip_blanks(text);
	return *text == '{' ? headers_of_json(text, r, e) : headers_of_text(text, r, e);
}

/* --- redirect --- */

static bool is_status(const char *text, int *ret)
{
	static const int known[] = {301, 302, 303, 307, 308};
	int status;
	if (parse_int(text, 300, 399, &status) < 0) {
		return false;
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (known[i] == status) {
			*ret = status;
			return true;
		}
	}
	return false;
}

/* RFC 3986 characters, and the braces of {host} and {uri}. */
static bool is_target(const char *text)
{
	static const char allowed[] = TOKEN_BYTES "._~:/?#[]@!$&'()*+,;=%";
	for (const char *p = text; *p;) {
		if (text_starts(p, "{host}")) {
			p += strlen("{host}");
		} else if (text_starts(p, "{uri}")) {
			p += strlen("{uri}");
		} else if (strchr(allowed, *p)) {
			p++;
		} else {
			return false;
		}
	}
	return true;
}

int route_text_redirect(const char *text, struct route *r, struct err *e)
{
	scoped(free) char *target = xstrdup(text);
	char *comma = strrchr(target, ',');
	r->redirect_status = 302;
	if (comma && is_status(comma + 1 + strspn(comma + 1, " "), &r->redirect_status)) {
		*comma = '\0';
		target[trimmed(target, strlen(target))] = '\0';
	}
	bool absolute = text_starts(target, "http://") || text_starts(target, "https://");
	bool path = target[0] == '/' && target[1] != '/';
	if (!absolute && !path && !text_starts(target, "{uri}")) {
		return err_set(e, ERR_INVALID,
			"must be http://..., https://... or a path, then perhaps a comma and 301, 302, 303, 307 "
			"or 308, not '%.60s'",
			text);
	}
	if (strlen(target) > ROUTE_TEXT_MAX || !route_text_fits(target) || !is_target(target)) {
		return err_set(e, ERR_INVALID,
			"must be an address of at most %d bytes, others than ASCII as %%XX, {host} and {uri} for "
			"the request's own",
			ROUTE_TEXT_MAX);
	}
	r->redirect = TAKE(target);
	return 0;
}
