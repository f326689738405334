#include "ingress/watch.h"

#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "base/mem.h"

struct process_watch {
	uv_poll_t poll;
	int pidfd;
	process_ended_fn *fn;
	void *owner;
};

static void on_closed(uv_handle_t *h)
{
	struct process_watch *w = h->data;
	close(w->pidfd);
	free(w);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct process_watch *w = poll->data;
	uv_poll_stop(poll);
	w->fn(w->owner);
}

struct process_watch *process_watch_start(
	uv_loop_t *l, int take_pidfd, process_ended_fn *fn, void *owner)
{
	struct process_watch *w = xnew(struct process_watch);
	w->pidfd = take_pidfd;
	w->fn = fn;
	w->owner = owner;
	w->poll.data = w;
	if (uv_poll_init(l, &w->poll, take_pidfd) < 0) {
		close(take_pidfd);
		free(w);
		return NULL;
	}
	uv_unref((uv_handle_t *)&w->poll);
	uv_poll_start(&w->poll, UV_READABLE, on_readable);
	return w;
}

void process_watch_end(struct process_watch *w)
{
	if (w) {
		uv_close((uv_handle_t *)&w->poll, on_closed);
	}
}
