/* GET /system/df: what takes room. */
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/handlers.h"
#include "api/measure.h"
#include "api/shapes.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "build/usage.h"
#include "container/container.h"
#include "image/image.h"
#include "volume/volume.h"

enum usage_kind {
	USAGE_CONTAINER,
	USAGE_IMAGE,
	USAGE_VOLUME,
	USAGE_BUILD_CACHE,
	USAGE_MAX,
};

static const char *const kind_names[USAGE_MAX] = {"container", "image", "volume", "build-cache"};

/* ?type=, which may be repeated, since 1.42; *ret is a set of 1u << kind. */
static int read_types(const struct call *c, unsigned *ret, struct err *e)
{
	*ret = 0;
	const char *type;
	for (size_t i = 0; c->version >= 42 && (type = http_query_nth(c->r, "type", i)); i++) {
		unsigned kind = 0;
		while (kind < USAGE_MAX && strcmp(kind_names[kind], type) != 0) {
			kind++;
		}
		if (kind == USAGE_MAX) {
			return err_set(e, ERR_INVALID, "unknown object type: %.64s", type);
		}
		*ret |= 1u << kind;
	}
	if (*ret == 0) {
		*ret = (1u << USAGE_MAX) - 1;
	}
	return 0;
}

/* Here dockerd has null for no names at all. */
static void put_null_names(json_t *row)
{
	static const char *const keys[] = {"RepoTags", "RepoDigests"};
	for (size_t i = 0; i < 2; i++) {
		if (json_array_size(json_object_get(row, keys[i])) == 0) {
			json_put(row, keys[i], json_null());
		}
	}
}

static json_t *image_rows(const struct call *c)
{
	const struct api_deps *d = &c->api->d;
	json_t *rows = json_array();
	scoped(free) struct image **found = NULL;
	size_t pos = 0;
	size_t n = 0;
	for (struct image *i; (i = image_next(d->images, &pos));) {
		found = xrealloc(found, n + 1, sizeof(struct image *));
		found[n++] = i;
	}
	images_sort(found, n);
	for (size_t i = 0; i < n; i++) {
		json_t *row = shape_image_summary(d->images, found[i], d->containers, c->version);
		json_put(row, "SharedSize", json_integer(image_shared_bytes(d->images, found[i])));
		put_null_names(row);
		json_array_append_new(rows, row);
	}
	return rows;
}

static json_t *container_rows(const struct call *c, json_t *paths)
{
	json_t *rows = json_array();
	int64_t now = clock_real_ns();
	size_t pos = 0;
	for (struct container *k; (k = container_next(c->api->d.containers, &pos));) {
		scoped(free) char *upper = container_upper(k);
		json_array_append_new(paths, json_string(upper));
		json_array_append_new(rows, shape_container_unsized(k, now));
	}
	return rows;
}

static json_t *volume_rows(const struct call *c, json_t *paths)
{
	const struct api_deps *d = &c->api->d;
	json_t *rows = json_array();
	size_t pos = 0;
	for (struct volume *v; (v = volume_next(d->volumes, &pos));) {
		if (volume_has_options(
			    v)) { /* another disk, or a server: dockerd leaves them out */
			continue;
		}
		json_array_append_new(paths, json_string(volume_mountpoint(v)));
		json_array_append_new(rows, shape_volume_usage(v, d->containers));
	}
	return rows;
}

static void usage_sized(struct call *c, json_t *take_doc, const json_t *sizes)
{
	size_t n = 0;
	size_t i;
	json_t *row;
	json_array_foreach (json_object_get(take_doc, "Containers"), i, row) {
		shape_container_size(row, json_integer_value(json_array_get(sizes, n++)));
	}
	json_array_foreach (json_object_get(take_doc, "Volumes"), i, row) {
		json_put(json_object_get(row, "UsageData"), "Size",
			json_incref(json_array_get(sizes, n++)));
	}
	call_reply_json(c, 200, take_doc);
}

/* What is answered when the build cache was measured, too. */
struct usage_answer {
	struct call *call; /* a call_ref */
	json_t *doc, *paths;
};

static void measure_rest(struct usage_answer *take_answer)
{
	struct usage_answer a = *take_answer;
	free(take_answer);
	if (json_array_size(a.paths) > 0) {
		measure(a.call, a.paths, a.doc, usage_sized);
	} else {
		json_decref(a.paths);
		call_reply_json(a.call, 200, a.doc);
	}
	call_unref(a.call);
}

static void cache_measured(void *owner, const json_t *records, const struct err *e)
{
	struct usage_answer *a = owner;
	json_t *rows = json_array();
	size_t i;
	json_t *record;
	json_array_foreach (records, i, record) {
		json_array_append_new(rows, shape_build_cache(record, a->call->version));
	}
	json_put(a->doc, "BuildCache", rows); /* what could not be measured is not shown */
	measure_rest(a);
}

/* A type that was not asked for is null. */
void system_df(struct call *c)
{
	struct err e;
	unsigned types;
	if (read_types(c, &types, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	bool images = types & (1u << USAGE_IMAGE);
	json_t *paths = json_array();
	json_t *doc = json_object();
	json_put(doc, "LayersSize",
		json_integer(images ? image_layers_bytes(c->api->d.images) +
					      image_partial_bytes(c->api->d.images)
				    : 0));
	json_put(doc, "Images", images ? image_rows(c) : json_null());
	json_put(doc, "Containers",
		types & (1u << USAGE_CONTAINER) ? container_rows(c, paths) : json_null());
	json_put(
		doc, "Volumes", types & (1u << USAGE_VOLUME) ? volume_rows(c, paths) : json_null());
	json_put(doc, "BuildCache", json_null());
	struct usage_answer *a = xnew(struct usage_answer);
	*a = (struct usage_answer){call_ref(c), doc, paths};
	if (types & (1u << USAGE_BUILD_CACHE)) {
		build_usage(c->api->d.builder, NULL, cache_measured, a);
	} else {
		measure_rest(a);
	}
}
