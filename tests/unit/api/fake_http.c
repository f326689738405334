#include "fake_http.h"

#include <string.h>

#include "base/json.h"

void fake_close(struct http_request *r)
{
	r->closed(r->owner, r->status == 0);
	buf_deinit(&r->answer);
	strv_deinit(&r->query);
}

const char *http_method(const struct http_request *r)
{
	return r->method;
}

const char *http_path(const struct http_request *r)
{
	return r->path;
}

const char *http_query_nth(const struct http_request *r, const char *name, size_t i)
{
	size_t n = strlen(name);
	for (size_t k = 0; k < r->query.n; k++) {
		if (strncmp(r->query.v[k], name, n) == 0 && r->query.v[k][n] == '=' && i-- == 0) {
			return r->query.v[k] + n + 1;
		}
	}
	return NULL;
}

const char *http_query(const struct http_request *r, const char *name)
{
	return http_query_nth(r, name, 0);
}

const char *http_header(const struct http_request *r, const char *name)
{
	return strcmp(name, "Content-Type") == 0 ? r->content_type : NULL;
}

bool http_wants_upgrade(const struct http_request *r)
{
	return false;
}

pid_t http_peer_pid(const struct http_request *r)
{
	return 0;
}

void http_set_owner(struct http_request *r, void *owner, void (*closed)(void *owner, bool left))
{
	r->owner = owner;
	r->closed = closed;
}

void http_body_read(struct http_request *r, size_t limit, http_body_fn *fn, void *owner)
{
	fn(owner, r, r->body ? r->body : "", r->body ? strlen(r->body) : 0, NULL);
}

void http_body_stream(struct http_request *r, http_chunk_fn *fn, void *owner)
{
	fn(owner, r, NULL, 0);
}

void http_body_pause(struct http_request *r, bool pause)
{
}

bool http_has_body(const struct http_request *r)
{
	return r->body != NULL;
}

void http_set_header(struct http_request *r, const char *name, const char *value)
{
}

void http_reply(
	struct http_request *r, int status, const char *content_type, const void *data, size_t n)
{
	r->status = status;
	buf_append(&r->answer, data, n);
}

void http_reply_empty(struct http_request *r, int status)
{
	r->status = status;
}

void http_reply_json(struct http_request *r, int status, json_t *take_doc)
{
	scoped(json) json_t *doc = take_doc;
	scoped(free) char *text = json_text(doc);
	r->status = status;
	buf_puts(&r->answer, text);
}

void http_reply_error(struct http_request *r, const struct err *e)
{
	static const int status[] = {[ERR_SYSTEM] = 500,
		[ERR_INVALID] = 400,
		[ERR_DENIED] = 403,
		[ERR_NOT_FOUND] = 404,
		[ERR_CONFLICT] = 409,
		[ERR_UNCHANGED] = 304,
		[ERR_BUSY] = 503,
		[ERR_NOT_IMPLEMENTED] = 501};
	http_reply_json(r, status[e->kind], json_pack("{ss}", "message", e->msg));
}

void http_stream_begin(struct http_request *r, int status, const char *content_type)
{
	r->status = status;
}

bool http_stream_write(struct http_request *r, const void *data, size_t n)
{
	buf_append(&r->answer, data, n);
	return true;
}

void http_stream_on_drain(struct http_request *r, void (*drained)(void *owner), void *owner)
{
}

void http_stream_end(struct http_request *r)
{
}

void http_stream_abort(struct http_request *r)
{
}

void http_hijack_websocket(
	struct http_request *r, const char *accept, http_chunk_fn *input, void *owner)
{
}

void http_hijack(
	struct http_request *r, const char *content_type, http_chunk_fn *input, void *owner)
{
	r->status = 200;
}

int http_detach(struct http_request *r, struct buf *ret_early, struct err *e)
{
	return err_set(e, ERR_SYSTEM, "a request of a test has no connection");
}
