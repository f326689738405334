/* ingress/route.h - what labels wherry.http.* and wherry.stream.* of one container ask for. Pure.
 *
 *   wherry.http.FIELD = value         the container's one route
 *   wherry.http.NAME.FIELD = value    one of several
 *   wherry.stream.NAME = listen=8883,port=1883,...   a port of TCP or UDP
 *
 * The words are in doc/ingress.md. Everything here is checked and typed: what is written into
 * nginx's configuration (conf.h) has alphabets that are stated below, or is quoted there. This part
 * is linked with the command line as well (compose), so it includes nothing of the daemon's.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/scoped.h"
#include "base/strv.h"

#define ROUTE_LABEL "wherry.http."
#define STREAM_LABEL "wherry.stream."
#define ROUTES_MAX 32 /* of one container, of each kind */
#define ROUTE_HOSTS_MAX 32
#define ROUTE_TEXT_MAX 512            /* bytes of a path, a redirect, a file */
#define ROUTE_HEADERS_MAX 64          /* of one route */
#define ROUTE_HEADERS_BYTES_MAX 16384 /* of all values of one route */
#define ROUTE_WRITTEN_MAX 3500 /* of one text with what quotes it: nginx's tokens end at 4096 */
#define ROUTE_USERS_MAX 256
#define ROUTE_HOST_OWN "." /* the device's own names and addresses */

enum route_auth { ROUTE_AUTH_NONE, ROUTE_AUTH_BASIC, ROUTE_AUTH_LOGIN };
enum route_tls {
	ROUTE_TLS_TERMINATE,
	ROUTE_TLS_PASSTHROUGH, /* the container has the certificate; the name is read from the hello
				*/
	ROUTE_TLS_OFF,         /* of an http route: plain http as well, without a redirect */
};
enum route_backend {
	ROUTE_BACKEND_HTTP,
	ROUTE_BACKEND_HTTPS,
	ROUTE_BACKEND_GRPC,
	ROUTE_BACKEND_GRPCS
};

/* A response header; without a value the backend's one is taken away. */
struct route_header {
	char *name;  /* [A-Za-z0-9-] */
	char *value; /* UTF-8 without control characters, "" */
};

struct route {
	char *name; /* [a-z0-9-], "" for the one without a name */
	/* Lower case: "app.example.org" or "*.example.org", [a-z0-9.-]; "app", a label that table.h
	 * makes app.NAME.local of; ROUTE_HOST_OWN. Empty: table.h names it after the service or the
	 * container. */
	struct strv hosts;
	char *path;    /* "/", or "/a/b" without a last '/'; of whole segments; UTF-8, no control
			  characters */
	uint16_t port; /* 0: see table.h */
	bool strip_prefix;
	enum route_auth auth;
	char *users_file;  /* basic: absolute path on the host, or NULL */
	struct strv users; /* basic: "name:hash"; login: names and "@role", empty: all */
	bool websocket;
	int64_t read_timeout_ms;  /* 0: the default, which is longer for websockets */
	int64_t body_limit_bytes; /* 0: none */
	struct route_header *headers;
	size_t n_headers;
	char *redirect; /* absolute URL or path, in which {host} and {uri} stand for the request's;
			   NULL */
	int redirect_status;
	char *error_page; /* absolute path of a file in the container, "none": nginx's own; NULL:
			     ours */
	enum route_tls tls;
	enum route_backend backend;
	bool buffering;     /* of responses, in memory */
	int rate;           /* requests of one address, 0: no limit */
	int64_t rate_per_s; /* in so many seconds: 1, 60 */
	int rate_burst;
	char *root_volume; /* files of a volume of the container, by its name or where it is
			      mounted; NULL */
	char *root_path;   /* folder in it, "/" */
};

enum stream_protocol { STREAM_TCP, STREAM_UDP };

/* A port of the host that leads to one of the container's. */
struct stream_route {
	char *name;
	uint16_t listen, port;
	enum stream_protocol protocol;
	enum route_tls tls; /* terminate, or off: as it comes */
	char *host;         /* whose certificate; as struct route's; NULL: the default */
};

struct route_set {
	struct route **routes;
	size_t n_routes;
	struct stream_route **streams;
	size_t n_streams;
};

/* All of an object of labels, others are passed over; routes by name. ERR_INVALID: the sentence
 * begins with the label. ret is the caller's (route_set_deinit), empty after a failure. */
int route_set_read(const json_t *labels, struct route_set *ret, struct err *e);
void route_set_deinit(struct route_set *s);
static inline void scoped_route_set(struct route_set *s)
{
	route_set_deinit(s);
}

bool route_label_is_ours(const char *key); /* one of the prefixes above */
/* "host, path, ...": for people; the caller's. */
char *route_field_names(void);
bool route_is_field(const char *name);
/* As `wherry ingress ls` and inspect show them; static. */
const char *route_auth_word(enum route_auth a);
const char *route_tls_word(enum route_tls t);
const char *route_backend_word(enum route_backend b);
