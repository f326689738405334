/* All containers: names, look-ups, who uses what. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "container/exec.h"
#include "container/internal.h"
#include "container/plug.h"
#include "container/shim.h"
#include "container/storage.h"
#include "container/patience.h"
#include "container/volume_watch.h"
#include "image/image.h"

struct container *container_find(struct container_set *s, const char *name, struct err *e)
{
	const char *plain = *name == '/' ? name + 1 : name;
	struct container *found = map_get(s->by_id, plain);
	if (!found) {
		found = map_get(s->by_name, plain);
	}
	if (!found) {
		found = links_find(s, plain);
	}
	if (found) {
		return found;
	}
	map_each (s->by_id, struct container, c) {
		if (*plain && strlen(plain) < ID_LEN && text_starts(c->id, plain)) {
			if (found) {
				(void)err_set(e, ERR_INVALID,
					"Multiple IDs found with provided prefix: %s", plain);
				return NULL;
			}
			found = c;
		}
	}
	if (!found) {
		(void)err_set(e, ERR_NOT_FOUND, "No such container: %.300s", name);
	}
	return found;
}

struct container *container_next(const struct container_set *s, size_t *pos)
{
	return map_next(s->by_id, pos, NULL);
}

size_t container_count(const struct container_set *s)
{
	return map_count(s->by_id);
}

const char *container_id(const struct container *c)
{
	return c->id;
}

const char *container_name(const struct container *c)
{
	return c->name;
}

const char *container_image_id(const struct container *c)
{
	return c->image_id;
}

json_t *container_layers(const struct container *c)
{
	return json_strv(&c->layers);
}

enum container_state container_state(const struct container *c)
{
	return c->state;
}

bool container_is_running(const struct container *c)
{
	return c->state == CONTAINER_RUNNING || c->state == CONTAINER_PAUSED ||
	       c->state == CONTAINER_STOPPING;
}

bool container_is_tty(const struct container *c)
{
	return json_bool(c->config, "Tty");
}

bool container_open_stdin(const struct container *c)
{
	return json_bool(c->config, "OpenStdin");
}

const json_t *container_config(const struct container *c)
{
	return c->config;
}

const json_t *container_host_config(const struct container *c)
{
	return c->host_config;
}

const json_t *container_labels(const struct container *c)
{
	return json_object_get(c->config, "Labels");
}

pid_t container_pid(const struct container *c)
{
	return container_is_running(c) ? c->pid : 0;
}

const char *container_image_ref(const struct container *c)
{
	return c->image_ref;
}

const char *container_health(const struct container *c)
{
	return health_word(c);
}

int container_restarts(const struct container *c)
{
	return c->restart_count;
}

int64_t container_started_ns(const struct container *c)
{
	return c->started_ns;
}

void container_health_counts(const struct container_set *s, uint64_t *ret_all, uint64_t *ret_failed)
{
	*ret_all = s->probes;
	*ret_failed = s->failed_probes;
}

int container_exit_code(const struct container *c)
{
	return c->exit_code;
}

int64_t container_created_ns(const struct container *c)
{
	return c->created_ns;
}

void container_detached(struct container *c)
{
	container_event(c, "detach", NULL);
}

bool container_was_started(const struct container *c)
{
	return c->started_ns != 0;
}

bool container_uses_volume(const struct container *c, const char *volume)
{
	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct mount_point *m = &c->mounts.v[i];
		if (m->kind == MOUNT_VOLUME && strcmp(m->name, volume) == 0) {
			return true;
		}
	}
	return false;
}

const char *container_using_volume(const struct container_set *s, const char *volume)
{
	map_each (s->by_id, struct container, c) {
		if (container_uses_volume(c, volume)) {
			return c->id;
		}
	}
	return NULL;
}

const char *container_using_image(
	const struct container_set *s, const char *image_id, bool running_only)
{
	map_each (s->by_id, struct container, c) {
		bool runs = container_is_running(c) || c->state == CONTAINER_STARTING ||
			    c->state == CONTAINER_RESTARTING;
		if (strcmp(c->image_id, image_id) == 0 && (runs || !running_only)) {
			return c->id;
		}
	}
	return NULL;
}

static void pin_of(
	const struct container *c, void (*pin)(void *arg, const char *diff_id), void *arg)
{
	for (size_t i = 0; i < c->layers.n; i++) {
		pin(arg, c->layers.v[i]);
	}
	for (size_t k = 0; k < c->mounts.n; k++) {
		const struct strv *layers = &c->mounts.v[k].layers;
		for (size_t i = 0; i < layers->n; i++) {
			pin(arg, layers->v[i]);
		}
	}
}

void container_set_pin_layers(
	const struct container_set *s, void (*pin)(void *arg, const char *diff_id), void *arg)
{
	map_each (s->by_id, struct container, c) {
		pin_of(c, pin, arg);
	}
}

void container_set_pin_running(
	const struct container_set *s, void (*pin)(void *arg, const char *diff_id), void *arg)
{
	map_each (s->by_id, struct container, c) {
		if (c->shim) {
			pin_of(c, pin, arg);
		}
	}
}

int container_rename(struct container *c, const char *name, struct err *e)
{
	if (!*name) {
		return err_set(e, ERR_INVALID, "Neither old nor new names may be empty");
	}
	if (map_get(c->set->by_name, name) == c) {
		return err_set(e, ERR_INVALID,
			"Renaming a container with the same name as its current name");
	}
	scoped(free) char *slashed = xasprintf("/%s", name);
	if (container_name_check(c->set, slashed, e) < 0) {
		return err_wrap(e, "Error when allocating new name");
	}
	char *old = c->name;
	c->name = xstrdup(name);
	if (container_record_save(c, e) < 0) {
		free(c->name);
		c->name = old;
		return -1;
	}
	map_remove(c->set->by_name, old);
	map_put(c->set->by_name, c->name, c);
	network_container_renamed(c->set->d.networks, c->id, c->name);
	container_event(c, "rename", json_pack("{s s+}", "oldName", "/", old));
	free(old);
	return 0;
}

int container_resize(struct container *c, unsigned rows, unsigned columns, struct err *e)
{
	if (!container_is_running(c) && c->state != CONTAINER_STARTING) {
		return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	}
	if (c->shim) {
		char height[12];
		char width[12];
		shim_resize(c->shim, rows, columns);
		snprintf(height, sizeof(height), "%u", rows);
		snprintf(width, sizeof(width), "%u", columns);
		container_event(
			c, "resize", json_pack("{ss ss}", "height", height, "width", width));
	}
	return 0;
}

void container_set_free(struct container_set *s)
{
	s->closing = true;
	delay_cancel(s->policies);
	delay_cancel(s->boot_look);
	container_groups_free(s);
	map_each (s->by_id, struct container, probed) {
		health_stop(probed);
	}
	plug_unlisten(s);
	storage_unlisten(s);
	volume_watches_free(s);
	patience_free(s->patience);
	execs_free(s);
	stats_free(s);
	map_each (s->by_id, struct container, c) {
		shim_free(c->shim);
		oom_stop(c);
		delay_cancel(c->restart_delay);
		delay_cancel(c->kill_delay);
		waits_free(c);
		container_free(c);
	}
	map_free(s->by_id);
	map_free(s->by_name);
	map_free(s->execs);
	free(s);
}
