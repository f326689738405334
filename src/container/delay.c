#include "container/delay.h"

#include <stdlib.h>
#include <uv.h>

#include "base/mem.h"

struct delay {
	uv_timer_t timer;
	delay_fn *fn;
	void *owner;
};

static void closed(uv_handle_t *h)
{
	free(h->data);
}

void delay_cancel(struct delay *d)
{
	if (d) {
		uv_close((uv_handle_t *)&d->timer, closed);
	}
}

static void fired(uv_timer_t *t)
{
	struct delay *d = t->data;
	delay_fn *fn = d->fn;
	void *owner = d->owner;
	delay_cancel(d);
	fn(owner);
}

struct delay *delay_start(uv_loop_t *l, int64_t ms, delay_fn *fn, void *owner)
{
	struct delay *d = xnew(struct delay);
	d->fn = fn;
	d->owner = owner;
	uv_timer_init(l, &d->timer);
	d->timer.data = d;
	uv_update_time(
		l); /* the loop's idea of now may be old: a pause is never shorter than asked */
	uv_timer_start(&d->timer, fired, ms > 0 ? (uint64_t)ms : 0, 0);
	uv_unref((uv_handle_t *)&d->timer);
	return d;
}
