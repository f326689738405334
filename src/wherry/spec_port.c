#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/text.h"
#include "wherry/specs.h"

struct range {
	int first, last;
};

/* "80" or "80-90". */
static int parse_range(const char *text, struct range *ret)
{
	scoped(free) char *first = xstrndup(text, strcspn(text, "-"));
	const char *dash = strchr(text, '-');
	if (parse_int(first, 0, 65535, &ret->first) < 0) {
		return -1;
	}
	ret->last = ret->first;
	return dash && parse_int(dash + 1, ret->first, 65535, &ret->last) < 0 ? -1 : 0;
}

/* Takes "/udp" off the end; the result is the caller's. */
static char *take_protocol(char *text)
{
	char *slash = strrchr(text, '/');
	char *proto = xstrdup(slash ? slash + 1 : "tcp");
	if (slash) {
		*slash = '\0';
	}
	for (char *p = proto; *p; p++) {
		*p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
	}
	return proto;
}

static int check_protocol(const char *proto, struct err *e)
{
	bool known = strcmp(proto, "tcp") == 0 || strcmp(proto, "udp") == 0 ||
		     strcmp(proto, "sctp") == 0;
	return known ? 0 : err_set(e, ERR_INVALID, "invalid proto: %s", proto);
}

int spec_expose(const char *text, json_t *exposed, struct err *e)
{
	struct range r;
	scoped(free) char *ports = xstrdup(text);
	scoped(free) char *proto = take_protocol(ports);
	if (strchr(ports, ':')) {
		return err_set(e, ERR_INVALID, "invalid port format for --expose: %s", text);
	}
	if (parse_range(ports, &r) < 0) {
		return err_set(e, ERR_INVALID,
			"invalid range format for --expose: %s, error: strconv.ParseUint: parsing \"%s\": invalid syntax",
			text, ports);
	}
	for (int port = r.first; port <= r.last; port++) {
		scoped(free) char *key = xasprintf("%d/%s", port, proto);
		json_put(exposed, key, json_object());
	}
	return 0;
}

/* The three parts of "IP:HOST:PORT", from the right because an IPv6 address has colons (in
 * brackets). */
static int split_parts(
	char *text, const char **ip, const char **host, const char **inner, struct err *e)
{
	char *last = strrchr(text, ':');
	*ip = *host = "";
	*inner = last ? last + 1 : text;
	if (!last) {
		return 0;
	}
	*last = '\0';
	char *colon = strrchr(text, ':');
	bool bracketed = text[0] == '[';
	if (bracketed && text[strlen(text) - 1] == ']') {
		return err_set(e, ERR_INVALID,
			"invalid port: \"%s:%s\": a host port must follow the address", text,
			*inner);
	}
	*host = colon ? colon + 1 : text;
	if (!colon) {
		return 0;
	}
	*colon = '\0';
	*ip = text;
	size_t n = strlen(text);
	if (bracketed && n > 1 && text[n - 1] == ']') {
		text[n - 1] = '\0';
		*ip = text + 1;
	} else if (strchr(text, ':') && strspn(text, "0123456789abcdefABCDEF:.") != n) {
		return err_set(e, ERR_INVALID, "invalid IP address: %s", text);
	}
	return 0;
}

static void add_binding(json_t *bindings, const char *key, const char *ip, const char *host_port)
{
	json_t *list = json_object_get(bindings, key);
	if (!list) {
		list = json_array();
		json_put(bindings, key, list);
	}
	json_array_append_new(list, json_pack("{ss ss}", "HostIp", ip, "HostPort", host_port));
}

struct publication {
	const char *ip;
	struct range inner, outer;
	bool has_outer;
	const char *proto;
};

static void add_publication(const struct publication *p, json_t *exposed, json_t *bindings)
{
	for (int i = 0; i <= p->inner.last - p->inner.first; i++) {
		char host_port[16] = "";
		scoped(free) char *key = xasprintf("%d/%s", p->inner.first + i, p->proto);
		bool pick = p->inner.first == p->inner.last && p->outer.first != p->outer.last;
		if (p->has_outer && pick) {
			snprintf(host_port, sizeof(host_port), "%d-%d", p->outer.first,
				p->outer.last);
		} else if (p->has_outer) {
			snprintf(host_port, sizeof(host_port), "%d", p->outer.first + i);
		}
		json_put(exposed, key, json_object());
		add_binding(bindings, key, p->ip, host_port);
	}
}

static int parse_short(const char *text, json_t *exposed, json_t *bindings, struct err *e)
{
	struct publication p = {0};
	scoped(free) char *copy = xstrdup(text);
	scoped(free) char *proto = take_protocol(copy);
	const char *host;
	const char *inner;
	if (split_parts(copy, &p.ip, &host, &inner, e) < 0) {
		return -1;
	}
	if (!*inner) {
		return err_set(e, ERR_INVALID, "no port specified: %s<empty>", text);
	}
	if (parse_range(inner, &p.inner) < 0) {
		return err_set(e, ERR_INVALID, "invalid containerPort: %s", inner);
	}
	if (*p.ip && !spec_is_ip(p.ip)) {
		return err_set(e, ERR_INVALID, "invalid IP address: %s", p.ip);
	}
	p.has_outer = *host;
	if (p.has_outer && parse_range(host, &p.outer) < 0) {
		return err_set(e, ERR_INVALID, "invalid hostPort: %s", host);
	}
	if (p.has_outer && p.inner.first != p.inner.last &&
		p.inner.last - p.inner.first != p.outer.last - p.outer.first) {
		return err_set(e, ERR_INVALID,
			"invalid ranges specified for container and host Ports: %s and %s", inner,
			host);
	}
	p.proto = proto;
	if (check_protocol(proto, e) < 0) {
		return -1;
	}
	add_publication(&p, exposed, bindings);
	return 0;
}

/* "target=80,published=8080,protocol=tcp", the long form that services have. */
static int parse_long(const char *text, json_t *exposed, json_t *bindings, struct err *e)
{
	scoped(strv) struct strv fields = STRV_INIT;
	const char *target = "";
	const char *published = "";
	const char *protocol = "tcp";
	if (spec_csv(text, &fields, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < fields.n; i++) {
		char *value = strchr(fields.v[i], '=');
		if (!value) {
			return err_set(e, ERR_INVALID,
				"invalid publish opts format (should be name=value but got '%s')",
				fields.v[i]);
		}
		*value++ = '\0';
		if (strcmp(fields.v[i], "target") == 0) {
			target = value;
		} else if (strcmp(fields.v[i], "published") == 0) {
			published = value;
		} else if (strcmp(fields.v[i], "protocol") == 0) {
			protocol = value;
		} else if (strcmp(fields.v[i], "mode") != 0) {
			return err_set(e, ERR_INVALID, "invalid publish opts: unknown key %s",
				fields.v[i]);
		}
	}
	scoped(free) char *plain =
		xasprintf("%s%s%s/%s", published, *published ? ":" : "", target, protocol);
	return parse_short(plain, exposed, bindings, e);
}

int spec_port(const char *text, json_t *exposed, json_t *bindings, struct err *e)
{
	return strchr(text, '=') ? parse_long(text, exposed, bindings, e)
				 : parse_short(text, exposed, bindings, e);
}
