/* ingress/conf.h - the whole nginx.conf for a model. Pure, and the only writer of nginx's syntax.
 *
 * Who owns what it names:
 *   RUN/ingress (run_dir)    nginx.pid, door.sock (login: the daemon's HTTP server), status.sock,
 *                            https.sock (between the stream part and the http part, with
 * passthrough), api/ID.sock (login), tmp/ (nginx's, 0711, empty). DATA/ingress (data_dir)  pages/
 * (front: error.html, starting.html, stopped.html, unknown.html; SSI is on: <!--#echo var="status"
 * -->, "host", "request_id", "wherry_app"), pages/own/KEY.html (front: what `error_page` names,
 * copied out of the container), htpasswd/KEY (front writes it: the texts of ingress_conf_files),
 * log/ (nginx), acme-challenge/ (certs) certificates             STEM.crt and STEM.key, absolute,
 * of the look-up (certs)
 *
 * A stem that is the default's costs nothing; each other one is a millisecond of nginx's at each
 * reload.
 *
 * What door.sock is asked (login), HTTP/1.1 with keep-alive:
 *   GET /.wherry/verify  for each request of a route with auth=login, with the request's Cookie,
 *       X-Wherry-Host, X-Wherry-Uri, X-Wherry-Method, X-Wherry-Allow ("" or "alice,@admin"),
 * X-Wherry-Key (the route), X-Real-IP. 200 with Remote-User, Remote-Groups, Remote-Name lets it
 * through, 401 asks for a sign-in, 403 refuses; others are a 500 of the request.
 *   /.wherry/...  of every host, as the client sent it, with Host, X-Real-IP, X-Forwarded-Proto,
 * X-Wherry-Host. Pages that are not signed in are sent to /.wherry/login?next=URI (303); nothing of
 * it is cached.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "ingress/table.h"

#define INGRESS_COOKIE "__Host-wherry"           /* the session: it never reaches a backend */
#define INGRESS_FORM_COOKIE "__Host-wherry-form" /* of the sign-in pages: the same */

/* The stem of the pair that serves a host ("" is the default: any other name), or NULL: the
 * default. Borrowed during the call that asks. */
typedef const char *ingress_certificate_fn(void *owner, const char *host);

/* All borrowed. */
struct ingress_model {
	const struct ingress_settings *settings; /* a port is 0 while somebody else has it */
	const struct route_table *table;
	const char *run_dir, *data_dir; /* absolute: RUN/ingress, DATA/ingress */
	ingress_certificate_fn *certificate;
	void *owner;
	bool login; /* door.sock answers: /.wherry/ of every host leads there */
	const char *
		api_ca; /* file of the CA whose clients may use the remote API, or NULL: none may */
	const struct strv
		*api_users; /* user_api_names: "NAME:ID" with a socket api/ID.sock; NULL: none */
	const struct strv
		*own_pages;  /* keys of routes whose pages/own/KEY.html is there; NULL: none */
	uint64_t generation; /* what status.sock answers: GET / gives the number and a newline */
	/* Of the machine: ingress_conf_look. */
	bool no_ipv6;
	bool no_stream; /* nginx has no stream module: streams, passthrough, the API are left out */
	const char *stream_module; /* path of it, or NULL: it is built in */
	const char *mime_types;    /* path, or NULL */
};

/* Fills in what the machine has. */
void ingress_conf_look(struct ingress_model *m);
/* The caller's. NULL with *e when a text cannot be written (it never should be: table.h's routes
 * are checked). */
char *ingress_conf_text(const struct ingress_model *m, struct err *e);
/* Files that go with it, names below data_dir to text: {"htpasswd/KEY": "..."}; new. */
json_t *ingress_conf_files(const struct ingress_model *m);
