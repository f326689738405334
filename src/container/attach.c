#include "container/attach.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/shim_frame.h"
#include "container/internal.h"
#include "container/shim.h"

#define INPUT_HIGH (256u << 10)
#define EARLY_INPUT_MAX (1u << 20)

/* An attach waits without a connection until there is a shim (docker run attaches before start). */
struct attach {
	struct list node; /* in attach_point.waiting or .live */
	uv_pipe_t pipe;
	bool connected;
	uv_timer_t later; /* tells ended from the loop when there is no connection to tell it */
	const struct attach_handlers *h;
	void *owner;
	unsigned want;
	bool freed, paused, end_told;
	bool ended;    /* the connection: no more output will come */
	bool released; /* the end is recorded: it may be told */
	struct buf in;
	struct buf early; /* input before there is a shim */
	bool early_end;
	void (*drained)(void *owner);
	void *drain_owner;
	int open_handles;
	char read_space[SHIM_PAYLOAD_MAX + SHIM_FRAME_HEAD];
};

static void handle_closed(uv_handle_t *h)
{
	struct attach *a = h->data;
	if (--a->open_handles == 0) {
		buf_deinit(&a->in);
		buf_deinit(&a->early);
		free(a);
	}
}

void attach_free(struct attach *a)
{
	if (!a || a->freed) {
		return;
	}
	a->freed = true;
	list_remove(&a->node);
	uv_close((uv_handle_t *)&a->pipe, handle_closed);
	uv_close((uv_handle_t *)&a->later, handle_closed);
}

static void tell_end(struct attach *a)
{
	if (!a->freed && !a->end_told) {
		a->end_told = true;
		a->h->ended(a->owner);
	}
}

/* --- output --- */

/* Hands over whole frames until paused. */
static void deliver(struct attach *a)
{
	while (!a->freed && !a->paused && a->in.len >= SHIM_FRAME_HEAD) {
		uint8_t type;
		uint32_t len;
		const uint8_t *p = (const uint8_t *)a->in.data;
		if (shim_frame_parse(p, &type, &len) < 0) {
			a->ended = true;
			buf_clear(&a->in);
			break;
		}
		if (a->in.len < SHIM_FRAME_HEAD + len) {
			break;
		}
		if (type == SHIM_STDOUT || type == SHIM_STDERR) {
			scoped(free) char *copy = xnew_array(char, len + 1);
			memcpy(copy, p + SHIM_FRAME_HEAD, len);
			buf_consume(&a->in, SHIM_FRAME_HEAD + len);
			a->h->output(a->owner, type, copy, len);
		} else {
			buf_consume(&a->in, SHIM_FRAME_HEAD + len);
		}
	}
	if (!a->freed && a->ended && a->released && !a->paused) {
		tell_end(a);
	}
}

static void later_fired(uv_timer_t *t)
{
	deliver(t->data);
}

static void allocate(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
	struct attach *a = h->data;
	*b = uv_buf_init(a->read_space, sizeof(a->read_space));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
	struct attach *a = stream->data;
	if (n < 0) {
		uv_read_stop(stream);
		a->ended = true;
	} else {
		buf_append(&a->in, b->base, (size_t)n);
	}
	deliver(a);
}

void attach_pause(struct attach *a, bool pause)
{
	if (a->paused == pause) {
		return;
	}
	a->paused = pause;
	if (!a->connected || pause) {
		if (a->connected) {
			uv_read_stop((uv_stream_t *)&a->pipe);
		}
		return;
	}
	uv_timer_start(&a->later, later_fired, 0,
		0); /* what is here already, but not from inside this call */
	if (!a->ended) {
		uv_read_start((uv_stream_t *)&a->pipe, allocate, on_read);
	}
}

/* --- input --- */

struct out {
	uv_write_t req;
	struct attach *a;
	char data[];
};

static void written(uv_write_t *req, int status)
{
	struct out *o = (struct out *)req;
	struct attach *a = o->a;
	free(o);
	if (!a->freed && a->drained &&
		uv_stream_get_write_queue_size((uv_stream_t *)&a->pipe) < INPUT_HIGH / 4) {
		void (*drained)(void *) = a->drained;
		a->drained = NULL;
		drained(a->drain_owner);
	}
}

static void send_frame(struct attach *a, uint8_t type, const void *data, size_t n)
{
	struct out *o = xcalloc(1, sizeof(*o) + SHIM_FRAME_HEAD + n);
	o->a = a;
	shim_frame_head(type, (uint32_t)n, (uint8_t *)o->data);
	if (n > 0) {
		memcpy(o->data + SHIM_FRAME_HEAD, data, n);
	}
	uv_buf_t b = uv_buf_init(o->data, (unsigned)(SHIM_FRAME_HEAD + n));
	if (uv_write(&o->req, (uv_stream_t *)&a->pipe, &b, 1, written) < 0) {
		free(o);
	}
}

bool attach_input(
	struct attach *a, const char *data, size_t n, void (*drained)(void *owner), void *owner)
{
	if (a->ended || !(a->want & SHIM_WANT_STDIN)) {
		return true;
	}
	a->drain_owner = owner;
	if (!a->connected) {
		buf_append(&a->early, data, n);
		a->drained = a->early.len >= EARLY_INPUT_MAX ? drained : NULL;
		return a->early.len < EARLY_INPUT_MAX;
	}
	for (size_t at = 0; at < n; at += SHIM_PAYLOAD_MAX) {
		size_t part = n - at < SHIM_PAYLOAD_MAX ? n - at : SHIM_PAYLOAD_MAX;
		send_frame(a, SHIM_STDIN, data + at, part);
	}
	bool room = uv_stream_get_write_queue_size((uv_stream_t *)&a->pipe) < INPUT_HIGH;
	a->drained = room ? NULL : drained;
	return room;
}

void attach_input_end(struct attach *a)
{
	if (!(a->want & SHIM_WANT_STDIN)) {
		return;
	}
	if (a->connected) {
		send_frame(a, SHIM_STDIN_END, NULL, 0);
	} else {
		a->early_end = true;
	}
}

/* --- connecting --- */

static void connect_now(struct attach *a, const char *dir)
{
	int fd = shim_connect(dir);
	if (fd < 0 || uv_pipe_open(&a->pipe, fd) < 0) {
		a->ended = true;
		return; /* attach_point_end tells it */
	}
	const uint8_t want = (uint8_t)a->want;
	a->connected = true;
	send_frame(a, SHIM_ATTACH, &want, 1);
	if (a->early.len > 0) {
		struct buf early = a->early;
		a->early = (struct buf)BUF_INIT;
		attach_input(a, early.data, early.len, a->drained, a->drain_owner);
		buf_deinit(&early);
	}
	if (a->early_end) {
		attach_input_end(a);
	}
	if (!a->paused) {
		uv_read_start((uv_stream_t *)&a->pipe, allocate, on_read);
	}
}

struct attach *attach_open(uv_loop_t *l, struct attach_point *point, const char *dir, unsigned want,
	const struct attach_handlers *h, void *owner)
{
	struct attach *a = xnew(struct attach);
	a->h = h;
	a->owner = owner;
	a->want = want;
	a->open_handles = 2;
	uv_pipe_init(l, &a->pipe, 0);
	uv_timer_init(l, &a->later);
	a->pipe.data = a;
	a->later.data = a;
	list_init(&a->node);
	list_append(&point->waiting, &a->node);
	if (dir) {
		list_remove(&a->node);
		list_append(&point->live, &a->node);
		connect_now(a, dir);
	}
	return a;
}

void attach_point_init(struct attach_point *p)
{
	list_init(&p->waiting);
	list_init(&p->live);
}

void attach_point_connect(struct attach_point *p, const char *dir)
{
	while (!list_empty(&p->waiting)) {
		struct attach *a = container_of(p->waiting.next, struct attach, node);
		list_remove(&a->node);
		list_append(&p->live, &a->node);
		connect_now(a, dir);
	}
}

static void end_list(struct list *l)
{
	while (!list_empty(l)) {
		struct attach *a = container_of(l->next, struct attach, node);
		list_remove(&a->node);
		a->released = true;
		a->ended = a->ended || !a->connected;
		if (a->ended) {
			uv_timer_start(&a->later, later_fired, 0, 0);
		}
	}
}

void attach_point_end(struct attach_point *p)
{
	end_list(&p->waiting);
	end_list(&p->live); /* who is still connected hears the end after the last output */
}

static void say(struct list *l, int stream, const char *text)
{
	list_each_safe (pos, l) {
		struct attach *a = container_of(pos, struct attach, node);
		a->h->output(a->owner, stream, text, strlen(text));
	}
}

void attach_point_say(struct attach_point *p, int stream, const char *text)
{
	say(&p->waiting, stream, text);
	say(&p->live, stream, text);
}

struct attach *attach_new(struct container *c, unsigned want, const struct attach_handlers *h,
	void *owner, struct err *e)
{
	if (c->state == CONTAINER_REMOVING || c->state == CONTAINER_DEAD) {
		(void)err_set(e, ERR_CONFLICT, "container %s is being removed", c->id);
		return NULL;
	}
	bool live = container_is_running(c) || c->state == CONTAINER_STARTING;
	container_event(c, "attach", NULL);
	return attach_open(
		c->set->d.loop, &c->attaches, live && c->shim ? c->run_dir : NULL, want, h, owner);
}

int container_check_attach(const struct container *c, const char *named, struct err *e)
{
	if (c->state == CONTAINER_PAUSED) {
		return err_set(e, ERR_CONFLICT,
			"container %.64s is paused, unpause the container before attach", named);
	}
	if (c->state == CONTAINER_RESTARTING) {
		return err_set(e, ERR_CONFLICT,
			"container %.64s is restarting, wait until the container is running",
			named);
	}
	return 0;
}
