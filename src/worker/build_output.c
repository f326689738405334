/* What becomes of a build: an image in the store. */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "worker/build.h"
#include "worker/rpc.h"
#include "worker/sync.h"

/* What the image is, whenever it was made: a build that changes nothing gives the same image again.
 */
static void timeless_key(const json_t *image, char key[static 65])
{
	scoped(json) json_t *copy = json_deep_copy(image);
	size_t i;
	json_t *entry;
	json_object_del(copy, "created");
	json_array_foreach (json_object_get(copy, "history"), i, entry) {
		json_object_del(entry, "created");
	}
	scoped(free) char *text = json_text(copy);
	memset(key, '0', 64);
	key[64] = '\0';
	build_mix(key, text);
}

static json_t *finish_config(struct build_stage *s)
{
	char now[CLOCK_TEXT_MAX];
	json_t *image = s->c.image;
	json_put_str(image, "created", clock_format(build_now_ns(s->target->b), now));
	json_object_del(image, "container");
	json_object_del(
		image, "container_config"); /* of a base that Docker's classic builder made */
	json_object_del(image, "id");
	json_object_del(image, "parent");
	json_t *rootfs = json_object();
	json_put_str(rootfs, "type", "layers");
	json_put(rootfs, "diff_ids", json_strv(&s->layers));
	json_put(image, "rootfs", rootfs);
	return image;
}

static json_t *add_image(struct build *b, struct build_stage *s, struct err *e)
{
	char key[65];
	if (sync_path(b->layers_dir, e) < 0) { /* layers.h layers_settle */
		return NULL;
	}
	json_t *image = finish_config(s);
	timeless_key(image, key);
	scoped(free) char *text = json_text(image);
	json_t *question = json_pack("{ss ss ss}", "ask", "add-image", "config", text, "key", key);
	json_t *tags = json_object_get(b->options, "tags");
	json_put(question, "tags", tags ? json_incref(tags) : json_array());
	json_put(question, "fresh", json_boolean(b->no_cache || b->epoch_ns >= 0));
	return rpc_ask(b->rpc, question, e);
}

static void say_result(struct build *b, const json_t *added)
{
	const char *id = json_str(added, "id");
	if (!b->vertices) {
		rpc_send(b->rpc, json_pack("{s{ss}}", "aux", "ID", id));
	}
	build_say(b->events, NULL, "Successfully built %.12s\n",
		text_starts(id, "sha256:") ? id + 7 : id);
	size_t i;
	json_t *tag;
	json_array_foreach (json_object_get(added, "tags"), i, tag) {
		build_say(b->events, NULL, "Successfully tagged %s\n", json_string_value(tag));
	}
}

json_t *build_output(struct build *b, struct err *e)
{
	struct build_stage *s = build_target_stage(&b->targets[0]);
	int vertex = build_event_vertex(b->events, &s->last_vertex, 1, "exporting to image");
	build_event_begin(b->events, vertex);
	scoped(json) json_t *added = add_image(b, s, e);
	build_event_end(b->events, vertex, false, added ? NULL : e);
	if (!added) {
		return NULL;
	}
	say_result(b, added);
	return json_pack("{ss}", "id", json_str(added, "id"));
}
