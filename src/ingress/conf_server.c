#include <string.h>

#include "base/mem.h"
#include "ingress/conf_parts.h"

#define HTTPS_SOCKET "/https.sock"

/* --- listening --- */

static void listen_at(struct writing *w, const char *address, unsigned port, const char *more)
{
	conf_name(&w->c, "listen");
	if (*address) {
		conf_raw(&w->c, "%s:%u", address, port);
	} else {
		conf_raw(&w->c, "%u", port);
	}
	buf_puts(&w->c.text, more); /* a literal of ours */
	conf_end(&w->c);
}

void conf_listen(struct writing *w, unsigned port, const char *more)
{
	const struct strv *addresses = &w->m->settings->addresses;
	if (port == 0) {
		return; /* somebody else has it */
	}
	for (size_t i = 0; i < addresses->n; i++) {
		listen_at(w, addresses->v[i], port, more);
	}
	if (addresses->n == 0) {
		listen_at(w, "", port, more);
		if (!w->m->no_ipv6) {
			listen_at(w, "[::]", port, more);
		}
	}
}

/* A server without a place to listen at would have nginx's default, port 80. */
static void listen_nowhere(struct writing *w)
{
	scoped(free) char *socket = xasprintf("unix:%s/none.sock", w->m->run_dir);
	conf_name(&w->c, "listen");
	conf_plain(&w->c, socket);
	conf_end(&w->c);
}

static void put_listens(struct writing *w, bool dflt)
{
	const struct ingress_settings *s = w->m->settings;
	if (s->http_port == 0 && (!w->tls || (s->https_port == 0 && !w->passthrough))) {
		listen_nowhere(w);
		return;
	}
	conf_listen(w, s->http_port, dflt ? " default_server" : "");
	if (!w->tls) {
		return;
	}
	if (!w->passthrough) {
		conf_listen(w, s->https_port, dflt ? " ssl http2 default_server" : " ssl http2");
		return;
	}
	scoped(free) char *socket = xasprintf("unix:%s" HTTPS_SOCKET, w->m->run_dir);
	conf_name(&w->c, "listen");
	conf_plain(&w->c, socket);
	buf_puts(&w->c.text,
		dflt ? " ssl http2 proxy_protocol default_server" : " ssl http2 proxy_protocol");
	conf_end(&w->c);
}

void conf_redirect_to_https(struct writing *w)
{
	uint16_t port = w->m->settings->https_port;
	conf_name(&w->c, "return 301");
	if (port == INGRESS_HTTPS_PORT) {
		buf_puts(&w->c.text, " https://$host$request_uri");
	} else {
		buf_printf(&w->c.text, " https://$host:%u$request_uri", (unsigned)port);
	}
	conf_end(&w->c);
}

/* Whoever speaks plain HTTP to the TLS port. */
static void put_mistaken(struct writing *w)
{
	conf_name(&w->c, "error_page 497 =301");
	buf_printf(
		&w->c.text, " https://$host:%u$request_uri", (unsigned)w->m->settings->https_port);
	conf_end(&w->c);
}

static void put_log(struct writing *w, const char *file)
{
	scoped(free) char *path = xasprintf("/log/%.200s.log", file); /* NAME_MAX is 255 */
	conf_name(&w->c, "access_log");
	conf_path(&w->c, w->m->data_dir, path);
	conf_raw(&w->c, "wherry");
	conf_raw(&w->c, "buffer=8k");
	conf_raw(&w->c, "flush=5s");
	conf_end(&w->c);
}

bool conf_certificate(struct writing *w, const char *host)
{
	const char *stem = w->m->certificate(w->m->owner, host);
	if (!stem) {
		return false;
	}
	conf_name(&w->c, "ssl_certificate");
	conf_path(&w->c, stem, ".crt");
	conf_end(&w->c);
	conf_name(&w->c, "ssl_certificate_key");
	conf_path(&w->c, stem, ".key");
	conf_end(&w->c);
	return true;
}

/* A server with a pair of its own has a context of OpenSSL's, which costs a millisecond with each
 * reload; one without uses that of the default server. */
static void put_certificate(struct writing *w, const char *host)
{
	const struct ingress_model *m = w->m;
	scoped(free) char *dflt = w->tls ? xstrdup(m->certificate(m->owner, "")) : NULL;
	const char *stem = w->tls ? m->certificate(m->owner, host) : NULL;
	if (stem && strcmp(stem, dflt) != 0) {
		(void)conf_certificate(w, host);
	}
}

/* --- the device's own part of each host --- */

static void put_door_headers(struct writing *w)
{
	conf_line(&w->c, "proxy_set_header Host $host$wherry_port");
	conf_line(&w->c, "proxy_set_header Connection \"\"");
	conf_line(&w->c, "proxy_set_header X-Real-IP $remote_addr");
	conf_line(&w->c, "proxy_set_header X-Forwarded-For $remote_addr");
	conf_line(&w->c, "proxy_set_header X-Forwarded-Proto $wherry_proto");
	conf_line(&w->c, "proxy_set_header X-Wherry-Host $host");
}

/* Asked for each request of a route with a login. */
static void put_verify(struct writing *w)
{
	conf_block(&w->c, "location = /.wherry/verify");
	conf_line(&w->c, "internal");
	conf_line(&w->c, "proxy_pass http://wherry-door");
	conf_line(&w->c, "proxy_pass_request_body off");
	conf_line(&w->c, "proxy_method GET");
	put_door_headers(w);
	conf_line(&w->c, "proxy_set_header Content-Length \"\"");
	conf_line(&w->c, "proxy_set_header X-Wherry-Uri $request_uri");
	conf_line(&w->c, "proxy_set_header X-Wherry-Method $request_method");
	conf_line(&w->c, "proxy_set_header X-Wherry-Allow $wherry_allow");
	conf_line(&w->c, "proxy_set_header X-Wherry-Key $wherry_key");
	conf_close(&w->c);
}

/* A person is shown the way; a program is told no. */
static void put_signin(struct writing *w)
{
	conf_block(&w->c, "location @wherry-signin");
	conf_line(&w->c, "add_header Cache-Control no-store always");
	conf_block(&w->c, "if ($wherry_page)");
	conf_line(&w->c, "return 303 /.wherry/login?next=$request_uri");
	conf_close(&w->c);
	conf_line(&w->c, "return 401");
	conf_close(&w->c);
}

static void put_door_location(struct writing *w, const char *head)
{
	conf_block(&w->c, head);
	if (w->tls) {
		conf_block(&w->c, "if ($wherry_plain)");
		conf_redirect_to_https(w);
		conf_close(&w->c);
	}
	conf_line(&w->c, "client_max_body_size 64k");
	conf_line(&w->c, "client_body_buffer_size 64k");
	conf_line(&w->c, "proxy_request_buffering on");
	conf_line(&w->c, "proxy_pass http://wherry-door");
	put_door_headers(w);
	conf_line(&w->c, "proxy_set_header X-Wherry-Uri \"\"");
	conf_line(&w->c, "proxy_set_header X-Wherry-Method \"\"");
	conf_line(&w->c, "proxy_set_header X-Wherry-Allow \"\"");
	conf_line(&w->c, "proxy_set_header X-Wherry-Key \"\"");
	conf_close(&w->c);
}

static void put_challenges(struct writing *w)
{
	if (!w->m->settings->acme.directory || w->m->settings->acme.dns_hook) {
		return;
	}
	conf_block(&w->c, "location ^~ /.well-known/acme-challenge/");
	conf_line(&w->c, "default_type text/plain");
	conf_name(&w->c, "alias");
	conf_path(&w->c, w->m->data_dir, "/acme-challenge/");
	conf_end(&w->c);
	conf_close(&w->c);
}

/* Where phones and computers come to trust this device: also by plain http, for they do not yet
 * (worker/cert_page.h). */
static void put_authority(struct writing *w)
{
	if (!w->tls) {
		return;
	}
	conf_block(&w->c, "location = /.wherry/ca");
	conf_line(&w->c, "default_type \"text/html; charset=utf-8\"");
	conf_block(&w->c, "types");
	conf_close(&w->c);
	conf_name(&w->c, "alias");
	conf_path(&w->c, w->m->data_dir, "/ca/index.html");
	conf_end(&w->c);
	conf_close(&w->c);
	conf_block(&w->c, "location ^~ /.wherry/ca/");
	conf_line(&w->c, "default_type application/x-x509-ca-cert");
	conf_block(&w->c, "types");
	conf_line(&w->c, "application/x-apple-aspen-config mobileconfig");
	conf_line(&w->c, "text/html html");
	conf_close(&w->c);
	conf_name(&w->c, "alias");
	conf_path(&w->c, w->m->data_dir, "/ca/");
	conf_end(&w->c);
	conf_close(&w->c);
}

/* What every host has of ours. */
static void put_own_locations(struct writing *w)
{
	conf_page_locations(w);
	put_challenges(w);
	put_authority(w);
	if (!w->m->login) {
		return;
	}
	put_verify(w);
	put_signin(w);
	put_door_location(w, "location ^~ /.wherry/");
}

/* --- hosts --- */

static bool has_top(const struct served_host *h)
{
	return h && h->n_routes > 0 && strcmp(h->routes[h->n_routes - 1]->route->path, "/") == 0;
}

static void put_nothing_here(struct writing *w)
{
	conf_block(&w->c, "location /");
	conf_line(&w->c, "error_page 404 /.wherry/pages/unknown.html");
	conf_line(&w->c, "return 404");
	conf_close(&w->c);
}

static void put_rest(struct writing *w, const struct served_host *h, const char *log)
{
	put_mistaken(w);
	put_log(w, log);
	conf_error_pages(w, NULL);
	put_own_locations(w);
	for (size_t i = 0; h && i < h->n_routes; i++) {
		conf_route(w, h->routes[i]);
	}
	if (!has_top(h)) {
		put_nothing_here(w);
	}
}

/* For every name that is nobody's. */
static void put_unknown(struct writing *w)
{
	conf_block(&w->c, "server");
	put_listens(w, true);
	conf_line(&w->c, "server_name \"\"");
	if (w->tls) {
		(void)conf_certificate(w, "");
	}
	put_rest(w, NULL, "unknown");
	conf_close(&w->c);
}

/* The device's own names, and all addresses: those change, and a name is none. */
static void put_own_names(struct writing *w)
{
	conf_name(&w->c, "server_name");
	conf_raw(&w->c, "%s.local", w->m->settings->name);
	conf_raw(&w->c, "%s", w->m->settings->name);
	conf_raw(&w->c, "localhost");
	buf_puts(&w->c.text, " ~^[0-9]+\\.[0-9]+\\.[0-9]+\\.[0-9]+$ \"~^\\[[0-9a-f:.]+\\]$\"");
	conf_end(&w->c);
}

static void put_own(struct writing *w, const struct served_host *h)
{
	scoped(free) char *name = xasprintf("%s.local", w->m->settings->name);
	conf_block(&w->c, "server");
	put_listens(w, false);
	put_own_names(w);
	put_certificate(w, name);
	put_rest(w, h, name);
	conf_close(&w->c);
}

static void put_host(struct writing *w, const struct served_host *h)
{
	bool any = h->name[0] == '*';
	scoped(free) char *log = xasprintf("%s%s", any ? "any" : "", any ? h->name + 1 : h->name);
	conf_block(&w->c, "server");
	put_listens(w, false);
	conf_name(&w->c, "server_name");
	conf_raw(&w->c, "%s", h->name);
	conf_end(&w->c);
	put_certificate(w, h->name);
	put_rest(w, h, log);
	conf_close(&w->c);
}

/* On 80 a host whose TLS is the container's has a redirect only. */
static void put_passed(struct writing *w, const struct served_host *h)
{
	conf_block(&w->c, "server");
	if (w->m->settings->http_port == 0) {
		listen_nowhere(w);
	}
	conf_listen(w, w->m->settings->http_port, "");
	conf_name(&w->c, "server_name");
	conf_raw(&w->c, "%s", h->name);
	conf_end(&w->c);
	conf_page_locations(w);
	conf_block(&w->c, "location /");
	conf_redirect_to_https(w);
	conf_close(&w->c);
	conf_close(&w->c);
}

void conf_servers(struct writing *w)
{
	const struct route_table *t = w->m->table;
	const struct served_host *own = NULL;
	put_unknown(w);
	for (size_t i = 0; i < t->n_hosts; i++) {
		const struct served_host *h = t->hosts[i];
		if (strcmp(h->name, ROUTE_HOST_OWN) == 0) {
			own = h;
		} else if (h->passthrough) {
			put_passed(w, h);
		} else {
			put_host(w, h);
		}
	}
	put_own(w, own);
}
