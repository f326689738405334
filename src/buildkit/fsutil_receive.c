/* Invariants
 * 1. At most ASKED_MAX files are asked for and not yet complete: a sender that serves what it is
 * asked for in order never waits for us with its own receiving (fsutil send.go: 128), so that
 * neither side waits for the other.
 * 2. A file is asked for once, when it was told and wanted.
 */
#include <string.h>

#include "base/mem.h"
#include "base/scoped.h"
#include "buildkit/fsutil.h"

#define ASKED_MAX 100

struct receiver {
	const struct fsutil_stream *s;
	const struct fsutil_receiver *r;
	struct fsutil_order *order;
	struct buf scratch;
	uint32_t next_id;
	uint32_t asked[ASKED_MAX];
	size_t n_asked;
	uint32_t *wanted; /* not asked for yet: from wanted_at to wanted_n */
	size_t wanted_at, wanted_n, wanted_room;
	bool listed, finished;
};

static int send_packet(struct receiver *x, const struct fsutil_packet *p, bool more, struct err *e)
{
	fsutil_packet_write(p, &x->scratch);
	return x->s->send(x->s->owner, x->scratch.data, x->scratch.len, more, e);
}

/* --- what we want --- */

static void want(struct receiver *x, uint32_t id)
{
	if (x->wanted_at == x->wanted_n) {
		x->wanted_at = x->wanted_n = 0;
	}
	if (x->wanted_n == x->wanted_room) {
		x->wanted_room = x->wanted_room ? x->wanted_room * 2 : 256;
		x->wanted = xrealloc(x->wanted, x->wanted_room, sizeof(*x->wanted));
	}
	x->wanted[x->wanted_n++] = id;
}

/* Not one by one: the sender has enough to do with half of them. */
static int ask(struct receiver *x, struct err *e)
{
	if (x->n_asked > ASKED_MAX / 2) {
		return 0;
	}
	while (x->n_asked < ASKED_MAX && x->wanted_at < x->wanted_n) {
		const struct fsutil_packet p = {
			.type = FSUTIL_REQ, .id = x->wanted[x->wanted_at++]};
		x->asked[x->n_asked++] = p.id;
		bool more = x->n_asked < ASKED_MAX && x->wanted_at < x->wanted_n;
		if (send_packet(x, &p, more, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int finish_if_all(struct receiver *x, struct err *e)
{
	if (!x->listed || x->n_asked > 0 || x->finished) {
		return 0;
	}
	const struct fsutil_packet p = {.type = FSUTIL_FIN};
	x->finished = true;
	if (x->r->complete && x->r->complete(x->r->owner, e) < 0) {
		return -1;
	}
	return send_packet(x, &p, false, e);
}

/* --- what comes --- */

static int take_stat(struct receiver *x, const struct fsutil_packet *p, struct err *e)
{
	bool wanted = false;
	if (x->listed) {
		return err_set(e, ERR_INVALID, "invalid file list: it goes on after its end");
	}
	if (!p->has_stat) {
		x->listed = true;
		return x->r->listed ? x->r->listed(x->r->owner, e) : 0;
	}
	if (fsutil_order_check(x->order, &p->stat, e) < 0 ||
		x->r->entry(x->r->owner, x->next_id, &p->stat, &wanted, e) < 0) {
		return -1;
	}
	if (wanted) {
		want(x, x->next_id);
	}
	x->next_id++;
	return 0;
}

static int take_data(struct receiver *x, const struct fsutil_packet *p, struct err *e)
{
	size_t at = 0;
	while (at < x->n_asked && x->asked[at] != p->id) {
		at++;
	}
	if (at == x->n_asked) {
		return err_set(e, ERR_INVALID, "the sender of files sends what nobody asked for");
	}
	if (p->n == 0) { /* in order: the next ones are found at the beginning */
		x->n_asked--;
		memmove(x->asked + at, x->asked + at + 1, (x->n_asked - at) * sizeof(*x->asked));
	}
	return x->r->data(x->r->owner, p->id, p->data, p->n, e);
}

static int take_packet(struct receiver *x, const struct fsutil_packet *p, struct err *e)
{
	switch (p->type) {
	case FSUTIL_STAT:
		return take_stat(x, p, e);
	case FSUTIL_DATA:
		return take_data(x, p, e);
	case FSUTIL_FIN:
		return x->finished ? 0 : err_set(e, ERR_INVALID, "the sender of files ended early");
	case FSUTIL_ERR:
		return err_set(e, ERR_SYSTEM, "%.*s", (int)(p->n > 500 ? 500 : p->n),
			p->n ? (const char *)p->data : "the sender of files failed");
	default:
		return err_set(e, ERR_INVALID, "the sender of files sends what a receiver would");
	}
}

static int receive_one(struct receiver *x, const struct buf *message, struct err *e)
{
	scoped(fsutil_packet) struct fsutil_packet p = {0};
	if (fsutil_packet_read(message->data, message->len, &p, e) < 0 ||
		take_packet(x, &p, e) < 0) {
		return -1;
	}
	return ask(x, e) < 0 || finish_if_all(x, e) < 0 ? -1 : 0;
}

/* 0, -1: the stream failed, 1: we did, and the peer should know */
static int receive_all(struct receiver *x, struct err *e)
{
	scoped(buf) struct buf message = BUF_INIT;
	for (;;) {
		int r = x->s->recv(x->s->owner, &message, e);
		if (r < 0) {
			return -1;
		}
		if (r == 0) {
			return x->finished
				       ? 0
				       : err_set(e, ERR_SYSTEM, "the sender of files ended early");
		}
		if (receive_one(x, &message, e) < 0) {
			return 1;
		}
	}
}

int fsutil_receive(const struct fsutil_stream *s, const struct fsutil_receiver *r, struct err *e)
{
	struct receiver x = {.s = s, .r = r, .order = fsutil_order_new()};
	int result = receive_all(&x, e);
	if (result > 0) {
		struct err ignored;
		const struct fsutil_packet p = {
			.type = FSUTIL_ERR, .data = e->msg, .n = strlen(e->msg)};
		(void)send_packet(&x, &p, false, &ignored);
	}
	fsutil_order_free(x.order);
	buf_deinit(&x.scratch);
	free(x.wanted);
	return result == 0 ? 0 : -1;
}
