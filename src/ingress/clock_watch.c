#include "ingress/clock_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define SYNCED_US 16000000 /* systemd's ntp_synced(): the error that the kernel gives up at */
#define LONG_ENOUGH_MS (3600 * 1000)

struct clock_watch {
	uv_poll_t poll;
	int fd;
	int64_t at;
	void (*fn)(void *owner, bool was_set);
	void *owner;
};

bool clock_watch_is_set(void)
{
	struct timex t = {0};
	return (adjtimex(&t) >= 0 && t.maxerror < SYNCED_US) || clock_mono_ms() > LONG_ENOUGH_MS;
}

void clock_watch_at(struct clock_watch *w, int64_t seconds)
{
	const struct itimerspec when = {.it_value.tv_sec = (time_t)seconds};
	w->at = seconds;
	if (w->fd >= 0 && timerfd_settime(w->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when,
				  NULL) < 0) {
		log_warning("ingress", "no_timer", "error", strerror(errno), NULL);
	}
}

/* A cancelled timer stays armed and says so at each setting of the clock. */
static void on_readable(uv_poll_t *p, int status, int events)
{
	struct clock_watch *w = p->data;
	uint64_t times;
	ssize_t n = read(w->fd, &times, sizeof(times));
	bool was_set = n < 0 && errno == ECANCELED;
	if (n > 0 || was_set) {
		w->fn(w->owner, was_set);
	}
}

struct clock_watch *clock_watch_new(
	uv_loop_t *l, void (*fn)(void *owner, bool was_set), void *owner)
{
	struct clock_watch *w = xnew(struct clock_watch);
	w->fn = fn;
	w->owner = owner;
	w->poll.data = w;
	w->fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (w->fd >= 0) {
		uv_poll_init(l, &w->poll, w->fd);
		uv_poll_start(&w->poll, UV_READABLE, on_readable);
	}
	return w;
}

static void on_closed(uv_handle_t *h)
{
	struct clock_watch *w = h->data;
	close(w->fd);
	free(w);
}

void clock_watch_free(struct clock_watch *w)
{
	if (!w) {
		return;
	}
	if (w->fd < 0) {
		free(w);
	} else {
		uv_close((uv_handle_t *)&w->poll, on_closed);
	}
}
