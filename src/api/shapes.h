/* api/shapes.h - JSON shapes that several resources print, by API version where that matters. Each
 * returns a new object. */
#pragma once
#include <jansson.h>
#include <stdint.h>

struct container;
struct container_set;
struct image;
struct image_store;
struct volume;

/* PRETTY_NAME of /etc/os-release, "Linux" without one; the caller's. */
char *shape_os_name(void);
/* A row of GET /images/json; containers NULL: not counted. */
json_t *shape_image_summary(struct image_store *s, const struct image *i,
	const struct container_set *containers, int api_version);
void images_sort(struct image **v, size_t n); /* the newest first, as lists show them */
/* A row of GET /containers/json whose size is still to come, and its coming (SizeRw is left out
 * when nothing was written, as in dockerd). */
json_t *shape_container_unsized(const struct container *k, int64_t now_ns);
void shape_container_size(json_t *row, int64_t written_bytes);
/* A volume of GET /system/df; the size is still to come. */
json_t *shape_volume_usage(const struct volume *v, const struct container_set *containers);
/* A record of build/usage.h. */
json_t *shape_build_cache(const json_t *record, int api_version);
