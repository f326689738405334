/* The kernel's OOM killer at work in a container that goes on: event oom, State.OOMKilled.
 *
 * Only where the container has a memory limit of its own: on cgroup v1 the kernel tells every group
 * below the one that ran full, not only the one that lost a process. What happens without, and at
 * the container's end, is in the shim's exit record. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "container/internal.h"
#include "sys/cgroup.h"

#define SETTLE_MS 50

struct oom_watch {
	uv_poll_t poll; /* freed in its close callback */
	int fd;
	struct container *c;
	struct delay *settle; /* a look at the counter is planned */
	struct cgroup_oom seen;
};

static void watch_closed(uv_handle_t *h)
{
	struct oom_watch *w = h->data;
	close(w->fd);
	free(w);
}

void oom_stop(struct container *c)
{
	if (c->oom) {
		delay_cancel(c->oom->settle);
		uv_close((uv_handle_t *)&TAKE(c->oom)->poll, watch_closed);
	}
}

static void tell(struct container *c)
{
	if (!c->oom_killed) {
		c->oom_killed = true;
		container_record_note(c);
	}
	log_info("container", "oom", "id", c->id, NULL);
	container_event(c, "oom", NULL);
}

/* The counter decides: the kernel wakes us for every allocation that fails while the chosen process
 * is still dying, and before it has counted it. Where the killer is off, to be stuck is the event.
 */
static void look(void *owner)
{
	struct oom_watch *w = owner;
	struct container *c = w->c;
	struct cgroup_oom now;
	w->settle = NULL;
	if (cgroup_oom_read(c->cgroup, &now) < 0) { /* the group is gone, which also wakes us */
		oom_stop(c);
		return;
	}
	bool news = now.kills > w->seen.kills || (now.stuck && !w->seen.stuck);
	w->seen = now;
	if (news) {
		tell(c);
	}
}

static void woken(uv_poll_t *poll, int status, int events)
{
	struct oom_watch *w = poll->data;
	cgroup_oom_drain(w->fd);
	if (!w->settle) {
		w->settle = delay_start(w->c->set->d.loop, SETTLE_MS, look, w);
	}
}

void oom_start(struct container *c)
{
	if (c->oom || json_i64(c->host_config, "Memory", 0) <= 0) {
		return;
	}
	int fd = cgroup_oom_watch(c->cgroup);
	if (fd < 0) {
		log_warning(
			"container", "oom_not_watched", "id", c->id, "reason", strerror(-fd), NULL);
		return;
	}
	struct oom_watch *w = xnew(struct oom_watch);
	w->fd = fd;
	w->c = c;
	uv_poll_init(c->set->d.loop, &w->poll, fd);
	w->poll.data = w;
	uv_poll_start(&w->poll, UV_READABLE, woken);
	c->oom = w;
	if (c->oom_killed) { /* an earlier daemon has told it */
		(void)cgroup_oom_read(c->cgroup, &w->seen);
	} else {
		w->settle = delay_start(c->set->d.loop, 0, look, w); /* before we listened */
	}
}
