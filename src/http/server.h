/* http/server.h - an HTTP/1.1 server on libuv streams: chunked bodies both ways, upgrade, hijack,
 * back-pressure.
 *
 * The handler is called once for each request, when its head has been read. It answers now or
 * later, from any callback on the loop; a request that is never answered stays open until the
 * client leaves. A request lives until its response has been sent and its body read, or the client
 * left; then closed() is called (if set) and the pointer is dead. Every request that was handed to
 * the handler gets exactly one closed() call. Specification: RFC 9110, RFC 9112; hijacking as
 * Docker API v1.45 ContainerAttach.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

typedef struct uv_loop_s uv_loop_t;
struct http_server;
struct http_request;

typedef void http_handler_fn(void *owner, struct http_request *r);

struct http_server *http_server_new(uv_loop_t *l, http_handler_fn *fn, void *owner);
void http_server_free(
	struct http_server *s); /* closes listeners and connections, removes the sockets */
/* path is replaced if a dead socket stands there; mode and gid are set before it is reachable.
 * ERR_CONFLICT when a live server answers there. May be called several times. */
int http_server_listen_unix(
	struct http_server *s, const char *path, mode_t mode, gid_t gid, struct err *e);
/* address: "127.0.0.1:9323" or "[::1]:9323", numbers only; port 0: any. ERR_INVALID, ERR_CONFLICT
 * when another program has the port. */
int http_server_listen_tcp(struct http_server *s, const char *address, struct err *e);

/* For servers that strangers reach: at most max_conns connections at a time, and one on which
 * nothing moves for idle_ms, in either direction, is closed. Without this call there are no limits.
 */
void http_server_limit(struct http_server *s, unsigned max_conns, unsigned idle_ms);
void http_server_limit_conns(
	struct http_server *s, unsigned max_conns); /* the first of them alone */

/* Who may connect to the unix sockets of s: one whose process the function does not like is let go
 * at once. pid: SO_PEERCRED, of the process that called connect(2). */
typedef bool http_peer_fn(void *owner, pid_t pid, uid_t uid);
void http_server_check_peers(struct http_server *s, http_peer_fn *fn, void *owner);

/* A listening unix socket that was handed to this process; its file, if it has one, stays at the
 * end. */
int http_server_listen_fd(struct http_server *s, int take_fd, struct err *e);

/* --- what the client asked; strings are borrowed and live as long as the request --- */
const char *http_method(const struct http_request *r); /* "GET" */
const char *http_path(
	const struct http_request *r); /* raw, without the query: "/v1.45/containers/a%20b/json" */
const char *http_query(
	const struct http_request *r, const char *name); /* decoded; NULL when absent */
/* The i-th (from 0) value of a repeated parameter (names=a&names=b). */
const char *http_query_nth(const struct http_request *r, const char *name, size_t i);
const char *http_query_text(const struct http_request *r); /* as it was sent, "" without one */
const char *http_header(
	const struct http_request *r, const char *name); /* any case; NULL when absent */
bool http_wants_upgrade(
	const struct http_request *r);             /* Connection: Upgrade with an Upgrade header */
pid_t http_peer_pid(const struct http_request *r); /* SO_PEERCRED, 0 if unknown */

/* A slot for the handler's own state, and the call when the request is over. left is true when the
 * client went away before the response was complete. */
void http_set_owner(struct http_request *r, void *owner, void (*closed)(void *owner, bool left));

/* --- the body: nothing is read from the client beyond a small buffer until one of these is called
 * --- */
/* Whole, at most limit bytes: fn gets data (NUL-terminated, borrowed) or e (ERR_INVALID when too
 * large or cut off). fn is not called when the client leaves first. May be called back before
 * returning. */
typedef void http_body_fn(
	void *owner, struct http_request *r, const char *data, size_t n, const struct err *e);
void http_body_read(struct http_request *r, size_t limit, http_body_fn *fn, void *owner);
/* In pieces: data NULL at the end. A cut-off body shows as closed() with left, without an end. */
typedef void http_chunk_fn(void *owner, struct http_request *r, const char *data, size_t n);
void http_body_stream(struct http_request *r, http_chunk_fn *fn, void *owner);
void http_body_pause(struct http_request *r, bool pause);
bool http_has_body(const struct http_request *r); /* Content-Length > 0 or chunked */

/* --- the response: exactly one of these begins it --- */
/* Extra response headers; call before the response begins. Value must not contain CR or LF (it is
 * dropped then). */
void http_set_header(struct http_request *r, const char *name, const char *value);
void http_reply(
	struct http_request *r, int status, const char *content_type, const void *data, size_t n);
void http_reply_empty(struct http_request *r, int status); /* 204, 304, 201 without a body */
void http_reply_json(struct http_request *r, int status,
	json_t *take_doc); /* a newline follows, as Go's encoder */
void http_reply_error(
	struct http_request *r, const struct err *e); /* kind to status, {"message": "..."} */

/* A body of unknown length: the head leaves at once (chunked for HTTP/1.1, until close for 1.0).
 * HEAD gets no body. */
void http_stream_begin(struct http_request *r, int status, const char *content_type);
/* Copies data. Returns false when more than HTTP_HIGH_WATER bytes are queued: stop until
 * drained(owner) is called. n = 0 does nothing. Bytes are sent at once (no Nagle-like delay). */
#define HTTP_HIGH_WATER (256u << 10)
bool http_stream_write(struct http_request *r, const void *data, size_t n);
void http_stream_on_drain(struct http_request *r, void (*drained)(void *owner), void *owner);
void http_stream_end(struct http_request *r);
/* Closes the connection without the body's end, so that the client knows it is not whole. closed()
 * is called before this returns. */
void http_stream_abort(struct http_request *r);

/* Takes the connection over for raw bytes both ways, after 101 (http_wants_upgrade) and the given
 * content type, or 200 and, whatever follows, that of a raw stream: as dockerd writes them. A
 * request body (dockerode sends one) is read and dropped first. Output is
 * http_stream_write/http_stream_end on the same request, without framing; http_stream_end
 * half-closes after the queue and closes once the client has closed too. input: the client's bytes;
 * data NULL is its half-close (output must go on). http_body_pause holds it back. settled: called
 * once the client has taken the 101 head from the socket (SIOCOUTQ 0, at most 200 ms): bytes
 * written before that are kept back until then (docker-py loses bytes that arrive with the head).
 */
void http_hijack(
	struct http_request *r, const char *content_type, http_chunk_fn *input, void *owner);
/* Gives the connection away instead of an answer: its descriptor, the caller's (non-blocking,
 * CLOEXEC), and in ret_early what the client has sent already behind the request. Nothing was
 * written to it; the server forgets it, closed() is called before this returns, r is dead. For a
 * request without a body; -1 with *e otherwise, and the request is as it was. */
int http_detach(struct http_request *r, struct buf *ret_early, struct err *e);
/* The same with the answer to a WebSocket handshake (codec/websocket.h); frames are the caller's.
 */
void http_hijack_websocket(
	struct http_request *r, const char *accept, http_chunk_fn *input, void *owner);
