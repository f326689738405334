#include "ingress/lan_watch.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/scoped.h"

#define SETTLE_MS 500 /* a lease takes an address and gives it again; IPv6 comes after IPv4 */

struct lan_watch {
	uv_poll_t poll;
	uv_timer_t settle;
	int fd;
	unsigned handles; /* not closed yet */
	struct lan now;
	void (*changed)(void *owner);
	void *owner;
};

static void look(struct lan_watch *w)
{
	struct lan now;
	int r = lan_read(&now);
	if (r < 0) {
		log_warning("ingress", "no_addresses", "error", strerror(-r), NULL);
	} else if (!lan_equal(&now, &w->now)) {
		w->now = now;
		w->changed(w->owner);
	}
}

static void on_settled(uv_timer_t *t)
{
	look(t->data);
}

/* libuv stops a socket that has lost messages. */
static void on_readable(uv_poll_t *p, int status, int events)
{
	struct lan_watch *w = p->data;
	lan_drain(w->fd);
	if (status < 0) {
		uv_poll_start(p, UV_READABLE, on_readable);
	}
	uv_timer_start(&w->settle, on_settled, SETTLE_MS, 0);
}

struct lan_watch *lan_watch_new(
	uv_loop_t *l, void (*changed)(void *owner), void *owner, struct err *e)
{
	int fd = lan_listen();
	if (fd < 0) {
		(void)err_sys(e, -fd, "cannot listen to changes of addresses");
		return NULL;
	}
	struct lan_watch *w = xnew(struct lan_watch);
	w->fd = fd;
	w->changed = changed;
	w->owner = owner;
	w->poll.data = w->settle.data = w;
	w->handles = 2;
	uv_timer_init(l, &w->settle);
	uv_poll_init(l, &w->poll, fd);
	uv_poll_start(&w->poll, UV_READABLE, on_readable);
	lan_read(&w->now);
	return w;
}

static void on_closed(uv_handle_t *h)
{
	struct lan_watch *w = h->data;
	if (--w->handles == 0) {
		close(w->fd);
		free(w);
	}
}

void lan_watch_free(struct lan_watch *w)
{
	if (w) {
		uv_close((uv_handle_t *)&w->poll, on_closed);
		uv_close((uv_handle_t *)&w->settle, on_closed);
	}
}

const struct lan *lan_watch_now(const struct lan_watch *w)
{
	return &w->now;
}

bool lan_is_told(const struct strv *listen, struct ip address)
{
	bool told = listen->n == 0;
	for (size_t i = 0; !told && i < listen->n; i++) {
		struct ip a;
		scoped(free) char *text = xstrdup(listen->v[i] + (*listen->v[i] == '['));
		text[strcspn(text, "]")] = '\0';
		told = ip_parse(text, &a) == 0 && (ip_is_any(a) || ip_equal(a, address));
	}
	return told;
}
