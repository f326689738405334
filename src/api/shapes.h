/* api/shapes.h - JSON shapes that several resources print. Each returns a new object. */
#pragma once
#include <jansson.h>

struct container_set;
struct image;
struct volume;

json_t *shape_image_summary(
	const struct image *i, const struct container_set *containers); /* GET /images/json */
json_t *shape_volume_usage(
	const struct volume *v, const struct container_set *containers); /* GET /system/df */
