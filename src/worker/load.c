/* Job "load": the images of an archive, as `docker save`, skopeo and buildx write them.
 *
 * fd 0    a tar, plain or compressed, with manifest.json (Docker) or index.json (OCI image-spec
 * image-layout.md) request {"tmp": {}, "platform": "" or the one that is wanted} (layers.h) asks
 * {"ask": "layer", ...} (pull.c) about layers whose file is named after their diff id, "add-layer"
 * (layers.h) result  {"images":
 * [{"config": exact text, "references": [canonical], "digest": ""}]}
 */
#include <unistd.h>

#include "base/json.h"
#include "worker/jobs.h"
#include "worker/load.h"

json_t *worker_load(struct rpc *r, const json_t *request, struct err *e)
{
	struct load l = {.rpc = r,
		.request = request,
		.progress = {.rpc = r},
		.files = map_new(),
		.digests = map_new(),
		.images = json_array()};
	json_t *result = NULL;
	l.must_match = *json_str(request, "platform");
	if (platform_parse(json_str(request, "platform"), &l.want, e) == 0 &&
		load_read(&l, e) == 0 && load_images(&l, e) == 0 &&
		layers_settle(request, e) == 0) {
		result = json_object();
		json_put(result, "images", json_incref(l.images));
	}
	load_files_free(&l);
	json_decref(l.images);
	return result;
}
