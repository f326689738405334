#include "ingress/cert_name.h"

#include <ctype.h>
#include <string.h>

#include "base/ip.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"

#define NAME_MAX_BYTES 253
#define LABEL_MAX_BYTES 63
#define SEARCH_MAX 4

enum cert_match cert_name_match(const char *name, const char *host)
{
	if (strcmp(name, host) == 0) {
		return CERT_MATCH_EXACT;
	}
	if (!text_starts(name, "*.") || text_starts(host, "*.")) {
		return CERT_MATCH_NONE;
	}
	const char *rest = strchr(host, '.');
	return rest && rest != host && strcmp(rest + 1, name + 2) == 0 ? CERT_MATCH_WILDCARD
								       : CERT_MATCH_NONE;
}

enum cert_match cert_names_match(const struct strv *names, const char *host)
{
	enum cert_match best = CERT_MATCH_NONE;
	for (size_t i = 0; i < names->n && best != CERT_MATCH_EXACT; i++) {
		enum cert_match m = cert_name_match(names->v[i], host);
		best = m > best ? m : best;
	}
	return best;
}

bool cert_name_is_valid(const char *text)
{
	size_t label = 0;
	const char *s = text_starts(text, "*.") ? text + 2 : text;
	if (strlen(text) > NAME_MAX_BYTES) {
		return false;
	}
	for (; *s; s++) {
		if (*s == '.') {
			if (label == 0) {
				return false;
			}
			label = 0;
		} else if (!(islower((unsigned char)*s) || isdigit((unsigned char)*s) ||
				   *s == '-' || *s == '_') ||
			   ++label > LABEL_MAX_BYTES) {
			return false;
		}
	}
	return label > 0;
}

/* RFC 6762, 8375, 6761; .internal is ICANN's for this; the others are what home routers use. */
const char *const *cert_private_domains(void)
{
	static const char *const domains[] = {"local", "localhost", "home.arpa", "internal", "lan",
		"home", "localdomain", "intranet", "fritz.box", "test", NULL};
	return domains;
}

static bool is_below(const char *name, const char *domain)
{
	size_t n = strlen(name);
	size_t d = strlen(domain);
	return n >= d && strcmp(name + n - d, domain) == 0 && (n == d || name[n - d - 1] == '.');
}

bool cert_name_is_private(const char *name)
{
	struct ip ip;
	if (!strchr(name, '.') || ip_parse(name, &ip) == 0) {
		return true;
	}
	for (const char *const *d = cert_private_domains(); *d; d++) {
		if (is_below(name, *d)) {
			return true;
		}
	}
	return false;
}

/* Once, lower case, if it is one. */
static void add_name(struct strv *ret, const char *text)
{
	scoped(free) char *name = xstrdup(text);
	size_t n = strlen(name);
	if (n > 0 && name[n - 1] == '.') {
		name[n - 1] = '\0';
	}
	for (char *c = name; *c; c++) {
		*c = (char)tolower((unsigned char)*c);
	}
	if (cert_name_is_valid(name) && !strv_has(ret, name)) {
		strv_add(ret, name);
	}
}

void cert_device_names(const char *name, const char *hostname, const struct strv *search,
	const struct strv *addresses, struct strv *ret)
{
	scoped(free) char *local = xasprintf("%s.local", name);
	scoped(free) char *below = xasprintf("*.%s.local", name);
	scoped(free) char *shorter = xstrndup(hostname, strcspn(hostname, "."));
	add_name(ret, local);
	add_name(ret, below);
	add_name(ret, name);
	add_name(ret, hostname);
	add_name(ret, shorter);
	for (size_t i = 0; i < search->n && i < SEARCH_MAX; i++) {
		scoped(free) char *full = xasprintf("%s.%s", name, search->v[i]);
		add_name(ret, full);
	}
	add_name(ret, "localhost");
	strv_add(ret, "127.0.0.1");
	strv_add(ret, "::1");
	for (size_t i = 0; i < addresses->n; i++) {
		struct ip ip;
		char text[IP_TEXT_MAX];
		if (ip_parse(addresses->v[i], &ip) == 0 && !strv_has(ret, ip_format(ip, text))) {
			strv_add(ret, text);
		}
	}
}
