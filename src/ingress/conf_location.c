#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "ingress/conf_parts.h"

#define LIVE_TIMEOUT_MS \
	(86400 * 1000LL) /* of websockets, events and gRPC, which are silent for long */

static bool is_grpc(const struct route *r)
{
	return r->backend == ROUTE_BACKEND_GRPC || r->backend == ROUTE_BACKEND_GRPCS;
}

/* Whether websockets and events have a location of their own: they wait longer, unbuffered. */
static bool has_live(const struct served_route *r)
{
	const struct route *u = r->route;
	bool proxied = !u->redirect && !u->root_path && !is_grpc(u) && r->n_servers > 0;
	return proxied && (u->buffering || u->read_timeout_ms == 0);
}

static void open_location(struct writing *w, const char *kind, const char *path, const char *more)
{
	scoped(free) char *whole = xasprintf("%s%s", path, more);
	conf_name(&w->c, "location");
	conf_raw(&w->c, "%s", kind);
	conf_plain(&w->c, whole);
	conf_open(&w->c);
}

/* --- what comes before the content --- */

/* What the access log calls it; server-wide it would be forgotten by an error's page. */
static void put_key(struct writing *w, const struct served_route *r)
{
	conf_name(&w->c, "set $wherry_key");
	conf_raw(&w->c, "%s", r->key);
	conf_end(&w->c);
}

static void put_guards(struct writing *w, const struct served_route *r)
{
	if (r->mixed_auth) {
		conf_block(&w->c, "if ($wherry_odd)");
		conf_line(&w->c, "return 400");
		conf_close(&w->c);
	}
	if (r->route->tls == ROUTE_TLS_OFF) {
		return;
	}
	if (w->tls) {
		conf_block(&w->c, "if ($wherry_plain)");
		conf_redirect_to_https(w);
		conf_close(&w->c);
	} else {
		conf_line(&w->c, "return 503");
	}
}

static void put_basic(struct writing *w, const struct served_route *r)
{
	conf_line(&w->c, "auth_basic \"sign in\"");
	conf_name(&w->c, "auth_basic_user_file");
	if (r->route->users_file) {
		conf_value(&w->c, r->route->users_file);
	} else {
		scoped(free) char *file = xasprintf("/htpasswd/%s", r->key);
		conf_path(&w->c, w->m->data_dir, file);
	}
	conf_end(&w->c);
}

static void put_login(struct writing *w, const struct served_route *r)
{
	scoped(buf) struct buf allow = BUF_INIT;
	const struct strv *users = &r->route->users;
	for (size_t i = 0; i < users->n; i++) {
		buf_printf(&allow, "%s%s", i > 0 ? "," : "", users->v[i]);
	}
	if (!w->m->login) { /* who could let somebody in is not there: nobody comes in */
		conf_line(&w->c, "deny all");
		return;
	}
	conf_name(&w->c, "set $wherry_allow");
	conf_value(&w->c, buf_str(&allow));
	conf_end(&w->c);
	conf_line(&w->c, "auth_request /.wherry/verify");
	conf_line(&w->c, "auth_request_set $wherry_user $upstream_http_remote_user");
	conf_line(&w->c, "auth_request_set $wherry_name $upstream_http_remote_name");
	conf_line(&w->c, "auth_request_set $wherry_groups $upstream_http_remote_groups");
}

static void put_access(struct writing *w, const struct served_route *r)
{
	if (r->route->rate > 0) {
		conf_name(&w->c, "limit_req");
		conf_raw(&w->c, "zone=rate-%s", r->key);
		if (r->route->rate_burst > 0) {
			conf_raw(&w->c, "burst=%d", r->route->rate_burst);
			conf_raw(&w->c, "nodelay");
		}
		conf_end(&w->c);
	}
	if (r->route->auth == ROUTE_AUTH_BASIC) {
		put_basic(w, r);
	} else if (r->route->auth == ROUTE_AUTH_LOGIN) {
		put_login(w, r);
	}
}

static void put_pages(struct writing *w, const struct served_route *r, bool live)
{
	if (r->route->auth == ROUTE_AUTH_LOGIN && w->m->login) {
		conf_line(&w->c,
			"error_page 401 = @wherry-signin"); /* the first that has a status counts */
	}
	if (live) {
		conf_name(&w->c, "error_page 418 =");
		conf_raw(&w->c, "@live-%s", r->key);
		conf_end(&w->c);
	}
	conf_error_pages(w, r);
}

/* --- backends --- */

int conf_segments(const char *path)
{
	int n = 0;
	for (const char *p = path; *p; p++) {
		n += *p == '/';
	}
	return n;
}

/* What is left of the path when the prefix is taken away. As the client wrote it (%2F stays) when
 * the prefix is plain in it, which the map says; else decoded and encoded again by nginx. */
static void put_strip(struct writing *w, const struct served_route *r)
{
	conf_name(&w->c, "rewrite");
	buf_printf(
		&w->c.text, " \"^(?:/[^/]+){%d}(/.*)$\" $1 break", conf_segments(r->route->path));
	conf_end(&w->c);
}

/* Where the backend sends a client is below the prefix, also when the backend does not know. */
static void put_unstrip(struct writing *w, const struct served_route *r)
{
	const char *path = r->route->path;
	conf_line(&w->c, "proxy_redirect \"~^(//.*)$\" $1");
	conf_name(&w->c, "proxy_redirect");
	conf_mixed(&w->c, "", path, "/", NULL);
	conf_mixed(&w->c, "", path, "/", NULL);
	conf_end(&w->c);
	conf_name(&w->c, "proxy_redirect /");
	conf_mixed(&w->c, "", path, "/", NULL);
	conf_end(&w->c);
	static const char *const schemes[] = {"http", "https"};
	for (size_t i = 0; i < 2; i++) {
		conf_name(&w->c, "proxy_redirect");
		buf_printf(&w->c.text, " %s://$host$wherry_port/", schemes[i]);
		conf_mixed(&w->c, "$wherry_proto://$host$wherry_port", path, "/", NULL);
		conf_end(&w->c);
	}
	conf_name(&w->c, "proxy_cookie_path");
	conf_mixed(&w->c, "", path, "/", NULL);
	conf_mixed(&w->c, "", path, "/", NULL);
	conf_end(&w->c);
	conf_name(&w->c, "proxy_cookie_path /");
	conf_mixed(&w->c, "", path, "/", NULL);
	conf_end(&w->c);
}

static void put_timeouts(struct writing *w, const struct route *r, bool live)
{
	bool grpc = is_grpc(r);
	int64_t ms = r->read_timeout_ms ? r->read_timeout_ms : live || grpc ? LIVE_TIMEOUT_MS : 0;
	if (ms == 0) {
		return;
	}
	static const char *const of_proxy[] = {"proxy_read_timeout", "proxy_send_timeout", NULL};
	static const char *const of_grpc[] = {
		"grpc_read_timeout", "grpc_send_timeout", "client_body_timeout", NULL};
	for (const char *const *name = grpc ? of_grpc : of_proxy; *name; name++) {
		conf_name(&w->c, *name);
		conf_raw(&w->c, "%" PRId64 "ms", ms);
		conf_end(&w->c);
	}
}

static void put_grpc(struct writing *w, const struct served_route *r)
{
	bool tls = r->route->backend == ROUTE_BACKEND_GRPCS;
	conf_name(&w->c, "grpc_pass");
	conf_raw(&w->c, "%s://up-%s", tls ? "grpcs" : "grpc", r->key);
	conf_end(&w->c);
}

static void put_proxy(struct writing *w, const struct served_route *r, bool live, bool strip)
{
	const struct route *u = r->route;
	if (strip) {
		put_strip(w, r);
		put_unstrip(w, r);
	}
	if (live || !u->buffering) {
		conf_line(&w->c, "proxy_buffering off");
	}
	conf_name(&w->c, "proxy_pass");
	conf_raw(&w->c, "%s://up-%s", u->backend == ROUTE_BACKEND_HTTPS ? "https" : "http", r->key);
	if (strip) {
		buf_printf(&w->c.text, "$wherry_rest_%d", conf_segments(u->path));
	}
	conf_end(&w->c);
}

static void put_headers(struct writing *w, const struct served_route *r, bool strip)
{
	const struct route *u = r->route;
	struct conf_headers h = {
		.grpc = is_grpc(u),
		.no_upgrade = !u->websocket,
		.identity = u->auth == ROUTE_AUTH_LOGIN   ? CONF_LOGIN
			    : u->auth == ROUTE_AUTH_BASIC ? CONF_BASIC
							  : CONF_NOBODY,
		.prefix = strip ? u->path : NULL,
	};
	if (h.grpc || h.no_upgrade || h.identity != CONF_NOBODY || h.prefix) {
		conf_request_headers(w, &h); /* else those of the http block are inherited */
	}
	conf_response_headers(w, u);
}

static void put_backend(struct writing *w, const struct served_route *r, bool live)
{
	const struct route *u = r->route;
	bool strip = u->strip_prefix && strcmp(u->path, "/") != 0;
	if (u->body_limit_bytes > 0) {
		conf_name(&w->c, "client_max_body_size");
		conf_raw(&w->c, "%" PRId64, u->body_limit_bytes);
		conf_end(&w->c);
	}
	if (r->n_servers == 0) {
		conf_name(&w->c, "set $wherry_app"); /* for the page */
		conf_value(&w->c, *r->service ? r->service : r->container);
		conf_end(&w->c);
		conf_line(&w->c, "return 503");
		return;
	}
	put_headers(w, r, strip);
	put_timeouts(w, u, live);
	if (is_grpc(u)) {
		put_grpc(w, r);
	} else {
		put_proxy(w, r, live, strip);
	}
}

/* --- a redirect, files --- */

static void put_redirect(struct writing *w, const struct route *r)
{
	conf_name(&w->c, "return");
	conf_raw(&w->c, "%d", r->redirect_status);
	buf_puts(&w->c.text, " \"");
	for (const char *p = r->redirect; *p;) {
		if (strncmp(p, "{host}", 6) == 0) {
			buf_puts(&w->c.text, "${host}");
			p += 6;
		} else if (strncmp(p, "{uri}", 5) == 0) {
			buf_puts(&w->c.text, "${request_uri}");
			p += 5;
		} else {
			/* of the alphabet of route_text_redirect: nothing to quote but the dollar
			 */
			buf_puts(
				&w->c.text, *p == '$' ? "${wherry_dollar}" : (const char[]){*p, 0});
			p++;
		}
	}
	buf_putc(&w->c.text, '"');
	conf_end(&w->c);
}

static void put_files(struct writing *w, const struct served_route *r)
{
	conf_block(&w->c, "if ($wherry_hidden)");
	conf_line(&w->c, "return 404");
	conf_close(&w->c);
	conf_response_headers(w, r->route);
	conf_name(&w->c, "alias");
	conf_mixed(&w->c, "", r->root_at, "/", NULL);
	conf_end(&w->c);
	conf_line(&w->c, "index index.html index.htm");
	conf_name(&w->c, "disable_symlinks on"); /* also on the way to the folder */
	conf_mixed(&w->c, "from=", r->root_from, "/", NULL);
	conf_end(&w->c);
}

/* --- all of a route --- */

static void put_content(struct writing *w, const struct served_route *r, bool live)
{
	const struct route *u = r->route;
	put_key(w, r);
	if (!live) {
		put_guards(w, r);
	}
	if (u->redirect) {
		put_redirect(w, u);
		return;
	}
	if (has_live(r) && !live) {
		conf_block(&w->c, "if ($wherry_live)");
		conf_line(&w->c, "return 418");
		conf_close(&w->c);
	}
	put_pages(w, r, has_live(r) && !live);
	put_access(w, r);
	if (u->root_path) {
		put_files(w, r);
	} else {
		put_backend(w, r, live);
	}
}

/* "/app" when what is served is below "/app/". */
static void put_slash(struct writing *w, const struct served_route *r)
{
	put_key(w, r);
	put_guards(w, r);
	conf_name(&w->c, "return 307");
	conf_mixed(&w->c, "", r->route->path, "/$is_args$args", NULL);
	conf_end(&w->c);
}

void conf_route(struct writing *w, const struct served_route *r)
{
	const char *path = r->route->path;
	bool top = strcmp(path, "/") == 0;
	if (!top) {
		open_location(w, "=", path, "");
		if (r->route->strip_prefix || r->route->root_path) {
			put_slash(w, r);
		} else {
			put_content(w, r, false);
		}
		conf_close(&w->c);
	}
	open_location(w, "^~", path, top ? "" : "/");
	put_content(w, r, false);
	conf_close(&w->c);
	if (has_live(r)) {
		conf_name(&w->c, "location");
		conf_raw(&w->c, "@live-%s", r->key);
		conf_open(&w->c);
		put_content(w, r, true);
		conf_close(&w->c);
	}
}
