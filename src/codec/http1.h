/* codec/http1.h - HTTP/1.1 heads and chunked bodies as bytes: RFC 9112. No fds, no clock, no
 * globals.
 *
 * Strict where leniency lets two programs see two different messages: a head with both
 * Content-Length and Transfer-Encoding, repeated lengths, folded lines, blanks before a colon and
 * bare CR are refused (RFC 9112 6.1, 11.2).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define HTTP1_HEAD_MAX (64u << 10)
#define HTTP1_HEADERS_MAX 128

enum http1_body { HTTP1_NO_BODY, HTTP1_LENGTH, HTTP1_CHUNKED, HTTP1_UNTIL_CLOSE };

struct http1_header {
	const char *name, *value; /* NUL-terminated, inside text */
};

struct http1_head {
	char *text;         /* owned: the head, cut into strings */
	const char *method; /* request only */
	const char *path;   /* request only: the target without its query */
	const char *query;  /* request only: what follows '?', or "" */
	int status;         /* response only */
	int minor;          /* HTTP/1.<minor> */
	bool keep_alive;
	bool upgrade;         /* Connection: upgrade, with an Upgrade header */
	bool expect_continue; /* Expect: 100-continue */
	enum http1_body body;
	uint64_t length; /* HTTP1_LENGTH */
	struct http1_header headers[HTTP1_HEADERS_MAX];
	size_t n_headers;
};

/* Length of the head with its empty line, 0 when it is not complete yet, -1 when it is longer than
 * HTTP1_HEAD_MAX. */
ssize_t http1_head_length(const char *data, size_t n);

/* n is what http1_head_length gave. ERR_INVALID otherwise; *ret needs no http1_head_deinit then. */
int http1_parse_request(struct http1_head *ret, const char *data, size_t n, struct err *e);
/* to_head: the request was HEAD, so that no body follows. */
int http1_parse_response(
	struct http1_head *ret, const char *data, size_t n, bool to_head, struct err *e);
void http1_head_deinit(struct http1_head *h);
const char *http1_header(
	const struct http1_head *h, const char *name); /* first of that name, any case; or NULL */

/* A chunked body, decoded in place: zero it to begin. */
struct http1_chunked {
	enum {
		CHUNK_SIZE,
		CHUNK_SIZE_END,
		CHUNK_EXTENSION,
		CHUNK_DATA,
		CHUNK_DATA_CR,
		CHUNK_DATA_LF,
		CHUNK_TRAILER,
		CHUNK_TRAILER_LF,
		CHUNK_DONE
	} state;
	uint64_t left;
	unsigned digits, extra; /* of the size; bytes of extensions and trailers, bounded */
	bool line_empty;
};
/* Takes bytes off data: returns how many; ret_data and ret_n are a piece of the body (maybe empty).
 * -1: not chunked coding. */
ssize_t http1_chunked_decode(
	struct http1_chunked *d, const char *data, size_t n, const char **ret_data, size_t *ret_n);
static inline bool http1_chunked_done(const struct http1_chunked *d)
{
	return d->state == CHUNK_DONE;
}
const char *http1_reason(int status);
