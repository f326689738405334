#include "api/call.h"
#include "api/filters.h"
#include "api/handlers.h"
#include "api/shapes.h"
#include "base/json.h"
#include "base/path.h"
#include "base/strv.h"
#include "container/container.h"
#include "volume/volume.h"

#include <fcntl.h>

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
	static const char *const allowed[] = {
		"dangling", "driver", "label", "label!", "name", NULL};
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
	}
}

static void create_with(struct call *c, const json_t *body)
{
	struct err e;
	const char *name;
	const char *driver;
	json_t *labels;
	json_t *options;
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
	const char *user = container_using_volume(d->containers, volume_name(v));
	if (user) {
		err_set(&e, ERR_CONFLICT, "remove %s: volume is in use - [%s]", volume_name(v),
			user);
		call_reply_error(c, &e);
		return;
	}
	if (volume_remove(d->volumes, v, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	call_reply_empty(c, 204);
}

static int64_t usage_bytes(const struct volume *v)
{
	int64_t bytes = 0;
	path_tree_size(AT_FDCWD, volume_mountpoint(v), &bytes);
	return bytes;
}

json_t *shape_volume_usage(const struct volume *v, const struct container_set *containers)
{
	json_t *o = volume_inspect(v);
	json_put(o, "UsageData",
		json_pack("{sI si}", "Size", (json_int_t)usage_bytes(v), "RefCount",
			container_using_volume(containers, volume_name(v)) ? 1 : 0));
	return o;
}

void volumes_prune(struct call *c)
{
	static const char *const allowed[] = {"all", "label", "label!", NULL};
	const struct api_deps *d = &c->api->d;
	struct err e;
	bool all;
	scoped(filters) struct filters *f = filters_read(c, allowed, &e);
	if (!f || filters_bool(f, "all", c->version < 42, &all, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	scoped(strv) struct strv doomed = STRV_INIT;
	size_t pos = 0;
	for (struct volume *v; (v = volume_next(d->volumes, &pos));) {
		scoped(json) json_t *row = volume_inspect(v);
		if ((all || volume_anonymous(v)) &&
			!container_using_volume(d->containers, volume_name(v)) &&
			filters_match_labels(f, json_object_get(row, "Labels"))) {
			strv_add(&doomed, volume_name(v));
		}
	}
	json_int_t bytes = 0;
	json_t *deleted = json_array();
	for (size_t i = 0; i < doomed.n; i++) {
		struct volume *v = volume_find(d->volumes, doomed.v[i], &e);
		int64_t size = v ? usage_bytes(v) : 0;
		if (v && volume_remove(d->volumes, v, &e) == 0) {
			bytes += size;
			json_array_append_new(deleted, json_string(doomed.v[i]));
		}
	}
	call_reply_json(
		c, 200, json_pack("{so sI}", "VolumesDeleted", deleted, "SpaceReclaimed", bytes));
}
