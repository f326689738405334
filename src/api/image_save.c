/* GET /images/{name}/get and /images/get: a worker's archive is the answer. */
#include <stdlib.h>

#include "api/call.h"
#include "api/handlers.h"
#include "api/reference.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "image/image.h"

struct saving {
	struct call *call;
	struct image_save *work; /* NULL once it is done */
	bool begun;              /* the head has left */
};

static void output_drained(void *owner)
{
	struct saving *s = owner;
	if (s->work) {
		image_save_pause(s->work, false);
	}
}

static void on_output(void *owner, const char *data, size_t n)
{
	struct saving *s = owner;
	if (!s->call->r) {
		return;
	}
	if (!s->begun) {
		s->begun = true;
		http_stream_begin(s->call->r, 200, "application/x-tar");
	}
	if (!http_stream_write(s->call->r, data, n)) {
		image_save_pause(s->work, true);
		http_stream_on_drain(s->call->r, output_drained, s);
	}
}

static void on_done(void *owner, const struct err *e)
{
	struct saving *s = owner;
	s->work = NULL;
	if (!s->call->r) { /* the client left before: on_closed kept s for us */
		call_unref(s->call);
		free(s);
		return;
	}
	if (!s->begun) {
		call_reply_error(s->call, e);
	} else if (e) {
		http_stream_abort(s->call->r);
	} else {
		http_stream_end(s->call->r);
	}
}

static void on_closed(struct call *c)
{
	struct saving *s = c->stream;
	if (s->work) {
		call_ref(c);
		image_save_cancel(s->work);
		return;
	}
	free(s);
}

/* Another platform than asked for is not what the caller wants. */
static int check_platform(
	struct call *c, const struct strv *names, const char *platform, struct err *e)
{
	for (size_t k = 0; *platform && k < names->n; k++) {
		const struct image *i = image_find_for(c->api->d.images, names->v[k], platform, e);
		if (!i || platform_check_image(i, names->v[k], platform, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static void save(struct call *c, const struct strv *names)
{
	static const struct image_save_handlers handlers = {on_output, on_done};
	struct err e;
	struct saving *s = xnew(struct saving);
	s->call = c;
	const char *platform = call_query_or(c, "platform", "");
	s->work = check_platform(c, names, platform, &e) < 0
			  ? NULL
			  : image_save(c->api->d.images, names, platform, &handlers, s, &e);
	if (!s->work) {
		free(s);
		call_reply_error(c, &e);
		return;
	}
	c->stream = s;
	c->stream_closed = on_closed;
}

void images_save(struct call *c)
{
	scoped(strv) struct strv names = STRV_INIT;
	const char *name;
	for (size_t i = 0; (name = http_query_nth(c->r, "names", i)); i++) {
		strv_add(&names, name);
	}
	save(c, &names);
}

void images_save_one(struct call *c)
{
	scoped(strv) struct strv names = STRV_INIT;
	strv_add(&names, c->args[0]);
	save(c, &names);
}
