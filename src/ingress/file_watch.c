#include "ingress/file_watch.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#define SETTLE_MS 500 /* certificate and key are written one after the other */

struct watched_dir {
	uv_fs_event_t event;
	char *path;
	struct file_watch *owner;
	bool stale; /* something happened: it may be another directory by now */
	bool wanted;
};

struct file_watch {
	uv_loop_t *loop;
	uv_timer_t *settle;
	struct watched_dir *dirs[FILE_WATCH_MAX];
	size_t n;
	void (*changed)(void *owner);
	void *owner;
};

static void on_settled(uv_timer_t *t)
{
	struct file_watch *w = t->data;
	w->changed(w->owner);
}

static void on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
	struct watched_dir *d = event->data;
	d->stale = true;
	uv_timer_start(d->owner->settle, on_settled, SETTLE_MS, 0);
}

static void on_closed(uv_handle_t *h)
{
	struct watched_dir *d = h->data;
	free(d->path);
	free(d);
}

static void forget(struct watched_dir *d)
{
	uv_close((uv_handle_t *)&d->event, on_closed);
}

struct file_watch *file_watch_new(uv_loop_t *l, void (*changed)(void *owner), void *owner)
{
	struct file_watch *w = xnew(struct file_watch);
	w->loop = l;
	w->changed = changed;
	w->owner = owner;
	w->settle = xnew(uv_timer_t);
	w->settle->data = w;
	uv_timer_init(l, w->settle);
	return w;
}

static void add(struct file_watch *w, const char *path)
{
	struct watched_dir *d = xnew(struct watched_dir);
	d->event.data = d;
	d->owner = w;
	d->path = xstrdup(path);
	d->wanted = true;
	uv_fs_event_init(w->loop, &d->event);
	int r = uv_fs_event_start(&d->event, on_event, path, 0);
	if (r < 0) {
		log_debug("ingress", "not_watched", "path", path, "error", uv_strerror(r), NULL);
		forget(d);
		return;
	}
	w->dirs[w->n++] = d;
	/* what has happened before this was not heard */
	uv_timer_start(w->settle, on_settled, SETTLE_MS, 0);
}

static struct watched_dir *find(const struct file_watch *w, const char *path)
{
	for (size_t i = 0; i < w->n; i++) {
		if (strcmp(w->dirs[i]->path, path) == 0 && !w->dirs[i]->stale) {
			return w->dirs[i];
		}
	}
	return NULL;
}

static void drop_unwanted(struct file_watch *w)
{
	size_t kept = 0;
	for (size_t i = 0; i < w->n; i++) {
		if (w->dirs[i]->wanted) {
			w->dirs[kept++] = w->dirs[i];
		} else {
			forget(w->dirs[i]);
		}
	}
	w->n = kept;
}

void file_watch_set(struct file_watch *w, const json_t *dirs)
{
	size_t i;
	json_t *path;
	if (!dirs) {
		uv_timer_stop(w->settle);
	}
	for (size_t k = 0; k < w->n; k++) {
		w->dirs[k]->wanted = false;
	}
	json_array_foreach (dirs, i, path) {
		struct watched_dir *d = find(w, json_string_value(path));
		if (d) {
			d->wanted = true;
		}
	}
	drop_unwanted(w);
	json_array_foreach (dirs, i, path) {
		if (w->n < FILE_WATCH_MAX && !find(w, json_string_value(path))) {
			add(w, json_string_value(path));
		}
	}
}

void file_watch_free(struct file_watch *w)
{
	if (w) {
		file_watch_set(w, NULL);
		uv_close((uv_handle_t *)w->settle, (uv_close_cb)free);
		free(w);
	}
}
