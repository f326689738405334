/* TCP and UDP: routes wherry.stream, hosts whose TLS is the container's, the remote API. */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "ingress/conf_parts.h"

#define API_USER_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-:"

static void listen_socket(struct writing *w, const char *name, const char *more)
{
	scoped(free) char *path = xasprintf("unix:%s/%s.sock", w->m->run_dir, name);
	conf_name(&w->c, "listen");
	conf_plain(&w->c, path);
	buf_puts(&w->c.text, more);
	conf_end(&w->c);
}

static void put_upstream(
	struct writing *w, const char *key, const struct served_server *servers, size_t n)
{
	conf_name(&w->c, "upstream");
	conf_raw(&w->c, "up-%s", key);
	conf_open(&w->c);
	conf_servers_of(w, servers, n);
	conf_close(&w->c);
}

/* --- routes --- */

static void put_stream(struct writing *w, const struct served_stream *s)
{
	bool tls = s->stream->tls == ROUTE_TLS_TERMINATE;
	bool udp = s->stream->protocol == STREAM_UDP;
	if (s->n_servers == 0 || (tls && !w->tls)) {
		return; /* nobody listens: the client is told at once */
	}
	put_upstream(w, s->key, s->servers, s->n_servers);
	conf_block(&w->c, "server");
	conf_listen(w, s->stream->listen,
		udp   ? " udp"
		: tls ? " ssl so_keepalive=on"
		      : " so_keepalive=on");
	if (tls && (!s->host || !conf_certificate(w, s->host))) {
		(void)conf_certificate(w, "");
	}
	conf_name(&w->c, "proxy_pass");
	conf_raw(&w->c, "up-%s", s->key);
	conf_end(&w->c);
	conf_line(&w->c, udp ? "proxy_timeout 60s" : "proxy_timeout 24h");
	conf_close(&w->c);
}

/* --- TLS of containers --- */

/* sun_path is short, and a key is not. The same for one route in all generations: connections that
 * an old worker has accepted find their way. FNV-1a. */
static char *socket_name(const char *key)
{
	uint64_t hash = 0xcbf29ce484222325u;
	for (const unsigned char *p = (const unsigned char *)key; *p; p++) {
		hash = (hash ^ *p) * 0x100000001b3u;
	}
	return xasprintf("pass-%016" PRIx64, hash);
}

/* One behind the other: what is behind 443 gets the client's address in front (PROXY protocol),
 * which the container would not understand; the second takes it away again. */
static void put_passed(struct writing *w, const struct served_route *r)
{
	scoped(free) char *name = socket_name(r->key);
	put_upstream(w, r->key, r->servers, r->n_servers);
	conf_block(&w->c, "server");
	listen_socket(w, name, " proxy_protocol");
	conf_name(&w->c, "proxy_pass");
	conf_raw(&w->c, "up-%s", r->key);
	conf_end(&w->c);
	conf_line(&w->c, "proxy_timeout 24h");
	conf_close(&w->c);
}

static void put_choice(struct writing *w, const char *name, const char *socket)
{
	scoped(free) char *target = xasprintf("unix:%s/%s.sock", w->m->run_dir, socket);
	conf_name(&w->c, "");
	conf_raw(&w->c, "%s", name);
	conf_plain(&w->c, target);
	conf_end(&w->c);
}

static void put_passthrough(struct writing *w)
{
	const struct route_table *t = w->m->table;
	for (size_t i = 0; i < t->n_routes; i++) {
		const struct served_route *r = t->routes[i];
		if (r->route->tls == ROUTE_TLS_PASSTHROUGH && r->n_servers > 0) {
			put_passed(w, r);
		}
	}
	conf_block(&w->c, "map $ssl_preread_server_name $wherry_target");
	conf_line(&w->c, "hostnames");
	put_choice(w, "default", "https");
	for (size_t i = 0; i < t->n_hosts; i++) {
		const struct served_host *h = t->hosts[i];
		if (h->passthrough) {
			scoped(free) char *socket = socket_name(h->routes[0]->key);
			put_choice(w, h->name, socket);
		}
	}
	conf_close(&w->c);
	conf_block(&w->c, "server");
	conf_listen(w, w->m->settings->https_port, " so_keepalive=on");
	conf_line(&w->c, "ssl_preread on");
	conf_line(&w->c, "proxy_protocol on");
	conf_line(&w->c, "proxy_pass $wherry_target");
	conf_line(&w->c, "proxy_timeout 24h");
	conf_close(&w->c);
}

/* --- the remote API --- */

/* Who it is, is the name in the certificate, "alice:ID"; what he may, is the socket of this
 * certificate, which goes when it is taken away. */
static void put_api(struct writing *w)
{
	const struct strv *users = w->m->api_users;
	conf_block(&w->c, "map $ssl_client_s_dn $wherry_api");
	conf_line(&w->c, "default \"\"");
	for (size_t i = 0; users && i < users->n; i++) {
		const char *user = users->v[i];
		const char *colon = strchr(user, ':');
		if (strspn(user, API_USER_BYTES) != strlen(user) || !colon || colon[1] == '.') {
			continue;
		}
		scoped(free) char *target =
			xasprintf("unix:%s/api/%s.sock", w->m->run_dir, colon + 1);
		conf_name(&w->c, "");
		conf_raw(&w->c, "CN=%s", user);
		conf_plain(&w->c, target);
		conf_end(&w->c);
	}
	conf_close(&w->c);
	conf_block(&w->c, "server");
	conf_listen(w, w->m->settings->api_port, " ssl so_keepalive=on");
	(void)conf_certificate(w, "");
	conf_line(&w->c, "ssl_verify_client on");
	conf_name(&w->c, "ssl_client_certificate");
	conf_path(&w->c, w->m->api_ca, "");
	conf_end(&w->c);
	conf_line(&w->c, "proxy_half_close on"); /* docker exec: input ends before output */
	conf_line(&w->c, "proxy_timeout 24h");
	conf_line(&w->c, "proxy_pass $wherry_api");
	conf_close(&w->c);
}

static bool wants_api(const struct writing *w)
{
	return w->m->settings->api_port && w->m->api_ca && w->tls;
}

void conf_streams(struct writing *w)
{
	const struct route_table *t = w->m->table;
	if (w->m->no_stream || (!w->passthrough && t->n_streams == 0 && !wants_api(w))) {
		return;
	}
	conf_block(&w->c, "stream");
	conf_line(&w->c, "tcp_nodelay on");
	conf_line(&w->c, "proxy_connect_timeout 5s");
	conf_line(&w->c, "proxy_socket_keepalive on");
	conf_line(&w->c, "map_hash_bucket_size 512");
	conf_line(&w->c, "variables_hash_max_size 2048");
	conf_tls_settings(w);
	for (size_t i = 0; i < t->n_streams; i++) {
		put_stream(w, t->streams[i]);
	}
	if (w->passthrough) {
		put_passthrough(w);
	}
	if (wants_api(w)) {
		put_api(w);
	}
	conf_close(&w->c);
}
