/* GET /layers/sha256:DIFF-ID, alone on image-peers-listen: the plain tar of a layer that is here,
 * for other engines of the network. Who asks checks the digest; who listens says who may ask. */
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/handlers.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/text.h"
#include "codec/ref.h"
#include "http/server.h"
#include "image/image.h"
#include "job/job.h"

#define PATH "/layers/"
#define TAR_TYPE "application/x-tar"
#define TRANSFERS_MAX 4
#define TRANSFER_RATE (25 << 20) /* bytes a second: four of them are a gigabit */

struct transfer {
	struct api *api;
	struct http_request *r; /* NULL when the peer has left */
	struct job *job;        /* NULL when it is done */
	bool begun, paused;
};

/* Nobody has it any more. */
static void free_if_over(struct transfer *t)
{
	if (!t->r && !t->job) {
		free(t);
	}
}

static void drained(void *owner)
{
	struct transfer *t = owner;
	t->paused = false;
	if (t->job) {
		job_output_pause(t->job, false);
	}
}

static void output(void *owner, struct job *j, const char *data, size_t n)
{
	struct transfer *t = owner;
	if (!t->r) {
		return;
	}
	if (!t->begun) {
		t->begun = true;
		http_stream_begin(t->r, 200, TAR_TYPE);
	}
	if (!http_stream_write(t->r, data, n) && !t->paused) {
		t->paused = true;
		http_stream_on_drain(t->r, drained, t);
		job_output_pause(j, true);
	}
}

static void done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct transfer *t = owner;
	struct http_request *r = t->r;
	const bool begun = t->begun;
	t->job = NULL;
	if (e && e->kind != ERR_BUSY) {
		log_warning("api", "layer_not_given", "error", e->msg, NULL);
	}
	/* from here on closed() may have freed it */
	if (!r) {
		free_if_over(t);
	} else if (result && begun) {
		http_stream_end(r);
	} else if (begun) {
		http_stream_abort(r); /* the peer must not take it for whole */
	} else if (result) {
		http_reply(r, 200, TAR_TYPE, "", 0);
	} else {
		http_reply_error(r, e);
	}
}

static void closed(void *owner, bool left)
{
	struct transfer *t = owner;
	t->r = NULL;
	t->api->peer_transfers--;
	if (t->job) {
		job_cancel(t->job);
	}
	free_if_over(t);
}

/* The directory of the layer below image_layers_dir; the caller's. */
static char *dir_of(const struct image_store *s, const char *diff_id)
{
	scoped(strv) struct strv one = STRV_INIT;
	strv_add(&one, diff_id);
	return image_lowerdir(s, &one);
}

static void give(struct api *a, struct http_request *r, const char *diff_id)
{
	static const struct job_handlers handlers = {NULL, output, done};
	struct err e;
	scoped(free) char *dir = dir_of(a->d.images, diff_id);
	json_t *request = json_pack("{ss ss si}", "layers", image_layers_dir(a->d.images), "dir",
		dir, "rate", TRANSFER_RATE);
	struct transfer *t = xnew(struct transfer);
	t->api = a;
	t->r = r;
	t->job = job_start(a->d.jobs, "layer-tar", request, -1, true, &handlers, t, &e);
	if (!t->job) {
		free(t);
		http_reply_error(r, &e);
		return;
	}
	a->peer_transfers++;
	http_set_owner(r, t, closed);
}

void api_handle_peers(void *owner, struct http_request *r)
{
	struct api *a = owner;
	struct err e;
	const char *path = http_path(r);
	const char *diff_id = text_starts(path, PATH) ? path + strlen(PATH) : "";
	if (strcmp(http_method(r), "GET") != 0 || !ref_is_digest(diff_id) ||
		!image_has_layer(a->d.images, diff_id, NULL)) {
		(void)err_set(&e, ERR_NOT_FOUND, "no such layer");
		http_reply_error(r, &e);
	} else if (a->peer_transfers >= TRANSFERS_MAX) {
		(void)err_set(&e, ERR_BUSY, "too many layers are being fetched");
		http_reply_error(r, &e);
	} else {
		give(a, r, diff_id);
	}
}
