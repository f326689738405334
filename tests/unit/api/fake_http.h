/* The server side of http/server.h without sockets: a request made by the test, an answer it can
 * read. */
#pragma once
#include "base/buf.h"
#include "base/strv.h"
#include "http/server.h"

struct http_request {
	const char *method;
	const char *path;
	const char *content_type;
	struct strv query; /* "name=value", decoded */
	const char *body;
	void *owner;
	void (*closed)(void *owner, bool left);
	int status; /* 0 until answered */
	struct buf answer;
};

/* Ends the request as the server does after the answer; frees what the answer holds. */
void fake_close(struct http_request *r);
