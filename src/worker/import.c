/* Job "import": a root file system as an image of one layer.
 *
 * fd 0    a tar of it, plain or compressed
 * request {"references": [canonical], "message": "", "platform": "", "changes": [Dockerfile
 * instructions], "tmp":
 * {}} result  as of "load"
 */
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "build/config.h"
#include "worker/config_change.h"
#include "worker/jobs.h"
#include "worker/layers.h"
#include "oci/platform.h"

static json_t *new_document(const char *message, const struct platform *of)
{
	const struct platform host = *of;
	char now[CLOCK_TEXT_MAX];
	clock_format(clock_real_ns(), now);
	json_t *doc = json_object();
	json_put_str(doc, "architecture", host.arch);
	if (*host.variant) {
		json_put_str(doc, "variant", host.variant);
	}
	json_put_str(doc, "os", host.os);
	json_put_str(doc, "created", now);
	json_put_str(doc, "comment", message);
	json_put(doc, "config", json_object());
	json_put(doc, "rootfs", json_pack("{ss s[]}", "type", "layers", "diff_ids"));
	json_put(doc, "history", json_pack("[{ss ss}]", "created", now, "comment", message));
	return doc;
}

/* The configuration but for its diff id; bad changes are refused before the archive is read. */
static json_t *make_config(const json_t *request, struct err *e)
{
	struct platform of;
	if (platform_parse(json_str(request, "platform"), &of, e) < 0) {
		return NULL;
	}
	scoped(json) json_t *base = new_document(json_str(request, "message"), &of);
	struct build_config c;
	build_config_for_changes(&c, base);
	int r = config_changes_apply(&c, json_object_get(request, "changes"), e);
	json_t *doc = r < 0 ? NULL : json_incref(c.image);
	build_config_deinit(&c);
	return doc;
}

static int import_layer(struct rpc *r, const json_t *request, struct layer *ret, struct err *e)
{
	scoped(stream_free) struct stream *in = stream_from_fd(STDIN_FILENO);
	if (layer_unpack(request, 0, in, false, ret, e) < 0 || stream_drain(in, e) < 0) {
		return -1;
	}
	return layers_sync(request, e) < 0 || layer_record(r, ret, e) < 0
		       ? -1
		       : layers_settle(request, e);
}

json_t *worker_import(struct rpc *r, const json_t *request, struct err *e)
{
	struct layer layer;
	scoped(json) json_t *doc = make_config(request, e);
	if (!doc || import_layer(r, request, &layer, e) < 0) {
		return NULL;
	}
	json_array_append_new(json_object_get(json_object_get(doc, "rootfs"), "diff_ids"),
		json_string(layer.diff_id));
	scoped(free) char *text = json_text(doc);
	return json_pack("{s[{ss sO ss}]}", "images", "config", text, "references",
		json_object_get(request, "references"), "digest", "");
}
