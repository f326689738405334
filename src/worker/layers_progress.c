#include "worker/layers_progress.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/text.h"
#include "worker/rpc.h"

#define INTERVAL_MS 100
#define BAR_WIDTH 50

void layers_human_size(int64_t bytes, char *ret, size_t room)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
	double size = (double)bytes;
	size_t i = 0;
	while (size >= 1000 && i + 1 < sizeof(units) / sizeof(*units)) {
		size /= 1000;
		i++;
	}
	snprintf(ret, room, "%.4g%s", size, units[i]);
}

char *layers_progress_text(int64_t current, int64_t total)
{
	char now[32], all[32];
	if (current <= 0 && total <= 0) {
		return xstrdup("");
	}
	layers_human_size(current, now, sizeof(now));
	if (total <= 0) {
		return xasprintf("%8s", now);
	}
	layers_human_size(total, all, sizeof(all));
	int done = (int)((double)current / (double)total * 100) / 2;
	done = done > BAR_WIDTH ? BAR_WIDTH : done;
	char bar[BAR_WIDTH + 1];
	memset(bar, '=', BAR_WIDTH);
	bar[BAR_WIDTH] = '\0';
	return xasprintf("[%.*s>%*s] %8s%s%s", done, bar, BAR_WIDTH - done, "", now,
		current > total ? "" : "/", current > total ? "" : all);
}

static void send_step(struct layers_progress *p, const char *id, const char *status,
	json_t *take_detail, const char *text)
{
	if (!p->rpc) {
		json_decref(take_detail);
		return;
	}
	json_t *msg = json_object();
	json_put_str(msg, "status", status);
	json_put(msg, "progressDetail", take_detail);
	if (*text) {
		json_put_str(msg, "progress", text);
	}
	json_put_str(msg, "id", id);
	rpc_send(p->rpc, msg);
}

void layers_say(struct layers_progress *p, const char *id, const char *status)
{
	send_step(p, id, status, json_object(), "");
}

void layers_say_bytes(struct layers_progress *p, const char *id, const char *status,
	int64_t current, int64_t total)
{
	scoped(free) char *text = layers_progress_text(current, total);
	json_t *detail = json_pack("{sI}", "current", (json_int_t)current);
	if (total > 0) {
		json_put(detail, "total", json_integer(total));
	}
	send_step(p, id, status, detail, text);
}

/* --- the meter --- */

struct meter {
	struct stream base;
	struct stream *inner;
	struct layers_progress *progress;
	char id[ID_SHORT_LEN + 1];
	const char *status;
	int64_t passed, total;
	int64_t last_ms;
};

static bool may_speak(struct meter *m)
{
	int64_t now = clock_mono_ms();
	bool yes = now - m->last_ms >= INTERVAL_MS;
	if (yes) {
		m->last_ms = now;
	}
	return yes;
}

static ssize_t meter_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct meter *m = container_of(s, struct meter, base);
	if (atomic_load(&m->progress->stop)) {
		return err_set(e, ERR_BUSY, "canceled");
	}
	ssize_t got = stream_read(m->inner, data, n, e);
	if (got > 0) {
		m->passed += got;
		if (may_speak(m)) {
			layers_say_bytes(m->progress, m->id, m->status, m->passed, m->total);
		}
	}
	return got;
}

static void meter_free(struct stream *s)
{
	free(container_of(s, struct meter, base));
}

struct stream *layers_meter_new(struct stream *inner, struct layers_progress *p, const char *id,
	const char *status, int64_t total)
{
	struct meter *m = xnew(struct meter);
	m->base = (struct stream){meter_read, meter_free};
	m->inner = inner;
	m->progress = p;
	snprintf(m->id, sizeof(m->id), "%.12s", id);
	m->status = status;
	m->total = total;
	m->last_ms = clock_mono_ms();
	return &m->base;
}
