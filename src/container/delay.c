#include "container/delay.h"

#include <stdlib.h>
#include <uv.h>

#include "base/mem.h"

struct delay {
	union {
		uv_handle_t handle;
		uv_timer_t timer;
		uv_idle_t idle;
	};
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
		uv_close(&d->handle, closed);
	}
}

static void fire(struct delay *d)
{
	delay_fn *fn = d->fn;
	void *owner = d->owner;
	delay_cancel(d);
	fn(owner);
}

static void timer_fired(uv_timer_t *t)
{
	fire(t->data);
}

static void idle_fired(uv_idle_t *i)
{
	fire(i->data);
}

struct delay *delay_start(uv_loop_t *l, int64_t ms, delay_fn *fn, void *owner)
{
	struct delay *d = xnew(struct delay);
	d->fn = fn;
	d->owner = owner;
	if (ms > 0) {
		uv_timer_init(l, &d->timer);
		/* the loop's idea of now may be old: a pause is never shorter than asked */
		uv_update_time(l);
		uv_timer_start(&d->timer, timer_fired, (uint64_t)ms, 0);
	} else {
		/* not a timer of 0 ms: libuv 1.44 runs those that timers start before it looks at
		 * any socket */
		uv_idle_init(l, &d->idle);
		uv_idle_start(&d->idle, idle_fired);
	}
	d->handle.data = d;
	uv_unref(&d->handle);
	return d;
}
