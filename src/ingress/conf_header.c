/* What a backend hears of the client, and what a client hears that the backend did not say. */
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "ingress/conf_parts.h"

struct header {
	const char *name, *value; /* literals of ours: an argument as nginx reads it */
};

static const struct header always[] = {
	{"Host", "$host$wherry_port"},
	{"X-Real-IP", "$remote_addr"},
	{"X-Forwarded-For", "$remote_addr"},
	{"X-Forwarded-Proto", "$wherry_proto"},
	{"X-Forwarded-Host", "$wherry_forwarded_host"},
	{"X-Forwarded-Port", "$wherry_forwarded_port"},
	{"Forwarded",
		"\"for=$wherry_for;host=\\\"$wherry_forwarded_host\\\";proto=$wherry_proto\""},
	{"Cookie", "$wherry_cookies"},
};

/* What only we say: cleared when a client sends it. An empty one is not passed on. */
static const char *const ours[] = {"Remote-Email", "X-Forwarded-User", "X-Forwarded-Email",
	"X-Forwarded-Groups", "X-Forwarded-Server", "X-Forwarded-Uri", "X-Forwarded-Method",
	"X-Forwarded-Prefix", "X-Remote-User", "X-Wherry-Host", "X-Wherry-Uri", "X-Wherry-Method",
	"X-Wherry-Allow", "X-Wherry-Key", "X-Wherry-User", "X-Wherry-Role", "Proxy"};

static void set(struct writing *w, const char *verb, const char *name, const char *value)
{
	conf_name(&w->c, verb);
	buf_printf(&w->c.text, " %s %s", name, value);
	conf_end(&w->c);
}

static void set_identity(struct writing *w, const char *verb, enum conf_identity identity)
{
	bool login = identity == CONF_LOGIN;
	set(w, verb, "Remote-User",
		login                    ? "$wherry_user"
		: identity == CONF_BASIC ? "$remote_user"
					 : "\"\"");
	set(w, verb, "Remote-Name", login ? "$wherry_name" : "\"\"");
	set(w, verb, "Remote-Groups", login ? "$wherry_groups" : "\"\"");
	if (identity == CONF_BASIC) { /* the password is the door's, not the app's */
		set(w, verb, "Authorization", "\"\"");
	}
}

void conf_request_headers(struct writing *w, const struct conf_headers *h)
{
	const char *verb = h->grpc ? "grpc_set_header" : "proxy_set_header";
	for (size_t i = 0; i < sizeof(always) / sizeof(*always); i++) {
		set(w, verb, always[i].name, always[i].value);
	}
	if (!h->grpc) {
		set(w, verb, "Upgrade", h->no_upgrade ? "\"\"" : "$wherry_upgrade");
		set(w, verb, "Connection", h->no_upgrade ? "\"\"" : "$wherry_connection");
	}
	set_identity(w, verb, h->identity);
	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
		if (h->prefix && strcmp(ours[i], "X-Forwarded-Prefix") == 0) {
			conf_name(&w->c, verb);
			conf_raw(&w->c, "%s", ours[i]);
			conf_value(&w->c, h->prefix);
			conf_end(&w->c);
		} else {
			set(w, verb, ours[i], "\"\"");
		}
	}
}

/* Cookies that an app sets are not in the way of one more. */
static bool is_added(const char *name)
{
	return strcasecmp(name, "Set-Cookie") == 0 || strcasecmp(name, "Link") == 0;
}

void conf_response_headers(struct writing *w, const struct route *r)
{
	bool grpc = r->backend == ROUTE_BACKEND_GRPC || r->backend == ROUTE_BACKEND_GRPCS;
	for (size_t i = 0; i < r->n_headers; i++) {
		const struct route_header *h = &r->headers[i];
		if (!r->root_path && !(is_added(h->name) && *h->value)) {
			conf_name(&w->c, grpc ? "grpc_hide_header" : "proxy_hide_header");
			conf_raw(&w->c, "%s", h->name);
			conf_end(&w->c);
		}
		if (*h->value) {
			conf_name(&w->c, "add_header");
			conf_raw(&w->c, "%s", h->name);
			conf_value(&w->c, h->value);
			conf_raw(&w->c, "always");
			conf_end(&w->c);
		}
	}
}
