/* ingress/conf_parts.h - what the files that write the configuration share. */
#pragma once
#include "ingress/conf.h"
#include "ingress/conf_text.h"

struct writing {
	struct conf c;
	const struct ingress_model *m;
	bool tls;         /* there is a certificate to begin with */
	bool passthrough; /* 443 is the stream part's */
	bool trusts;      /* there are proxies whose headers are believed */
};

/* conf_map.c: variables that requests are seen through. */
void conf_maps(struct writing *w);

/* conf_header.c: what backends are told. */
enum conf_identity { CONF_NOBODY, CONF_BASIC, CONF_LOGIN };
struct conf_headers {
	bool grpc;
	bool no_upgrade; /* this route has no websockets */
	enum conf_identity identity;
	const char *prefix; /* that was stripped, or NULL */
};
void conf_request_headers(struct writing *w, const struct conf_headers *h);
void conf_response_headers(struct writing *w, const struct route *r);

/* conf_server.c: servers of hosts, the unknown one first. */
void conf_servers(struct writing *w);
/* "listen" at each address; more: a literal of ours, " ssl". */
void conf_listen(struct writing *w, unsigned port, const char *more);
/* "https://NAME:8443", without the port when it is 443; with a backend's name the redirect of all.
 */
void conf_redirect_to_https(struct writing *w);

/* conf_location.c: the locations of one route of a host. */
void conf_route(struct writing *w, const struct served_route *r);
int conf_segments(const char *path); /* how many: "/a/b" has two */
/* conf_page.c: error pages of a route, and where they are. */
void conf_error_pages(struct writing *w, const struct served_route *r);
void conf_page_locations(struct writing *w);

/* conf_stream.c: the stream part; nothing when it is not needed. */
void conf_streams(struct writing *w);
void conf_servers_of(struct writing *w, const struct served_server *servers, size_t n);
/* ssl_certificate and its key; false when nobody has one for this host. */
bool conf_certificate(struct writing *w, const char *host);
void conf_tls_settings(struct writing *w);
