/* What a start needs from outside and is not there: a device that is not plugged, a disk or a
 * volume that is not mounted. Under a restart policy the container waits for it, as "restarting",
 * and says what for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "container/internal.h"
#include "container/optional.h"
#include "container/patience.h"
#include "container/plug.h"
#include "container/storage.h"
#include "device/set.h"
#include "container/volume_watch.h"

#define TOLD_MS 3600000 /* between two looks that should find nothing */

static bool says_absent(int errnum)
{
	return errnum == ENOENT || errnum == ENOTDIR || errnum == ENXIO;
}

bool waiting_is_absent(const char *path)
{
	struct stat st;
	return stat(path, &st) < 0 && says_absent(errno);
}

bool waiting_is_bind_absent(const struct container *c, const struct mount_point *m)
{
	return says_absent(-patience_stat(c->set->patience, m->source, NULL));
}

char *waiting_for(const struct container *c)
{
	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct mount_point *m = &c->mounts.v[i];
		if (m->kind == MOUNT_BIND && waiting_is_bind_absent(c, m) &&
			!optional_names(c->config, m->target)) {
			return xasprintf("mount source %s", m->source);
		}
	}
	bool ignored;
	const struct wanted *w = plug_missing(c);
	char *volume = w ? NULL : volume_watch_missing(c, &ignored);
	return w ? xasprintf("device %s", w->key) : volume ? volume : storage_missing(c);
}

bool waiting_is_patient(const struct container *c)
{
	const struct wanted *w = plug_missing(c);
	bool patient;
	scoped(free) char *disk = w ? NULL : storage_missing(c);
	scoped(free) char *volume = w ? NULL : volume_watch_missing(c, &patient);
	return ((w && w->rule) || disk || (volume && patient)) && !c->stopped_by_user;
}

bool waiting_decide(const struct container *c, const struct restart_facts *f, int64_t *ret_wait_ms)
{
	const struct restart_policy always = {.kind = RESTART_ALWAYS};
	bool patient = f->waiting && waiting_is_patient(c);
	return restart_decide(patient ? &always : &c->policy, f, ret_wait_ms);
}

void waiting_set(struct container *c, char *take_what)
{
	bool news = take_what && (!c->waits_for || strcmp(c->waits_for, take_what) != 0);
	free(c->waits_for);
	c->waits_for = take_what;
	if (news) {
		log_warning("container", "waiting", "id", c->id, "for", take_what, NULL);
		container_event(c, "waiting", json_pack("{ss}", "for", take_what));
	}
}

/* What a label asks for comes with an event of the device set (waiting_look). A plain path may also
 * be made by hand. */
static bool is_told(const struct container *c)
{
	const struct wanted *w = plug_missing(c);
	return w && w->rule && c->set->d.devices && device_set_ready(c->set->d.devices);
}

/* The cheap look before a retry: nothing is made, written or told while nothing has changed. */
bool waiting_goes_on(struct container *c)
{
	if (!c->waits_for) {
		return false;
	}
	scoped(free) char *what = waiting_for(c);
	int64_t wait_ms;
	const struct restart_facts facts = {.exit_code = c->exit_code,
		.count = c->restart_count,
		.last_wait_ms = c->last_wait_ms,
		.stopped_by_user = c->stopped_by_user,
		.waiting = true};
	if (!what || strcmp(what, c->waits_for) != 0 || !waiting_decide(c, &facts, &wait_ms)) {
		return false;
	}
	container_restart_later(c, is_told(c) ? TOLD_MS : wait_ms);
	c->last_wait_ms = wait_ms;
	return true;
}

static bool looks_now(const struct container *c)
{
	if (c->state != CONTAINER_RESTARTING || !c->waits_for || c->boot_since_ms > 0) {
		return false;
	}
	scoped(free) char *what = waiting_for(c);
	return !what || strcmp(what, c->waits_for) != 0;
}

/* A start may take others along: ids, not pointers. */
void waiting_look(struct container_set *s)
{
	scoped(strv) struct strv ids = STRV_INIT;
	map_each (s->by_id, const struct container, c) {
		if (looks_now(c)) {
			strv_add(&ids, c->id);
		}
	}
	for (size_t i = 0; i < ids.n && !s->going_down; i++) {
		struct container *c = map_get(s->by_id, ids.v[i]);
		if (c && looks_now(c)) {
			delay_cancel(c->restart_delay);
			container_restart_now(c);
		}
	}
}
