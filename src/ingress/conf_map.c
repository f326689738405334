#include <string.h>

#include "ingress/conf_parts.h"

/* Each is a literal of ours: key and value as nginx reads them. */
static void map(struct writing *w, const char *head, const char *const *lines)
{
	conf_block(&w->c, head);
	for (size_t i = 0; lines[i]; i++) {
		conf_line(&w->c, lines[i]);
	}
	conf_close(&w->c);
}

/* Only websockets are passed on: "Upgrade: h2c" would be a tunnel past every check. */
static void map_kinds(struct writing *w)
{
	map(w, "map $http_upgrade $wherry_upgrade",
		(const char *const[]){"default \"\"", "~*^websocket$ websocket", NULL});
	map(w, "map $wherry_upgrade $wherry_connection",
		(const char *const[]){"default \"\"", "websocket upgrade", NULL});
	map(w, "map $http_accept $wherry_events",
		(const char *const[]){"default \"\"", "~*text/event-stream 1", NULL});
	map(w, "map $wherry_upgrade$wherry_events $wherry_live",
		(const char *const[]){"default 1", "\"\" \"\"", NULL});
	map(w, "map $request_method:$http_accept $wherry_page",
		(const char *const[]){"default \"\"", "~*^(?:GET|HEAD):.*text/html 1", NULL});
	/* what a path means must not depend on who reads it, where paths decide who may */
	map(w, "map $request_uri $wherry_odd",
		(const char *const[]){"default \"\"",
			"\"~*^[^?]*(?:/|%2f)(?:\\.|%2e){1,2}(?:[/?]|%2f|$)\" 1",
			"\"~*^[^?]*(?:;|%3b|\\\\\\\\|%5c)\" 1", NULL});
	map(w, "map $uri $wherry_hidden",
		(const char *const[]){"default \"\"", "~/\\.(?!well-known/) 1", NULL});
}

/* Our session is nobody else's, nor is what our forms repeat. */
static void map_cookie(struct writing *w)
{
	map(w, "map $http_cookie $wherry_cookie",
		(const char *const[]){"default $http_cookie",
			"\"~^\\s*" INGRESS_COOKIE "=[^;]*(?:;\\s*(?<wherry_c1>.*))?$\" $wherry_c1",
			"\"~^(?<wherry_c2>.*?);\\s*" INGRESS_COOKIE
			"=[^;]*(?<wherry_c3>.*)$\" $wherry_c2$wherry_c3",
			NULL});
	map(w, "map $wherry_cookie $wherry_cookie_apps",
		(const char *const[]){"default $wherry_cookie",
			"\"~^\\s*" INGRESS_FORM_COOKIE
			"=[^;]*(?:;\\s*(?<wherry_c4>.*))?$\" $wherry_c4",
			"\"~^(?<wherry_c5>.*?);\\s*" INGRESS_FORM_COOKIE
			"=[^;]*(?<wherry_c6>.*)$\" $wherry_c5$wherry_c6",
			NULL});
	map(w, "map $wherry_cookie_apps $wherry_cookies",
		(const char *const[]){"default $wherry_cookie_apps",
			"\"~" INGRESS_COOKIE "(?:-form)?=\" \"\"", NULL});
}

static void map_trusted(struct writing *w)
{
	const struct strv *proxies = &w->m->settings->trusted_proxies;
	map(w, "map $proxy_protocol_addr $wherry_peer",
		(const char *const[]){
			"default $proxy_protocol_addr", "\"\" $realip_remote_addr", NULL});
	conf_block(&w->c, "geo $wherry_peer $wherry_trusted");
	conf_line(&w->c, "default \"\"");
	for (size_t i = 0; i < proxies->n; i++) {
		conf_name(&w->c, "");
		conf_raw(&w->c, "%s", proxies->v[i]);
		conf_raw(&w->c, "trusted");
		conf_end(&w->c);
	}
	conf_close(&w->c);
	map(w, "map $wherry_trusted:$http_x_forwarded_proto $wherry_proto",
		(const char *const[]){
			"default $scheme", "trusted:http http", "trusted:https https", NULL});
	map(w, "map $wherry_trusted:$http_x_forwarded_host $wherry_forwarded_host",
		(const char *const[]){"default $host$wherry_port",
			"~^trusted:(?<wherry_h>[A-Za-z0-9.:_\\[\\]-]+)$ $wherry_h", NULL});
	map(w, "map $wherry_trusted:$http_x_forwarded_port:$wherry_proto$wherry_port $wherry_forwarded_port",
		(const char *const[]){"~^trusted:(?<wherry_p1>[0-9]+): $wherry_p1",
			"~:(?<wherry_p2>[0-9]+)$ $wherry_p2", "~:https$ 443", "default 80", NULL});
}

/* Nobody is believed: what a client says of itself is replaced. */
static void map_untrusted(struct writing *w)
{
	map(w, "map \"\" $wherry_proto", (const char *const[]){"default $scheme", NULL});
	map(w, "map \"\" $wherry_forwarded_host",
		(const char *const[]){"default $host$wherry_port", NULL});
	map(w, "map $scheme$wherry_port $wherry_forwarded_port",
		(const char *const[]){
			"~:(?<wherry_p2>[0-9]+)$ $wherry_p2", "https 443", "default 80", NULL});
}

void conf_maps(struct writing *w)
{
	conf_block(&w->c, "geo $wherry_dollar");
	conf_line(&w->c, "default \"$\"");
	conf_close(&w->c);
	/* what locations set, where none does */
	map(w, "map \"\" $wherry_key", (const char *const[]){"default -", NULL});
	map(w, "map \"\" $wherry_app", (const char *const[]){"default \"\"", NULL});
	static const char *const of_login[] = {"map \"\" $wherry_allow", "map \"\" $wherry_user",
		"map \"\" $wherry_name", "map \"\" $wherry_groups"};
	for (size_t i = 0; i < sizeof(of_login) / sizeof(*of_login); i++) {
		map(w, of_login[i], (const char *const[]){"default \"\"", NULL});
	}
	map_kinds(w);
	map_cookie(w);
	/* $host is who the request was for; the port is only in what the client sent */
	map(w, "map $http_host $wherry_port",
		(const char *const[]){
			"default \"\"", "\"~(?<wherry_p0>:[0-9]{1,5})$\" $wherry_p0", NULL});
	if (w->trusts) {
		map_trusted(w);
	} else {
		map_untrusted(w);
	}
	map(w, "map $https$wherry_proto $wherry_plain",
		(const char *const[]){"default \"\"", "http 1", NULL});
	/* RFC 7239 4: an address with colons is quoted and in brackets */
	map(w, "map $remote_addr $wherry_for",
		(const char *const[]){"default unknown", "~^[0-9.]+$ $remote_addr",
			"~^[0-9a-fA-F:.]+$ \"\\\"[$remote_addr]\\\"\"", NULL});
}
