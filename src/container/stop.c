/* Stop, kill, restart, pause, remove: what is done to a container from outside. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/scoped.h"
#include "base/text.h"
#include "container/internal.h"
#include "container/storage.h"
#include "image/image.h"
#include "job/remove.h"
#include "store/store.h"
#include "sys/cgroup.h"
#include "volume/volume.h"

int container_stop_signal(const struct container *c)
{
	int signal = SIGTERM;
	const char *text = json_str(c->config, "StopSignal");
	if (*text) {
		(void)parse_signal(text, &signal); /* checked by create */
	}
	return signal;
}

int container_stop_timeout(const struct container *c)
{
	return (int)json_i64(c->config, "StopTimeout", DEFAULT_STOP_TIMEOUT_S);
}

static void publish_kill(const struct container *c, int signal)
{
	char text[16];
	snprintf(text, sizeof(text), "%d", signal);
	container_event(c, "kill", json_pack("{ss}", "signal", text));
}

/* A frozen process acts on a signal once it is thawed; after SIGKILL nobody sees it run again. */
static void thaw(struct container *c, int signal)
{
	if (c->state != CONTAINER_PAUSED || cgroup_freeze(c->cgroup, false) < 0) {
		return;
	}
	if (signal != SIGKILL) {
		container_step(c, INPUT_UNPAUSE);
		container_event(c, "unpause", NULL);
	}
}

static void patience_is_over(void *owner)
{
	struct container *c = owner;
	struct err e;
	c->kill_delay = NULL;
	log_info("container", "killed_after_timeout", "id", c->id, NULL);
	if (container_signal(c, SIGKILL, &e) < 0) {
		log_error("container", "cannot_kill", "id", c->id, "reason", e.msg, NULL);
		return;
	}
	publish_kill(c, SIGKILL);
}

void container_ask_to_stop(struct container *c, int signal, int timeout_s)
{
	struct err ignored;
	int64_t patience_ms =
		(int64_t)(timeout_s < 0 ? container_stop_timeout(c) : timeout_s) * 1000;
	bool first = !c->kill_delay;
	int wanted = signal ? signal : container_stop_signal(c);
	publish_kill(c, wanted);
	(void)container_signal(c, wanted, &ignored);
	thaw(c, wanted);
	container_step(c, INPUT_STOP);
	container_record_note(c);
	if (timeout_s == INT32_MAX || (timeout_s < 0 && container_stop_timeout(c) < 0)) {
		return; /* for ever */
	}
	if (!first) {
		delay_cancel(c->kill_delay);
	}
	c->kill_delay = delay_start(c->set->d.loop, patience_ms, patience_is_over, c);
}

/* It waits for its back-off, or for a device or volume: from now on it rests. */
static void end_pause_before_restart(struct container *c)
{
	delay_cancel(c->restart_delay);
	c->restart_delay = NULL;
	c->boot_since_ms = 0;
	c->stopped_by_user = true;
	waiting_set(c, NULL);
	storage_changed(c);
	container_step(c, INPUT_STOP);
	container_volumes_let_go(c);
	container_record_note(c);
	attach_point_end(&c->attaches);
	waits_fire(c, true, false);
	boot_look_again(c->set);
}

void container_stop(
	struct container *c, int signal, int timeout_s, container_done_fn *done, void *owner)
{
	struct err e;
	if (c->state == CONTAINER_RESTARTING) {
		end_pause_before_restart(c);
		container_event(c, "stop", NULL);
		if (json_bool(c->host_config, "AutoRemove")) { /* it waited for a disk or device */
			container_remove_now(c, true);
		}
		done(owner, NULL);
		return;
	}
	if (!container_is_running(c) && c->state != CONTAINER_STARTING) {
		(void)err_set(&e, ERR_UNCHANGED, "container %s is already stopped", c->id);
		done(owner, &e);
		return;
	}
	done_add(&c->stopping, done, owner);
	c->stopped_by_user = true;
	if (c->state == CONTAINER_STARTING) {
		return; /* run.c goes on with it once it has started */
	}
	container_ask_to_stop(c, signal, timeout_s);
}

int container_kill(struct container *c, int signal, struct err *e)
{
	if (c->state == CONTAINER_RESTARTING) { /* moby: as a stop by hand, without an event */
		end_pause_before_restart(c);
		return 0;
	}
	if (c->state == CONTAINER_STARTING && signal == SIGKILL) {
		c->stopped_by_user = true;
		c->kill_asked = true;
		return 0;
	}
	if (!container_is_running(c)) {
		return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	}
	if (container_signal(c, signal, e) < 0) {
		return -1;
	}
	publish_kill(c, signal);
	if (signal == SIGKILL || signal == container_stop_signal(c)) {
		c->stopped_by_user = true; /* moby: no restart after a kill by hand */
		container_record_note(c);
	}
	thaw(c, signal);
	return 0;
}

/* --- the machine goes down --- */

static bool holds_the_end_up(const struct container *c)
{
	return container_is_running(c) || c->state == CONTAINER_STARTING;
}

void container_set_note_end(struct container_set *s)
{
	if (!s->going_down || !s->all_stopped) {
		return;
	}
	map_each (s->by_id, const struct container, c) {
		if (holds_the_end_up(c)) {
			return;
		}
	}
	container_set_stopped_fn *done = TAKE(s->all_stopped);
	done(s->all_stopped_owner);
}

void container_set_stop_all(struct container_set *s, container_set_stopped_fn *done, void *owner)
{
	s->going_down = true;
	s->all_stopped = done;
	s->all_stopped_owner = owner;
	map_each (s->by_id, struct container, c) {
		delay_cancel(c->restart_delay); /* it stays recorded as restarting */
		c->restart_delay = NULL;
		if (container_is_running(c) && c->state != CONTAINER_STOPPING) {
			container_ask_to_stop(c, 0, -1);
		}
	}
	container_set_note_end(s);
}

/* --- restart --- */

struct restart {
	struct container_set *set;
	char id[ID_LEN + 1];
	container_done_fn *done;
	void *owner;
};

static void restarted(void *owner, const struct err *e)
{
	struct restart *r = owner;
	struct err ignored;
	const struct container *c = container_find(r->set, r->id, &ignored);
	if (c && (!e || e->kind == ERR_UNCHANGED)) {
		container_event(c, "restart", NULL);
		e = NULL;
	}
	struct err failed;
	if (e) {
		failed = *e;
		failed.kind =
			e->kind == ERR_CONFLICT || e->kind == ERR_NOT_FOUND ? e->kind : ERR_SYSTEM;
		(void)err_wrap(&failed, "Cannot restart container %s", c ? c->name : r->id);
		e = &failed;
	}
	r->done(r->owner, e);
	free(r);
}

static void stopped_for_restart(void *owner, const struct err *failed)
{
	struct restart *r = owner;
	struct err e;
	struct container *c = container_find(r->set, r->id, &e);
	if (!c) {
		r->done(r->owner, &e);
		free(r);
		return;
	}
	container_start(c, restarted, r);
}

void container_restart(
	struct container *c, int signal, int timeout_s, container_done_fn *done, void *owner)
{
	struct restart *r = xnew(struct restart);
	r->set = c->set;
	r->done = done;
	r->owner = owner;
	memcpy(r->id, c->id, sizeof(r->id));
	container_stop(c, signal, timeout_s, stopped_for_restart,
		r); /* one that does not run answers at once */
}

/* --- pause --- */

int container_pause(struct container *c, bool pause, struct err *e)
{
	if (!pause && c->state != CONTAINER_PAUSED) {
		return err_set(e, ERR_SYSTEM, "Container %s is not paused", c->id);
	}
	if (pause && c->state == CONTAINER_PAUSED) {
		return err_set(e, ERR_CONFLICT, "Container %s is already paused", c->id);
	}
	if (pause && c->state == CONTAINER_RESTARTING) {
		return err_set(e, ERR_CONFLICT,
			"Container %s is restarting, wait until the container is running", c->id);
	}
	if (pause && c->state != CONTAINER_RUNNING) {
		return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	}
	int r = cgroup_freeze(c->cgroup, pause);
	if (r < 0) {
		return err_sys(e, -r, "cannot %s container %s", pause ? "pause" : "unpause", c->id);
	}
	container_step(c, pause ? INPUT_PAUSE : INPUT_UNPAUSE);
	container_record_note(c);
	container_event(c, pause ? "pause" : "unpause", NULL);
	return 0;
}

/* --- remove --- */

/* Those who asked for the removal hear of it when the space is free again. */
struct removal {
	struct list calls;
};

static void tree_removed(void *owner)
{
	struct removal *r = owner;
	done_all(&r->calls, NULL); /* the container is gone, whatever became of its files */
	free(r);
}

/* Out of the way by one rename, so that its name is free (job/remove.h does the rest). take_calls
 * is emptied when they have to wait. */
static void discard_tree(struct container *c, struct list *take_calls)
{
	const struct container_deps *d = &c->set->d;
	scoped(free) char *name = xasprintf("removed-%.32s", c->id);
	scoped(free) char *tmp = xasprintf("%s/tmp", d->data_root);
	scoped(free) char *to = xasprintf("%s/%s", tmp, name);
	if (rename(c->dir, to) < 0) {
		if (errno != ENOENT) {
			log_error("container", "directory_left", "id", c->id, "reason",
				strerror(errno), NULL);
		}
		return;
	}
	struct removal *r = xnew(struct removal);
	list_init(&r->calls);
	if (job_remove_trees(d->jobs, "container", tmp, json_pack("[s]", name), tree_removed, r)) {
		free(r);
		return;
	}
	done_take(take_calls, &r->calls);
}

/* Did the user say -v NAME:/x or the like? Such a volume is not the container's to take along, even
 * when it began as somebody's anonymous one (moby daemon/mounts.go removeMountPoints). */
static bool user_named(const struct container *c, const char *volume)
{
	size_t i, n = strlen(volume);
	json_t *value;
	json_array_foreach (json_object_get(c->host_config, "Binds"), i, value) {
		const char *text = json_is_string(value) ? json_string_value(value) : "";
		if (text_starts(text, volume) && text[n] == ':') {
			return true;
		}
	}
	json_array_foreach (json_object_get(c->host_config, "Mounts"), i, value) {
		if (strcmp(json_str(value, "Source"), volume) == 0) {
			return true;
		}
	}
	return false;
}

static void remove_volumes(const struct container *c, const struct strv *names)
{
	for (size_t i = 0; i < names->n; i++) {
		struct err e;
		struct volume *v = volume_find(c->set->d.volumes, names->v[i], &e);
		if (v && volume_anonymous(v) && !user_named(c, names->v[i]) &&
			!container_using_volume(c->set, names->v[i])) {
			container_volume_discard(c->set, v);
		}
	}
}

void container_remove_now(struct container *c, bool volumes)
{
	struct container_set *s = c->set;
	struct err e;
	scoped(strv) struct strv names = STRV_INIT;
	for (size_t i = 0; i < c->mounts.n; i++) {
		if (c->mounts.v[i].kind == MOUNT_VOLUME) {
			strv_add(&names, c->mounts.v[i].name);
		}
	}
	if (store_delete(s->d.store, STORE_CONTAINERS, c->id, &e) < 0) {
		log_error("container", "not_removed", "id", c->id, "reason", e.msg, NULL);
		c->state = CONTAINER_DEAD;
		done_all(&c->removing, &e);
		return;
	}
	container_step(c, INPUT_REMOVE);
	container_files_forget(c);
	delay_cancel(c->restart_delay);
	c->restart_delay = NULL;
	map_remove(s->by_id, c->id);
	map_remove(s->by_name, c->name);
	struct list removing = LIST_INIT(removing);
	done_take(&c->removing, &removing);
	discard_tree(c, &removing);
	container_clean_run(c);
	storage_changed(c);
	container_volumes_let_go(c); /* it may have waited for one */
	if (volumes) {
		remove_volumes(c, &names);
	}
	log_info("container", "removed", "id", c->id, NULL);
	s->leaving = c;
	container_event(c, "destroy", NULL);
	s->leaving = NULL;
	attach_point_end(&c->attaches);
	log_readers_poke(s, c);
	waits_fire(c, true, true);
	stats_forget(c);
	container_free(c);
	done_all(&removing, NULL);
	boot_look_again(s);
}

void container_remove(
	struct container *c, bool force, bool volumes, container_done_fn *done, void *owner)
{
	struct err e;
	bool runs = container_is_running(c) || c->state == CONTAINER_STARTING;
	if (c->remove_asked) {
		(void)err_set(
			&e, ERR_CONFLICT, "removal of container %s is already in progress", c->id);
		done(owner, &e);
		return;
	}
	if (!force && (runs || c->state == CONTAINER_RESTARTING)) {
		const char *state =
			c->state == CONTAINER_STARTING ? "running" : container_state_word(c->state);
		(void)err_set(&e, ERR_CONFLICT,
			"cannot remove container \"/%s\": container is %s%s", c->name,
			c->state == CONTAINER_PAUSED ? "paused" : state,
			c->state == CONTAINER_PAUSED
				? " and must be unpaused first"
				: ": stop the container before removing or force remove");
		done(owner, &e);
		return;
	}
	done_add(&c->removing, done, owner);
	if (!runs) {
		container_remove_now(c, volumes);
		return;
	}
	container_files_cancel(c); /* they may hold its start */
	c->remove_asked = true;
	c->remove_volumes = volumes;
	if (c->state != CONTAINER_STARTING) {
		(void)container_signal(c, SIGKILL, &e);
		thaw(c, SIGKILL);
		publish_kill(c, SIGKILL);
	}
}
