/* http/client.h - a blocking HTTP/1.1 client for the CLI: one connection, kept between requests.
 *
 * Speaks to a Docker engine at unix://PATH, tcp://HOST:PORT or ssh://[USER@]HOST[:PORT]. Blocking
 * is right here: the CLI has one thing to do at a time, and after a hijack it polls the plain
 * socket itself.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct http_client;

struct http_client *http_client_new(
	const char *host, struct err *e); /* connects lazily; bad URL: ERR_INVALID */
void http_client_free(struct http_client *c);
/* Header lines ("Name: value\r\n") for every request; copied. */
void http_client_headers(struct http_client *c, const char *lines);
/* TLS on a tcp:// host, by way of that program; what t names is copied. */
struct tls_files;
void http_client_tls(struct http_client *c, const char *worker, const struct tls_files *t);
/* Connects and gives the bare socket away: for a proxy. -1 with *e. */
int http_client_dial(struct http_client *c, struct err *e);

struct http_response {
	int status;
	bool upgraded;   /* 101 */
	struct buf head; /* raw header lines, for http_response_header */
};
void http_response_deinit(struct http_response *r);
const char *http_response_header(
	const struct http_response *r, const char *name); /* NULL when absent; borrowed */

/* Where a request body comes from: read returns bytes put into data (at most n), 0 at the end,
 * -errno. */
struct http_source {
	long (*read)(void *owner, char *data, size_t n);
	void *owner;
};

/* Sends a request. path has the query in it and is already encoded; headers is NULL or lines "Name:
 * value\r\n". body may be NULL; with body_json it is that document, with source it is streamed
 * chunked. Reads the response head. A connection the server closed while idle is reopened once.
 * ERR_SYSTEM "Cannot connect to the Wherry daemon at unix://... Is the daemon running?" when nobody
 * answers. */
struct http_call {
	const char *method;
	const char *path;
	const char *headers;
	const json_t *body_json;
	const struct http_source *source;
	bool upgrade; /* adds Connection: Upgrade and Upgrade: tcp */
};
int http_client_send(struct http_client *c, const struct http_call *call, struct http_response *ret,
	struct err *e);

/* The rest of the response. http_client_read: 0 at the end, -1 with *e. http_client_skip: reads and
 * drops it. */
long http_client_read(struct http_client *c, char *data, size_t n, struct err *e);
void http_client_skip(struct http_client *c);

/* After an upgrade (or a 200 answer to an attach): the socket, now the caller's, and bytes already
 * read. */
int http_client_take_socket(struct http_client *c, struct buf *ret_early);

/* The usual call: JSON in, JSON out. A status of 400 or more becomes *e with the kind and the
 * server's message. ret may be NULL; *ret is NULL when the answer has no body. */
int http_client_json(struct http_client *c, const char *method, const char *path,
	const json_t *body, json_t **ret, struct err *e);
/* Turns a failed response (status >= 400) into *e by reading its {"message"}. Returns -1. */
int http_client_fail(struct http_client *c, const struct http_response *r, struct err *e);
