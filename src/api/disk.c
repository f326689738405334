/* GET /system/df: what takes room. */
#include "api/call.h"
#include "api/handlers.h"
#include "api/shapes.h"
#include "base/clock.h"
#include "base/json.h"
#include "container/container.h"
#include "image/image.h"
#include "volume/volume.h"

void system_df(struct call *c)
{
	const struct api_deps *d = &c->api->d;
	json_t *images = json_array();
	size_t pos = 0;
	for (struct image *i; (i = image_next(d->images, &pos));) {
		json_t *row = shape_image_summary(i, d->containers);
		json_put(row, "SharedSize", json_integer(image_shared_bytes(d->images, i)));
		json_array_append_new(images, row);
	}
	json_t *containers = json_array();
	pos = 0;
	for (struct container *k; (k = container_next(d->containers, &pos));) {
		json_array_append_new(containers, container_summary(k, true, clock_real_ns()));
	}
	json_t *volumes = json_array();
	pos = 0;
	for (struct volume *v; (v = volume_next(d->volumes, &pos));) {
		json_array_append_new(volumes, shape_volume_usage(v, d->containers));
	}
	call_reply_json(c, 200,
		json_pack("{sI so so so s[]}", "LayersSize",
			(json_int_t)image_layers_bytes(d->images), "Images", images, "Containers",
			containers, "Volumes", volumes, "BuildCache"));
}
