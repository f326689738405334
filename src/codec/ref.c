#include "codec/ref.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define HEX_ID_LEN 64

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z');
}

static bool is_path_char(char c)
{
	return is_lower(c) || is_digit(c);
}

/* Steps over [_.] | __ | [-]+ ; NULL when p stands at none of them. */
static const char *skip_separator(const char *p)
{
	if (*p == '.') {
		return p + 1;
	}
	if (*p == '_') {
		return p[1] == '_' ? p + 2 : p + 1;
	}
	const char *end = p;
	while (*end == '-') {
		end++;
	}
	return end > p ? end : NULL;
}

/* path-component ["/" path-component]*, path-component = [a-z0-9]+ (separator [a-z0-9]+)* */
static bool valid_path(const char *p)
{
	for (;;) {
		if (!is_path_char(*p)) {
			return false;
		}
		while (is_path_char(*p)) {
			p++;
		}
		if (*p == '\0') {
			return true;
		}
		p = *p == '/' ? p + 1 : skip_separator(p);
		if (!p) {
			return false;
		}
	}
}

/* Host names of letters, digits and inner hyphens; NULL when the text does not begin with one. */
static const char *skip_host(const char *p)
{
	for (;;) {
		if (!is_alnum(*p)) {
			return NULL;
		}
		char last = *p;
		while (is_alnum(*p) || *p == '-') {
			last = *p++;
		}
		if (last == '-') {
			return NULL;
		}
		if (*p != '.') {
			return p;
		}
		p++;
	}
}

static const char *skip_ipv6(const char *p)
{
	const char *begin = ++p;
	while (isxdigit((unsigned char)*p) || *p == ':') {
		p++;
	}
	return p > begin && *p == ']' ? p + 1 : NULL;
}

static bool valid_domain(const char *domain)
{
	const char *p = *domain == '[' ? skip_ipv6(domain) : skip_host(domain);
	if (!p) {
		return false;
	}
	if (*p == ':') {
		const char *port = ++p;
		while (is_digit(*p)) {
			p++;
		}
		if (p == port) {
			return false;
		}
	}
	return *p == '\0';
}

static bool valid_tag(const char *tag)
{
	size_t n = strlen(tag);
	if (n == 0 || n > REF_TAG_MAX || !(is_alnum(*tag) || *tag == '_')) {
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		if (!is_alnum(tag[i]) && !strchr("_.-", tag[i])) {
			return false;
		}
	}
	return true;
}

bool ref_is_digest(const char *text)
{
	return text && text_starts(text, "sha256:") && text_is_hex(text + 7, HEX_ID_LEN);
}

static bool has_upper(const char *text)
{
	for (; *text; text++) {
		if (*text >= 'A' && *text <= 'Z') {
			return true;
		}
	}
	return false;
}

/* True when the part before the first slash is a registry: it has a dot, a port or a capital, or is
 * localhost. */
static bool first_part_is_domain(const char *first)
{
	return strpbrk(first, ".:") || strcmp(first, "localhost") == 0 || has_upper(first);
}

static int invalid(struct err *e)
{
	return err_set(e, ERR_INVALID, "invalid reference format");
}

/* Cuts "@digest" and ":tag" off text, which becomes the name. */
static int split_suffixes(char *text, struct ref *r, struct err *e)
{
	char *at = strchr(text, '@');
	if (at) {
		*at = '\0';
		if (!ref_is_digest(at + 1)) {
			return invalid(e);
		}
		snprintf(r->digest, sizeof(r->digest), "%s", at + 1);
	}
	char *slash = strrchr(text, '/');
	char *colon = strchr(slash ? slash : text, ':');
	if (colon) {
		*colon = '\0';
		if (!valid_tag(colon + 1)) {
			return invalid(e);
		}
		snprintf(r->tag, sizeof(r->tag), "%s", colon + 1);
	}
	return 0;
}

/* Copies what was measured to fit. */
static void append(char *dst, size_t room, const char *text)
{
	size_t at = strlen(dst);
	size_t n = strlen(text);
	assert(at + n < room);
	memcpy(dst + at, text, n + 1);
}

static int split_name(char *name, struct ref *r, struct err *e)
{
	const char *domain = REF_DEFAULT_DOMAIN;
	const char *path = name;
	char *slash = strchr(name, '/');
	if (slash) {
		*slash = '\0';
		if (first_part_is_domain(name)) {
			domain = name;
			path = slash + 1;
		} else {
			*slash = '/';
		}
	}
	if (strcmp(domain, "index.docker.io") == 0) {
		domain = REF_DEFAULT_DOMAIN; /* its name before 2015, still in old scripts */
	}
	bool official = strcmp(domain, REF_DEFAULT_DOMAIN) == 0 && !strchr(path, '/');
	if (has_upper(path)) {
		return err_set(e, ERR_INVALID,
			"invalid reference format: repository name (%s%s) must be lowercase",
			official ? "library/" : "", path);
	}
	if (!valid_domain(domain) || !valid_path(path)) {
		return invalid(e);
	}
	if (strlen(domain) + 1 + (official ? strlen("library/") : 0) + strlen(path) >
		REF_NAME_MAX) {
		return err_set(e, ERR_INVALID,
			"repository name must not be more than %d characters", REF_NAME_MAX);
	}
	append(r->domain, sizeof(r->domain), domain);
	append(r->path, sizeof(r->path), official ? "library/" : "");
	append(r->path, sizeof(r->path), path);
	return 0;
}

int ref_parse(const char *text, struct ref *ret, struct err *e)
{
	char copy[REF_TEXT_MAX];
	size_t n = strlen(text);
	if (n >= sizeof(copy)) {
		return invalid(e);
	}
	if (text_is_hex(text, HEX_ID_LEN)) {
		return err_set(e, ERR_INVALID,
			"invalid repository name (%s), cannot specify 64-byte hexadecimal strings",
			text);
	}
	memcpy(copy, text, n + 1);
	struct ref r = {0};
	if (split_suffixes(copy, &r, e) < 0 || split_name(copy, &r, e) < 0) {
		return -1;
	}
	*ret = r;
	return 0;
}

void ref_default_tag(struct ref *r)
{
	if (!*r->tag && !*r->digest) {
		snprintf(r->tag, sizeof(r->tag), "latest");
	}
}

static const char *with_suffixes(const struct ref *r, char text[static REF_TEXT_MAX])
{
	if (*r->tag) {
		append(text, REF_TEXT_MAX, ":");
		append(text, REF_TEXT_MAX, r->tag);
	}
	if (*r->digest) {
		append(text, REF_TEXT_MAX, "@");
		append(text, REF_TEXT_MAX, r->digest);
	}
	return text;
}

const char *ref_name(const struct ref *r, char ret[static REF_TEXT_MAX])
{
	*ret = '\0';
	append(ret, REF_TEXT_MAX, r->domain);
	append(ret, REF_TEXT_MAX, "/");
	append(ret, REF_TEXT_MAX, r->path);
	return ret;
}

const char *ref_canonical(const struct ref *r, char ret[static REF_TEXT_MAX])
{
	ref_name(r, ret);
	return with_suffixes(r, ret);
}

/* The name without what Docker adds by itself. */
static const char *short_name(const struct ref *r)
{
	if (strcmp(r->domain, REF_DEFAULT_DOMAIN) != 0) {
		return NULL;
	}
	const char *rest = text_starts(r->path, "library/") ? r->path + strlen("library/") : NULL;
	return rest && !strchr(rest, '/') ? rest : r->path;
}

const char *ref_familiar_name(const struct ref *r, char ret[static REF_TEXT_MAX])
{
	const char *name = short_name(r);
	struct ref again;
	struct err ignored;
	/* "docker.io/a.b/c" must not be shown as "a.b/c", which would be another registry */
	if (!name || ref_parse(name, &again, &ignored) < 0 ||
		strcmp(again.domain, r->domain) != 0 || strcmp(again.path, r->path) != 0) {
		return ref_name(r, ret);
	}
	*ret = '\0';
	append(ret, REF_TEXT_MAX, name);
	return ret;
}

const char *ref_familiar(const struct ref *r, char ret[static REF_TEXT_MAX])
{
	ref_familiar_name(r, ret);
	return with_suffixes(r, ret);
}
