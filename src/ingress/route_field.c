#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/text.h"
#include "ingress/host.h"
#include "ingress/route_parts.h"
#include "ingress/route_text.h"

#define SECOND_MS 1000
#define READ_TIMEOUT_MAX_S (24 * 24 * 3600) /* in ms below 2^31: nginx on 32 bits */
#define RATE_MAX 100000
#define MINUTE_S 60
#define VOLUME_NAME_MAX 255

static const char *const auth_words[] = {[ROUTE_AUTH_NONE] = "none",
	[ROUTE_AUTH_BASIC] = "basic",
	[ROUTE_AUTH_LOGIN] = "login",
	NULL};
static const char *const tls_words[] = {[ROUTE_TLS_TERMINATE] = "terminate",
	[ROUTE_TLS_PASSTHROUGH] = "passthrough",
	[ROUTE_TLS_OFF] = "off",
	NULL};
static const char *const backend_words[] = {[ROUTE_BACKEND_HTTP] = "http",
	[ROUTE_BACKEND_HTTPS] = "https",
	[ROUTE_BACKEND_GRPC] = "grpc",
	[ROUTE_BACKEND_GRPCS] = "grpcs",
	NULL};

const char *route_auth_word(enum route_auth a)
{
	return auth_words[a];
}

const char *route_tls_word(enum route_tls t)
{
	return tls_words[t];
}

const char *route_backend_word(enum route_backend b)
{
	return backend_words[b];
}

int route_word(const char *text, const char *const *words, int *ret, struct err *e)
{
	scoped(buf) struct buf list = BUF_INIT;
	for (int i = 0; words[i]; i++) {
		if (strcmp(text, words[i]) == 0) {
			*ret = i;
			return 0;
		}
		buf_printf(&list, "%s%s", i == 0 ? "" : words[i + 1] ? ", " : " or ", words[i]);
	}
	return err_set(e, ERR_INVALID, "must be %s, not '%.60s'", buf_str(&list), text);
}

static int read_flag(const char *text, bool *ret, struct err *e)
{
	return parse_go_bool(text, ret) == 0
		       ? 0
		       : err_set(e, ERR_INVALID, "must be true or false, not '%.60s'", text);
}

/* --- where --- */

static int read_host(struct route *r, const char *text, struct err *e)
{
	scoped(strv) struct strv names = STRV_INIT;
	route_text_list(text, &names);
	for (size_t i = 0; i < names.n; i++) {
		scoped(free) char *host = host_read(names.v[i], e);
		if (!host) {
			return -1;
		}
		if (r->hosts.n == ROUTE_HOSTS_MAX) {
			return err_set(e, ERR_INVALID, "names more than %d hosts", ROUTE_HOSTS_MAX);
		}
		if (!strv_has(&r->hosts, host)) {
			strv_add(&r->hosts, host);
		}
	}
	return r->hosts.n > 0 ? 0 : err_set(e, ERR_INVALID, "names no host");
}

static int read_path(struct route *r, const char *text, struct err *e)
{
	if (route_text_path(text, &r->path, e) < 0) {
		return -1;
	}
	if (strcspn(r->path, "?#%") < strlen(r->path)) {
		return err_set(e, ERR_INVALID,
			"is the beginning of a path as it reads, without '?', '#' and '%%'");
	}
	static const char *const ours[] = {"/.wherry", "/.well-known/acme-challenge"};
	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
		size_t n = strlen(ours[i]);
		if (strncmp(r->path, ours[i], n) == 0 && (r->path[n] == '/' || !r->path[n])) {
			return err_set(
				e, ERR_INVALID, "cannot be %s, which is the device's own", ours[i]);
		}
	}
	return 0;
}

static int read_port(struct route *r, const char *text, struct err *e)
{
	return parse_u16(text, &r->port) == 0 && r->port > 0
		       ? 0
		       : err_set(e, ERR_INVALID, "must be a number from 1 to 65535, not '%.60s'",
				 text);
}

static int read_strip_prefix(struct route *r, const char *text, struct err *e)
{
	return read_flag(text, &r->strip_prefix, e);
}

static int read_tls(struct route *r, const char *text, struct err *e)
{
	int word;
	if (route_word(text, tls_words, &word, e) < 0) {
		return -1;
	}
	r->tls = (enum route_tls)word;
	return 0;
}

static int read_backend(struct route *r, const char *text, struct err *e)
{
	int word;
	if (route_word(text, backend_words, &word, e) < 0) {
		return -1;
	}
	r->backend = (enum route_backend)word;
	return 0;
}

/* --- who --- */

static int read_auth(struct route *r, const char *text, struct err *e)
{
	int word;
	if (route_word(text, auth_words, &word, e) < 0) {
		return -1;
	}
	r->auth = (enum route_auth)word;
	return 0;
}

static int read_users(struct route *r, const char *text, struct err *e)
{
	if (*text == '/') {
		return route_text_path(text, &r->users_file, e);
	}
	route_text_list(text, &r->users);
	if (r->users.n > ROUTE_USERS_MAX) {
		return err_set(e, ERR_INVALID, "names more than %d users", ROUTE_USERS_MAX);
	}
	return r->users.n > 0 ? 0 : err_set(e, ERR_INVALID, "names nobody");
}

/* --- how --- */

static int read_websocket(struct route *r, const char *text, struct err *e)
{
	return read_flag(text, &r->websocket, e);
}

static int read_buffering(struct route *r, const char *text, struct err *e)
{
	return read_flag(text, &r->buffering, e);
}

/* A number alone is seconds: what nginx's configurations say. */
static int read_read_timeout(struct route *r, const char *text, struct err *e)
{
	int64_t ns;
	int64_t seconds;
	if (parse_i64(text, 1, READ_TIMEOUT_MAX_S, &seconds) == 0) {
		r->read_timeout_ms = seconds * SECOND_MS;
		return 0;
	}
	if (parse_duration(text, &ns) < 0) {
		return err_set(
			e, ERR_INVALID, "must be a duration such as 90s or 1h, not '%.60s'", text);
	}
	if (ns < 1000000000LL || ns > READ_TIMEOUT_MAX_S * 1000000000LL) {
		return err_set(e, ERR_INVALID, "must be from 1s to 576h, not '%.60s'", text);
	}
	r->read_timeout_ms = ns / 1000000;
	return 0;
}

static int read_body_limit(struct route *r, const char *text, struct err *e)
{
	if (parse_size(text, &r->body_limit_bytes) < 0 || r->body_limit_bytes < 0 ||
		r->body_limit_bytes > INT64_MAX / 2) {
		r->body_limit_bytes = 0;
		return err_set(e, ERR_INVALID, "must be a size such as 64m, not '%.60s'", text);
	}
	return 0;
}

static int read_headers(struct route *r, const char *text, struct err *e)
{
	return route_text_headers(text, r, e);
}

static int read_redirect(struct route *r, const char *text, struct err *e)
{
	return route_text_redirect(text, r, e);
}

static int read_error_page(struct route *r, const char *text, struct err *e)
{
	if (strcmp(text, "none") == 0) {
		r->error_page = xstrdup("none");
		return 0;
	}
	return route_text_path(text, &r->error_page, e);
}

/* "10/s", "100/m", and how many more at once: "10/s,30". */
static int read_rate(struct route *r, const char *text, struct err *e)
{
	scoped(free) char *copy = xstrdup(text);
	char *burst = strchr(copy, ',');
	char *per = strchr(copy, '/');
	if (burst) {
		*burst++ = '\0';
		burst += strspn(burst, " ");
	}
	bool minute = per && strcmp(per, "/m") == 0;
	if (!per || (!minute && strcmp(per, "/s") != 0)) {
		return err_set(e, ERR_INVALID,
			"must be such as 10/s, 100/m or 10/s,30, not '%.60s'", text);
	}
	*per = '\0';
	if (parse_int(copy, 1, RATE_MAX, &r->rate) < 0 ||
		(burst && parse_int(burst, 0, RATE_MAX, &r->rate_burst) < 0)) {
		r->rate = 0;
		return err_set(e, ERR_INVALID,
			"must be such as 10/s, of numbers to %d, not '%.60s'", RATE_MAX, text);
	}
	r->rate_per_s = minute ? MINUTE_S : 1;
	r->rate_burst = burst ? r->rate_burst : r->rate;
	return 0;
}

/* "VOLUME", "VOLUME/folder", or a path in the container that is in a volume. */
static int read_root(struct route *r, const char *text, struct err *e)
{
	if (*text == '/') {
		r->root_volume = xstrdup("");
		return route_text_path(text, &r->root_path, e);
	}
	size_t n = strcspn(text, "/");
	scoped(free) char *volume = xstrndup(text, n);
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	if (n == 0 || n > VOLUME_NAME_MAX || strspn(volume, allowed) != n || *volume == '.') {
		return err_set(e, ERR_INVALID,
			"must be a volume of this container, VOLUME or VOLUME/folder, not '%.60s'",
			text);
	}
	r->root_volume = TAKE(volume);
	return route_text_path(text[n] ? text + n : "/", &r->root_path, e);
}

static const struct route_field fields[] = {
	{"host", read_host},
	{"path", read_path},
	{"port", read_port},
	{"strip_prefix", read_strip_prefix},
	{"auth", read_auth},
	{"users", read_users},
	{"websocket", read_websocket},
	{"read_timeout", read_read_timeout},
	{"body_limit", read_body_limit},
	{"headers", read_headers},
	{"redirect", read_redirect},
	{"error_page", read_error_page},
	{"tls", read_tls},
	{"backend", read_backend},
	{"buffering", read_buffering},
	{"rate", read_rate},
	{"root", read_root},
};

const struct route_field *route_field_find(const char *name)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		if (strcmp(fields[i].name, name) == 0) {
			return &fields[i];
		}
	}
	return NULL;
}

bool route_is_field(const char *name)
{
	return route_field_find(name) != NULL;
}

char *route_field_names(void)
{
	struct buf b = BUF_INIT;
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		buf_printf(&b, "%s%s", i > 0 ? ", " : "", fields[i].name);
	}
	return buf_take_str(&b);
}
