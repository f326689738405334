#include "ingress/settings.h"

#include <stdlib.h>
#include <string.h>

#include "base/ip.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "device/label.h"
#include "ingress/host.h"
#include "ingress/route_text.h"

#define PATH_BYTES_MAX 4096

static const char *const keys[] = {"enabled", "name", "http-port", "https-port", "api-port",
	"addresses", "trusted-proxies", "certificates", "ca", "acme", "log-archive", "mdns", NULL};
static const char *const acme_keys[] = {"directory", "email", "hosts", "dns-hook", "ca-file", NULL};
static const char *const certificate_keys[] = {"cert", "key", NULL};

void ingress_settings_deinit(struct ingress_settings *s)
{
	free(s->name);
	strv_deinit(&s->addresses);
	strv_deinit(&s->trusted_proxies);
	for (size_t i = 0; i < s->n_certificates; i++) {
		free(s->certificates[i].cert);
		free(s->certificates[i].key);
	}
	free(s->certificates);
	free(s->ca.cert);
	free(s->ca.key);
	free(s->acme.directory);
	free(s->acme.email);
	strv_deinit(&s->acme.hosts);
	free(s->acme.dns_hook);
	free(s->acme.ca_file);
	*s = (struct ingress_settings){0};
}

static int read_name(
	const json_t *doc, const char *hostname, struct ingress_settings *s, struct err *e)
{
	const char *name;
	if (json_get_str(doc, "name", &name, e) < 0) {
		return -1;
	}
	if (name && !host_is_label(name)) {
		return err_set(e, ERR_INVALID,
			"name must be small letters, digits and '-', not '%.60s'", name);
	}
	scoped(free) char *first = xstrndup(hostname, strcspn(hostname, "."));
	s->name = name ? xstrdup(name) : host_label(first);
	s->name = s->name ? s->name : xstrdup("wherry");
	return 0;
}

static int read_port(const json_t *doc, const char *key, uint16_t *ret, struct err *e)
{
	int64_t n = *ret;
	if (label_get_number(doc, key, UINT16_MAX, &n, e) < 0) {
		return -1;
	}
	*ret = (uint16_t)n;
	return 0;
}

static int read_ports(const json_t *doc, struct ingress_settings *s, struct err *e)
{
	s->http_port = INGRESS_HTTP_PORT;
	s->https_port = INGRESS_HTTPS_PORT;
	if (read_port(doc, "http-port", &s->http_port, e) < 0 ||
		read_port(doc, "https-port", &s->https_port, e) < 0 ||
		read_port(doc, "api-port", &s->api_port, e) < 0) {
		return -1;
	}
	if (s->http_port == 0 || s->https_port == 0) {
		return err_set(e, ERR_INVALID, "http-port and https-port must be from 1 to 65535");
	}
	if (s->http_port == s->https_port || s->http_port == s->api_port ||
		s->https_port == s->api_port) {
		return err_set(e, ERR_INVALID, "http-port, https-port and api-port must differ");
	}
	return 0;
}

/* "192.0.2.1", "2001:db8::1", "[2001:db8::1]" */
static int read_addresses(const json_t *doc, struct ingress_settings *s, struct err *e)
{
	scoped(strv) struct strv texts = STRV_INIT;
	if (json_get_strv(doc, "addresses", &texts, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < texts.n; i++) {
		const char *text = texts.v[i];
		size_t n = strlen(text);
		bool bracketed = n > 2 && text[0] == '[' && text[n - 1] == ']';
		scoped(free) char *plain = bracketed ? xstrndup(text + 1, n - 2) : xstrdup(text);
		struct ip ip;
		char shown[IP_TEXT_MAX];
		if (ip_parse(plain, &ip) < 0) {
			return err_set(e, ERR_INVALID, "addresses: '%.60s' is no address", text);
		}
		strv_addf(
			&s->addresses, ip.size == IP6_BYTES ? "[%s]" : "%s", ip_format(ip, shown));
	}
	return 0;
}

static int read_proxies(const json_t *doc, struct ingress_settings *s, struct err *e)
{
	scoped(strv) struct strv texts = STRV_INIT;
	if (json_get_strv(doc, "trusted-proxies", &texts, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < texts.n; i++) {
		struct ip ip;
		struct ip_range range;
		char shown[IP_TEXT_MAX];
		if (ip_parse(texts.v[i], &ip) == 0) {
			strv_add(&s->trusted_proxies, ip_format(ip, shown));
		} else if (ip_parse_range(texts.v[i], &range, NULL) == 0) {
			strv_add(&s->trusted_proxies, ip_format_range(range, shown));
		} else {
			return err_set(e, ERR_INVALID,
				"trusted-proxies: '%.60s' is neither an address nor a range such as 10.0.0.0/8",
				texts.v[i]);
		}
	}
	return 0;
}

/* NULL when it is absent. */
static int read_path(const json_t *doc, const char *key, char **ret, struct err *e)
{
	const char *text;
	if (json_get_str(doc, key, &text, e) < 0) {
		return -1;
	}
	if (text && (*text != '/' || strlen(text) > PATH_BYTES_MAX || !route_text_is_plain(text))) {
		return err_set(
			e, ERR_INVALID, "%s must be an absolute path, not '%.60s'", key, text);
	}
	*ret = xstrdup(text);
	return 0;
}

static int read_pair(const json_t *doc, struct ingress_certificate *c, struct err *e)
{
	if (label_check_keys(doc, certificate_keys, e) < 0 ||
		read_path(doc, "cert", &c->cert, e) < 0 || read_path(doc, "key", &c->key, e) < 0) {
		return -1;
	}
	return c->cert && c->key ? 0 : err_set(e, ERR_INVALID, "each needs cert and key");
}

static int read_certificates(const json_t *doc, struct ingress_settings *s, struct err *e)
{
	json_t *list;
	size_t i;
	json_t *item;
	if (json_get_array(doc, "certificates", &list, e) < 0) {
		return -1;
	}
	s->certificates = xnew_array(struct ingress_certificate, json_array_size(list) + 1);
	json_array_foreach (list, i, item) {
		struct ingress_certificate *c = &s->certificates[s->n_certificates++];
		if (!json_is_object(item)) {
			return err_set(e, ERR_INVALID, "certificates must be a list of objects");
		}
		if (read_pair(item, c, e) < 0) {
			return err_wrap(e, "certificates"), -1;
		}
	}
	return 0;
}

/* An authority for what has no better certificate; without it the device makes its own. */
static int read_ca(const json_t *doc, struct ingress_settings *s, struct err *e)
{
	json_t *ca;
	if (json_get_object(doc, "ca", &ca, e) < 0) {
		return -1;
	}
	if (ca && read_pair(ca, &s->ca, e) < 0) {
		return err_wrap(e, "ca"), -1;
	}
	return 0;
}

static int read_acme_hosts(const json_t *doc, struct ingress_acme *a, struct err *e)
{
	scoped(strv) struct strv texts = STRV_INIT;
	if (json_get_strv(doc, "hosts", &texts, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < texts.n; i++) {
		scoped(free) char *host = host_read(texts.v[i], e);
		if (!host) {
			return err_wrap(e, "hosts"), -1;
		}
		if (!strchr(host, '.') || strcmp(host, ".") == 0) {
			return err_set(e, ERR_INVALID, "hosts: '%.60s' is no full name", host);
		}
		strv_add(&a->hosts, host);
	}
	return 0;
}

static int read_acme_fields(const json_t *doc, struct ingress_acme *a, struct err *e)
{
	const char *directory;
	const char *email;
	if (label_check_keys(doc, acme_keys, e) < 0 ||
		json_get_str(doc, "directory", &directory, e) < 0 ||
		json_get_str(doc, "email", &email, e) < 0 || read_acme_hosts(doc, a, e) < 0 ||
		read_path(doc, "dns-hook", &a->dns_hook, e) < 0 ||
		read_path(doc, "ca-file", &a->ca_file, e) < 0) {
		return -1;
	}
	if (!directory || !text_starts(directory, "https://") || !route_text_is_plain(directory)) {
		return err_set(e, ERR_INVALID, "directory must be an https URL");
	}
	if (email && (*email == '-' || !strchr(email, '@') || !route_text_is_plain(email))) {
		return err_set(e, ERR_INVALID, "email '%.60s' is none", email);
	}
	a->directory = xstrdup(directory);
	a->email = xstrdup(email);
	return 0;
}

static int read_acme(const json_t *doc, struct ingress_settings *s, struct err *e)
{
	json_t *acme;
	if (json_get_object(doc, "acme", &acme, e) < 0) {
		return -1;
	}
	if (acme && read_acme_fields(acme, &s->acme, e) < 0) {
		return err_wrap(e, "acme"), -1;
	}
	return 0;
}

static int read_settings(
	const json_t *doc, const char *hostname, struct ingress_settings *s, struct err *e)
{
	s->enabled = true;
	s->mdns = true;
	if (doc && !json_is_object(doc)) {
		return err_set(e, ERR_INVALID, "must be an object");
	}
	if (label_check_keys(doc, keys, e) < 0 ||
		json_get_bool(doc, "enabled", true, &s->enabled, e) < 0 ||
		json_get_bool(doc, "mdns", true, &s->mdns, e) < 0 ||
		json_get_bool(doc, "log-archive", false, &s->log_archive, e) < 0 ||
		read_name(doc, hostname, s, e) < 0 || read_ports(doc, s, e) < 0 ||
		read_addresses(doc, s, e) < 0 || read_proxies(doc, s, e) < 0 ||
		read_certificates(doc, s, e) < 0 || read_ca(doc, s, e) < 0) {
		return -1;
	}
	return read_acme(doc, s, e);
}

int ingress_settings_read(
	const json_t *doc, const char *hostname, struct ingress_settings *ret, struct err *e)
{
	*ret = (struct ingress_settings){0};
	if (read_settings(doc, hostname, ret, e) < 0) {
		return err_wrap(e, "ingress"), -1;
	}
	return 0;
}
