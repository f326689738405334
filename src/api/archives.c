/* HEAD, GET and PUT /containers/x/archive, GET /containers/x/export and .../changes: a worker's
 * bytes are the answer, the body is a worker's bytes. */
#include <stdlib.h>

#include "api/call.h"
#include "api/handlers.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "codec/path_stat.h"
#include "container/container.h"
#include "container/files.h"

struct transfer {
	struct call *call;
	struct file_work *work; /* NULL before it has started and once it is done */
	const char *content_type;
	bool takes_body, ready; /* the worker reads */
	bool begun;             /* the head has left */
};

static void put_stat_header(struct call *c, const json_t *stat)
{
	if (stat) {
		scoped(free) char *text = path_stat_header(stat);
		http_set_header(c->r, PATH_STAT_HEADER, text);
	}
}

/* --- out --- */

static void transfer_begin(void *owner, const json_t *stat)
{
	struct transfer *t = owner;
	if (t->call->r) {
		put_stat_header(t->call, stat);
		t->begun = true;
		http_stream_begin(t->call->r, 200, t->content_type);
	}
}

static void output_drained(void *owner)
{
	struct transfer *t = owner;
	if (t->work) {
		file_work_pause(t->work, false);
	}
}

static void transfer_output(void *owner, const char *data, size_t n)
{
	struct transfer *t = owner;
	if (t->call->r && !http_stream_write(t->call->r, data, n)) {
		file_work_pause(t->work, true);
		http_stream_on_drain(t->call->r, output_drained, t);
	}
}

/* --- in --- */

static void feed_drained(void *owner)
{
	struct transfer *t = owner;
	if (t->call->r) {
		http_body_pause(t->call->r, false);
	}
}

static void body_arrived(void *owner, struct http_request *r, const char *data, size_t n)
{
	struct transfer *t = owner;
	if (!t->work) {
		return; /* it has failed already: the rest of the body is read and dropped */
	}
	if (!data) {
		file_work_feed_end(t->work);
	} else if (!file_work_feed(t->work, data, n, feed_drained, t)) {
		http_body_pause(r, true);
	}
}

/* Called back perhaps before the work is known: then transfer_start goes on. */
static void transfer_ready(void *owner)
{
	struct transfer *t = owner;
	t->ready = true;
	if (t->takes_body && t->work && t->call->r) {
		http_body_stream(t->call->r, body_arrived, t);
	}
}

/* --- the end --- */

static void answer_end(struct transfer *t, const json_t *result)
{
	struct call *c = t->call;
	if (t->begun) {
		http_stream_end(c->r);
		return;
	}
	put_stat_header(c, json_object_get(result, "stat"));
	call_reply_empty(c, 200);
}

static void transfer_done(void *owner, const json_t *result, const struct err *e)
{
	struct transfer *t = owner;
	t->work = NULL;
	if (!t->call->r) { /* the client left before: transfer_closed kept t for us */
		call_unref(t->call);
		free(t);
		return;
	}
	if (result) {
		answer_end(t, result);
	} else if (t->begun) {
		http_stream_abort(t->call->r);
	} else {
		call_reply_error(t->call, e);
	}
}

static void transfer_closed(struct call *c)
{
	struct transfer *t = c->stream;
	if (t->work) {
		call_ref(c);
		file_work_cancel(t->work);
		return;
	}
	free(t);
}

static void transfer_start(struct call *c, struct file_request *q, const char *content_type)
{
	static const struct file_handlers handlers = {
		transfer_ready, transfer_begin, transfer_output, transfer_done};
	struct err e;
	q->name = c->args[0];
	struct container *k = container_find(c->api->d.containers, q->name, &e);
	struct transfer *t = k ? xnew(struct transfer) : NULL;
	if (t) {
		t->call = c;
		t->content_type = content_type;
		t->takes_body = q->task == FILE_PUT;
		t->work = container_files(k, q, &handlers, t, &e);
	}
	if (!t || !t->work) {
		free(t);
		call_reply_error(c, &e);
		return;
	}
	c->stream = t;
	c->stream_closed = transfer_closed;
	if (t->ready) {
		transfer_ready(t);
	}
}

static void transfer_path(struct call *c, struct file_request *q, const char *content_type)
{
	struct err e;
	q->path = call_query_or(c, "path", NULL);
	if (!q->path) {
		(void)err_set(&e, ERR_INVALID, "bad parameter: pathcannot be empty"); /* as moby */
		call_reply_error(c, &e);
		return;
	}
	transfer_start(c, q, content_type);
}

void archives_head(struct call *c)
{
	struct file_request q = {.task = FILE_STAT};
	transfer_path(c, &q, NULL);
}

void archives_get(struct call *c)
{
	struct file_request q = {.task = FILE_GET};
	transfer_path(c, &q, "application/x-tar");
}

void archives_put(struct call *c)
{
	struct file_request q = {
		.task = FILE_PUT,
		.no_overwrite = call_query_bool(c, "noOverwriteDirNonDir", false),
		.copy_owner = call_query_bool(c, "copyUIDGID", false),
		.before_start = call_query_bool(c, "wherryBeforeStart", false), /* ours */
	};
	transfer_path(c, &q, NULL);
}

void archives_export(struct call *c)
{
	struct file_request q = {.task = FILE_EXPORT};
	transfer_start(c, &q, "application/octet-stream");
}

void archives_changes(struct call *c)
{
	struct file_request q = {.task = FILE_CHANGES};
	transfer_start(c, &q, "application/json");
}
