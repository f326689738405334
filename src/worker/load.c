/* Job "load": the images of an archive, as `docker save`, skopeo and buildx write them.
 *
 * fd 0    a tar, plain or compressed, with manifest.json (Docker) or index.json (OCI image-spec
 * image-layout.md)
 * request {"tmp": {}, "platforms": [] for what this machine runs, one or several that are wanted,
 * or "all"} (layers.h) asks    {"ask": "layer", ...} (pull.c) about layers whose file is named
 * after their diff id, "add-layer" (layers.h) result  {"images": [{"config": exact text,
 * "references": [canonical], "digest": ""}]}; where several platforms were wanted and an index
 * holds them: {"index": its digest, "members":
 *         [{"config"}], "references"}
 */
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "worker/jobs.h"
#include "worker/load.h"

static int read_platforms(struct load *l, struct err *e)
{
	size_t i;
	json_t *item;
	const json_t *platforms = json_object_get(l->request, "platforms");
	json_array_foreach (platforms, i, item) {
		const char *text = json_string_value(item);
		if (strcmp(text, "all") == 0) {
			l->all = true;
		} else if (l->n_wants == LOAD_PLATFORMS_MAX) {
			return err_set(
				e, ERR_INVALID, "more than %d platforms", LOAD_PLATFORMS_MAX);
		} else if (platform_parse(text, &l->wants[l->n_wants++], e) < 0) {
			return -1;
		}
	}
	l->several = l->all || l->n_wants > 1;
	l->must_match = l->n_wants == 1 && !l->all;
	platform_host(&l->want);
	if (l->must_match) {
		l->want = l->wants[0];
	}
	return 0;
}

json_t *worker_load(struct rpc *r, const json_t *request, struct err *e)
{
	struct load l = {.rpc = r,
		.request = request,
		.progress = {.rpc = r},
		.files = map_new(),
		.digests = map_new(),
		.images = json_array()};
	json_t *result = NULL;
	if (read_platforms(&l, e) == 0 && load_read(&l, e) == 0 && load_images(&l, e) == 0 &&
		layers_settle(request, e) == 0) {
		result = json_object();
		json_put(result, "images", json_incref(l.images));
	}
	load_files_free(&l);
	json_decref(l.images);
	return result;
}
