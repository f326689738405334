#include "ingress/conf.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "ingress/conf_parts.h"

#define STRIPPED_MAX (ROUTE_TEXT_MAX / 2 + 1) /* segments: each has two bytes at least */

/* Mozilla's "intermediate" of guideline 5.7, without those that need a file of parameters. */
void conf_tls_settings(struct writing *w)
{
	if (!w->tls) {
		return;
	}
	conf_line(&w->c, "ssl_protocols TLSv1.2 TLSv1.3");
	conf_line(&w->c, "ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
			 "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
			 "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305");
	conf_line(&w->c, "ssl_prefer_server_ciphers off");
	conf_line(&w->c, "ssl_session_timeout 1d");
	conf_line(&w->c, "ssl_session_tickets off");
}

/* --- the main part --- */

static void put_path(struct writing *w, const char *directive, const char *dir, const char *name,
	const char *more)
{
	conf_name(&w->c, directive);
	conf_path(&w->c, dir, name);
	buf_puts(&w->c.text, more);
	conf_end(&w->c);
}

static void put_main(struct writing *w)
{
	buf_printf(&w->c.text, "# generation %" PRIu64 ", written by wherryd: changes are lost\n",
		w->m->generation);
	conf_line(&w->c, "user www-data");
	conf_line(&w->c, "worker_processes auto");
	conf_line(&w->c, "worker_rlimit_nofile 8192");
	conf_line(&w->c, "worker_shutdown_timeout 300s");
	put_path(w, "pid", w->m->run_dir, "/nginx.pid", "");
	put_path(w, "error_log", w->m->data_dir, "/log/error.log", " warn");
	if (!w->m->no_stream && w->m->stream_module) {
		put_path(w, "load_module", w->m->stream_module, "", "");
	}
	conf_block(&w->c, "events");
	conf_line(&w->c, "worker_connections 2048");
	conf_close(&w->c);
}

/* --- what all of http has --- */

static const char *const http_lines[] = {
	"default_type application/octet-stream",
	"server_tokens off",
	"sendfile on",
	"tcp_nopush on",
	"keepalive_requests 10000",
	"absolute_redirect off",
	"reset_timedout_connection on",
	"recursive_error_pages on",
	"client_max_body_size 0",
	"large_client_header_buffers 4 16k",
	"server_names_hash_max_size 4096",
	"server_names_hash_bucket_size 512",
	"variables_hash_max_size 4096",
	"map_hash_bucket_size 512",
	"proxy_headers_hash_max_size 2048",
	"proxy_headers_hash_bucket_size 256",
	"limit_req_status 429",
	"limit_req_log_level info",
	/* to backends: nothing goes to the disk on its way */
	"proxy_http_version 1.1",
	"proxy_request_buffering off",
	"proxy_max_temp_file_size 0",
	"proxy_buffer_size 16k",
	"proxy_buffers 8 16k",
	"proxy_busy_buffers_size 32k",
	"proxy_connect_timeout 5s",
	"proxy_socket_keepalive on",
	"proxy_ssl_server_name on",
	"proxy_ssl_name $host",
	/* an app has no say in what else is served */
	"proxy_ignore_headers X-Accel-Redirect",
	/* an app that does not know about the TLS in front of it */
	"proxy_redirect http://$host$wherry_port/ $wherry_proto://$host$wherry_port/",
	NULL,
};

/* Combined, which every reader of logs knows, then what it lacks. */
static void put_log_format(struct writing *w)
{
	conf_line(&w->c,
		"log_format wherry '$remote_addr - $remote_user [$time_local] \"$request\" $status "
		"$body_bytes_sent \"$http_referer\" \"$http_user_agent\" $host $wherry_key "
		"$request_time $upstream_response_time'");
}

static void put_temp_paths(struct writing *w)
{
	static const char *const kinds[] = {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		scoped(free) char *directive = xasprintf("%s_temp_path", kinds[i]);
		scoped(free) char *name = xasprintf("/tmp/%s", kinds[i]);
		put_path(w, directive, w->m->run_dir, name, "");
	}
}

static void put_real_ip(struct writing *w)
{
	const struct strv *proxies = &w->m->settings->trusted_proxies;
	if (w->passthrough) {
		conf_line(&w->c, "set_real_ip_from unix:");
		conf_line(&w->c, "real_ip_header proxy_protocol");
		return;
	}
	for (size_t i = 0; i < proxies->n; i++) {
		conf_name(&w->c, "set_real_ip_from");
		conf_raw(&w->c, "%s", proxies->v[i]);
		conf_end(&w->c);
	}
	if (proxies->n > 0) {
		conf_line(&w->c, "real_ip_header X-Forwarded-For");
		conf_line(&w->c, "real_ip_recursive on");
	}
}

/* --- what routes need outside of their servers --- */

void conf_servers_of(struct writing *w, const struct served_server *servers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char ip[IP_TEXT_MAX];
		conf_name(&w->c, "server");
		conf_raw(&w->c, servers[i].address.size == IP6_BYTES ? "[%s]:%u" : "%s:%u",
			ip_format(servers[i].address, ip), (unsigned)servers[i].port);
		if (n > 1) {
			conf_raw(&w->c, "fail_timeout=2s");
		}
		conf_end(&w->c);
	}
}

static void put_upstream(struct writing *w, const struct served_route *r)
{
	conf_name(&w->c, "upstream");
	conf_raw(&w->c, "up-%s", r->key);
	conf_open(&w->c);
	conf_servers_of(w, r->servers, r->n_servers);
	conf_line(&w->c, "keepalive 16");
	conf_line(&w->c,
		"keepalive_timeout 1500ms"); /* before a backend ends it: they begin at 2 s */
	conf_close(&w->c);
}

static void put_rate(struct writing *w, const struct served_route *r)
{
	conf_name(&w->c, "limit_req_zone $binary_remote_addr");
	conf_raw(&w->c, "zone=rate-%s:1m", r->key);
	conf_raw(&w->c, "rate=%dr/%s", r->route->rate, r->route->rate_per_s == 1 ? "s" : "m");
	conf_end(&w->c);
}

/* What is behind the first n segments as the client wrote them; empty when they are written in
 * another way than a location's name. */
static void put_rest_map(struct writing *w, int n)
{
	conf_name(&w->c, "map $request_uri");
	buf_printf(&w->c.text, " $wherry_rest_%d", n);
	conf_open(&w->c);
	conf_line(&w->c, "default \"\"");
	conf_name(&w->c, "");
	buf_printf(&w->c.text,
		" \"~^(?![^?]*/(?:\\.|%%2e){1,2}(?:[/?]|$))(?:/[^/?%%]+){%d}(?<wherry_r%d>/[^ ]*)$\" "
		"$wherry_r%d",
		n, n, n);
	conf_end(&w->c);
	conf_close(&w->c);
}

static void put_of_routes(struct writing *w)
{
	bool mapped[STRIPPED_MAX] = {0};
	const struct route_table *t = w->m->table;
	for (size_t i = 0; i < t->n_routes; i++) {
		const struct served_route *r = t->routes[i];
		const struct route *u = r->route;
		bool proxied = !u->redirect && !u->root_path && u->tls != ROUTE_TLS_PASSTHROUGH;
		if (proxied && r->n_servers > 0) {
			put_upstream(w, r);
		}
		if (u->rate > 0) {
			put_rate(w, r);
		}
		int n = conf_segments(u->path);
		if (u->strip_prefix && proxied && !mapped[n]) {
			mapped[n] = true;
			put_rest_map(w, n);
		}
	}
	if (w->m->login) {
		conf_block(&w->c, "upstream wherry-door");
		scoped(free) char *door = xasprintf("unix:%s/door.sock", w->m->run_dir);
		conf_name(&w->c, "server");
		conf_plain(&w->c, door);
		conf_end(&w->c);
		conf_line(&w->c, "keepalive 8");
		conf_close(&w->c);
	}
}

/* Which generation answers: a worker of an old one listens no more. */
static void put_status(struct writing *w)
{
	scoped(free) char *socket = xasprintf("unix:%s/status.sock", w->m->run_dir);
	conf_block(&w->c, "server");
	conf_name(&w->c, "listen");
	conf_plain(&w->c, socket);
	conf_end(&w->c);
	conf_line(&w->c, "access_log off");
	conf_block(&w->c, "location = /");
	conf_line(&w->c, "default_type text/plain");
	conf_name(&w->c, "return 200");
	buf_printf(&w->c.text, " \"%" PRIu64 "\\n\"", w->m->generation);
	conf_end(&w->c);
	conf_close(&w->c);
	conf_block(&w->c, "location = /connections");
	conf_line(&w->c, "stub_status");
	conf_close(&w->c);
	conf_close(&w->c);
}

static bool has_grpc(const struct route_table *t)
{
	for (size_t i = 0; i < t->n_routes; i++) {
		if (t->routes[i]->route->backend >= ROUTE_BACKEND_GRPC) {
			return true;
		}
	}
	return false;
}

static void put_http(struct writing *w)
{
	conf_block(&w->c, "http");
	if (w->m->mime_types) {
		put_path(w, "include", w->m->mime_types, "", "");
	}
	for (size_t i = 0; http_lines[i]; i++) {
		conf_line(&w->c, http_lines[i]);
	}
	put_temp_paths(w);
	put_log_format(w);
	conf_tls_settings(w);
	if (w->tls) {
		conf_line(&w->c, "ssl_session_cache shared:wherry:2m");
	}
	put_real_ip(w);
	conf_maps(w);
	conf_request_headers(w, &(struct conf_headers){0});
	if (has_grpc(w->m->table)) {
		conf_request_headers(w, &(struct conf_headers){.grpc = true});
		conf_line(&w->c, "grpc_connect_timeout 5s");
		conf_line(&w->c, "grpc_socket_keepalive on");
		conf_line(&w->c, "grpc_ssl_server_name on");
		conf_line(&w->c, "grpc_ssl_name $host");
	}
	put_of_routes(w);
	put_status(w);
	conf_servers(w);
	conf_close(&w->c);
}

static bool has_passthrough(const struct route_table *t)
{
	for (size_t i = 0; i < t->n_hosts; i++) {
		if (t->hosts[i]->passthrough) {
			return true;
		}
	}
	return false;
}

char *ingress_conf_text(const struct ingress_model *m, struct err *e)
{
	struct writing w = {.c = {.e = e}, .m = m};
	w.tls = m->certificate && m->certificate(m->owner, "");
	w.passthrough = !m->no_stream && m->settings->https_port && has_passthrough(m->table);
	w.trusts = m->settings->trusted_proxies.n > 0;
	put_main(&w);
	put_http(&w);
	conf_streams(&w);
	if (w.c.failed) {
		buf_deinit(&w.c.text);
		return NULL;
	}
	return buf_take_str(&w.c.text);
}

json_t *ingress_conf_files(const struct ingress_model *m)
{
	json_t *files = json_object();
	for (size_t i = 0; i < m->table->n_routes; i++) {
		const struct served_route *r = m->table->routes[i];
		if (r->route->auth != ROUTE_AUTH_BASIC || r->route->users.n == 0) {
			continue;
		}
		scoped(buf) struct buf text = BUF_INIT;
		for (size_t k = 0; k < r->route->users.n; k++) {
			buf_printf(&text, "%s\n", r->route->users.v[k]);
		}
		scoped(free) char *name = xasprintf("htpasswd/%s", r->key);
		json_put_str(files, name, buf_str(&text));
	}
	return files;
}
