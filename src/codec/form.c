#include "codec/form.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/text.h"

/* --- forms --- */

static int add_decoded(struct strv *to, const char *text, size_t n)
{
	struct buf decoded = BUF_INIT;
	int r = percent_decode(text, n, true, &decoded);
	strv_take(to, buf_take_str(&decoded));
	return r;
}

int form_parse(const char *text, size_t n, struct strv *ret)
{
	if (n > FORM_BYTES_MAX || memchr(text, '\0', n)) {
		return -EINVAL;
	}
	for (size_t at = 0; at < n;) {
		const char *end = memchr(text + at, '&', n - at);
		size_t length = end ? (size_t)(end - text) - at : n - at;
		const char *equals = memchr(text + at, '=', length);
		size_t name_n = equals ? (size_t)(equals - text) - at : length;
		size_t value_at = equals ? at + name_n + 1 : at + length;
		if (length > 0) {
			if (ret->n >= 2 * (size_t)FORM_FIELDS_MAX ||
				add_decoded(ret, text + at, name_n) < 0) {
				return -EINVAL;
			}
			for (size_t i = 0; i + 1 < ret->n; i += 2) {
				if (strcmp(ret->v[i], ret->v[ret->n - 1]) == 0) {
					return -EINVAL;
				}
			}
			if (add_decoded(ret, text + value_at, at + length - value_at) < 0) {
				return -EINVAL;
			}
		}
		at += length + 1;
	}
	return 0;
}

const char *form_field(const struct strv *form, const char *name)
{
	for (size_t i = 0; i + 1 < form->n; i += 2) {
		if (strcmp(form->v[i], name) == 0) {
			return form->v[i + 1];
		}
	}
	return "";
}

/* --- cookies --- */

int cookie_find(const char *header, const char *name, char ret[static COOKIE_VALUE_MAX + 1])
{
	size_t name_n = strlen(name);
	int found = 0;
	for (const char *p = header ? header : ""; *p;) {
		p += strspn(p, "; \t");
		size_t n = strcspn(p, ";");
		size_t value_n = n - name_n - 1;
		if (n > name_n && strncmp(p, name, name_n) == 0 && p[name_n] == '=') {
			while (value_n > 0 && strchr(" \t", p[name_n + value_n])) {
				value_n--;
			}
			if (found || value_n > COOKIE_VALUE_MAX) {
				return -EINVAL;
			}
			memcpy(ret, p + name_n + 1, value_n);
			ret[value_n] = '\0';
			found = 1;
		}
		p += n;
	}
	return found;
}

/* --- hosts --- */

int host_normal(const char *header, char ret[static HOST_TEXT_MAX + 1])
{
	bool brackets = *header == '[';
	size_t n = brackets ? strcspn(header, "]") + 1 : strcspn(header, ":");
	if (n == 0 || n > HOST_TEXT_MAX || n > strlen(header)) {
		return -EINVAL;
	}
	const char *port = header + n;
	if (*port && (*port != ':' || strspn(port + 1, "0123456789") != strlen(port + 1))) {
		return -EINVAL;
	}
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)header[i];
		bool ok = isalnum(c) || c == '.' || c == '-' || c == '_' ||
			  (brackets &&
				  (c == ':' || (c == '[' && i == 0) || (c == ']' && i == n - 1)));
		if (!ok || c >= 0x80) {
			return -EINVAL;
		}
		ret[i] = (char)tolower(c);
	}
	if (n > 1 && ret[n - 1] == '.') {
		n--;
	}
	ret[n] = '\0';
	return *ret == '.' ? -EINVAL : 0;
}

bool origin_is_of(const char *origin, const char *host)
{
	char own[HOST_TEXT_MAX + 1];
	return text_starts(origin, "https://") &&
	       host_normal(origin + strlen("https://"), own) == 0 && strcmp(own, host) == 0;
}

/* --- redirects --- */

bool redirect_is_local(const char *to)
{
	size_t n = strlen(to);
	if (n == 0 || n > REDIRECT_MAX || *to != '/' || to[1] == '/') {
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		/* visible ASCII: the rest is percent-encoded in a URI (RFC 3986 2) */
		if (to[i] <= ' ' || to[i] >= 0x7f || strchr("\\\"<>^`{|}", to[i])) {
			return false;
		}
	}
	/* "/.//evil" and "/x/..//evil" become "//evil" in no browser, but nothing needs them */
	size_t path_n = strcspn(to, "?#");
	for (size_t i = 0; i + 1 < path_n; i++) {
		if (to[i] == '/' && to[i + 1] == '/') {
			return false;
		}
	}
	return true;
}

bool text_equal_slowly(const char *a, const char *b)
{
	size_t n = strlen(a);
	unsigned differ = 0;
	if (n != strlen(b)) {
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		differ |= (unsigned char)a[i] ^ (unsigned char)b[i];
	}
	return differ == 0;
}
