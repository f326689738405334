#include <string.h>

#include "api/call.h"
#include "api/filters.h"
#include "api/handlers.h"
#include "api/measure.h"
#include "api/shapes.h"
#include "base/json.h"
#include "container/container.h"
#include "volume/volume.h"

static struct volume *find(struct call *c)
{
	struct err e;
	struct volume *v = volume_find(c->api->d.volumes, c->args[0], &e);
	if (!v) {
		call_reply_error(c, &e);
	}
	return v;
}

void volumes_list(struct call *c)
{
	static const char *const allowed[] = {"dangling", "driver", "label", "name", NULL};
	const struct api_deps *d = &c->api->d;
	struct err e;
	bool dangling;
	scoped(filters) struct filters *f = filters_read(c, allowed, &e);
	if (!f || filters_bool(f, "dangling", false, &dangling, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	json_t *rows = json_array();
	size_t pos = 0;
	for (struct volume *v; (v = volume_next(d->volumes, &pos));) {
		scoped(json) json_t *row = volume_inspect(v);
		bool used = container_using_volume(d->containers, volume_name(v)) != NULL;
		if ((!filters_has(f, "dangling") || used != dangling) &&
			filters_match(f, "driver", "local") &&
			filters_match_name(f, "name", volume_name(v)) &&
			filters_match_labels(f, json_object_get(row, "Labels"))) {
			json_array_append(rows, row);
		}
	}
	call_reply_json(c, 200, json_pack("{so sn}", "Volumes", rows, "Warnings"));
}

void volumes_inspect(struct call *c)
{
	struct volume *v = find(c);
	if (v) {
		call_reply_json(c, 200, volume_inspect(v));
		container_volume_shown(c->api->d.containers, v);
	}
}

static void create_with(struct call *c, const json_t *body)
{
	struct err e;
	const char *name;
	const char *driver;
	json_t *labels;
	json_t *options;
	if (json_is_object(json_object_get(body, "ClusterVolumeSpec"))) {
		absent_swarm(c);
		return;
	}
	if (json_get_str(body, "Name", &name, &e) < 0 ||
		json_get_str(body, "Driver", &driver, &e) < 0 ||
		json_get_object(body, "Labels", &labels, &e) < 0 ||
		json_get_object(body, "DriverOpts", &options, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	struct volume *v = volume_create(c->api->d.volumes, name, driver, labels, options, &e);
	if (!v) {
		call_reply_error(c, &e);
		return;
	}
	call_reply_json(c, 201, volume_inspect(v));
}

void volumes_create(struct call *c)
{
	call_body_json(c, true, create_with);
}

static struct volume *find_unused(struct call *c, const char *name, struct err *e)
{
	const struct api_deps *d = &c->api->d;
	struct volume *v = volume_find(d->volumes, name, e);
	const char *user = v ? container_using_volume(d->containers, name) : NULL;
	if (user) {
		(void)err_set(e, ERR_CONFLICT, "remove %s: volume is in use - [%s]", name, user);
		return NULL;
	}
	return v;
}

/* Somebody may have come, or removed it, meanwhile. */
static void remove_released(void *owner, const struct err *failed)
{
	struct call *c = owner;
	struct err e;
	struct volume *v = find_unused(c, c->args[0], &e);
	if (v && failed) {
		e = *failed;
		call_reply_error(c, &e);
	} else if (!v || volume_remove(c->api->d.volumes, v, &e) < 0) {
		call_reply_error(c, &e);
	} else {
		call_reply_empty(c, 204);
	}
	call_unref(c);
}

void volumes_remove(struct call *c)
{
	const struct api_deps *d = &c->api->d;
	struct err e;
	struct volume *v = volume_find(d->volumes, c->args[0], &e);
	if (!v && call_query_bool(c, "force", false)) {
		call_reply_empty(c, 204);
		return;
	}
	if (!v) {
		call_reply_error(c, &e);
		return;
	}
	v = find_unused(c, c->args[0], &e);
	if (!v) {
		call_reply_error(c, &e);
		return;
	}
	container_release_volume(d->containers, v, remove_released, call_ref(c));
}

static int count_users(const struct container_set *s, const char *volume)
{
	int n = 0;
	size_t pos = 0;
	for (struct container *k; (k = container_next(s, &pos));) {
		n += container_uses_volume(k, volume);
	}
	return n;
}

json_t *shape_volume_usage(const struct volume *v, const struct container_set *containers)
{
	json_t *o = volume_inspect(v);
	json_put(o, "UsageData",
		json_pack("{si si}", "Size", -1, "RefCount",
			count_users(containers, volume_name(v))));
	return o;
}

/* Only what has no user when the sizes are known goes: a container may have come. */
static void prune_sized(struct call *c, json_t *take_names, const json_t *sizes)
{
	const struct api_deps *d = &c->api->d;
	scoped(json) json_t *names = take_names;
	json_t *deleted = json_array();
	json_int_t bytes = 0;
	size_t i;
	json_t *name;
	json_array_foreach (names, i, name) {
		struct err e;
		struct volume *v = volume_find(d->volumes, json_string_value(name), &e);
		if (v && !container_using_volume(d->containers, volume_name(v)) &&
			volume_remove(d->volumes, v, &e) == 0) {
			json_array_append(deleted, name);
			bytes += json_integer_value(json_array_get(sizes, i));
		}
	}
	call_publish_prune(c, "volume", bytes);
	call_reply_json(c, 200,
		json_pack("{so sI}", "VolumesDeleted", json_array_or_null(deleted),
			"SpaceReclaimed", bytes));
}

/* PUT /wherry/v1/volumes/NAME/credentials {"credentials": "username=...\npassword=..."} */
static void put_credentials(struct call *c, const json_t *body)
{
	struct err e;
	const char *text;
	struct volume *v = find(c);
	if (!v) {
		return;
	}
	if (json_get_str(body, "credentials", &text, &e) < 0 ||
		volume_set_credentials(
			c->api->d.volumes, v, text ? text : "", text ? strlen(text) : 0, &e) < 0) {
		if (e.kind != ERR_UNCHANGED) {
			call_reply_error(c, &e);
			return;
		}
	} else {
		container_volume_retry(c->api->d.containers, v);
	}
	call_reply_empty(c, 204);
}

void volumes_put_credentials(struct call *c)
{
	call_body_json(c, false, put_credentials);
}

/* Those with options are somebody's disk or server: dockerd leaves them, too. */
void volumes_prune(struct call *c)
{
	static const char *const allowed[] = {"all", "label", "label!", NULL};
	const struct api_deps *d = &c->api->d;
	struct err e;
	bool all;
	scoped(filters) struct filters *f = filters_read(c, allowed, &e);
	if (!f || filters_bool(f, "all", false, &all, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	all = all || c->version < 42; /* named ones too, before */
	json_t *names = json_array();
	json_t *paths = json_array();
	size_t pos = 0;
	for (struct volume *v; (v = volume_next(d->volumes, &pos));) {
		scoped(json) json_t *row = volume_inspect(v);
		if ((all || volume_anonymous(v)) && !volume_has_options(v) &&
			!container_using_volume(d->containers, volume_name(v)) &&
			filters_match_labels(f, json_object_get(row, "Labels"))) {
			json_array_append_new(names, json_string(volume_name(v)));
			json_array_append_new(paths, json_string(volume_mountpoint(v)));
		}
	}
	measure(c, paths, names, prune_sized);
}
