#include "build/pending.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "build/builder.h"
#include "image/image.h"
#include "store/store.h"

struct pending_layers {
	struct strv layers;
	json_t *keys; /* key -> step */
};

struct pending_layers *pending_new(void)
{
	struct pending_layers *p = xnew(struct pending_layers);
	p->keys = json_object();
	return p;
}

void pending_free(struct pending_layers *p)
{
	strv_deinit(&p->layers);
	json_decref(p->keys);
	free(p);
}

bool pending_is_empty(const struct pending_layers *p)
{
	return p->layers.n == 0;
}

void pending_add(struct pending_layers *p, const char *diff_id)
{
	if (!strv_has(&p->layers, diff_id)) {
		strv_add(&p->layers, diff_id);
	}
}

bool pending_add_key(struct pending_layers *p, const json_t *step)
{
	bool waits = strv_has(&p->layers, json_str(step, "diff_id"));
	if (waits) {
		json_put(p->keys, json_str(step, "key"), json_incref((json_t *)step));
	}
	return waits;
}

const char *pending_find(const struct pending_layers *p, const char *key)
{
	const json_t *step = json_object_get(p->keys, key);
	return step ? json_str(step, "diff_id") : NULL;
}

static int record_all(struct pending_layers *p, struct builder *b, struct err *e)
{
	const char *key;
	json_t *step;
	for (size_t k = 0; k < p->layers.n; k++) {
		if (image_settle_layer(b->d.images, p->layers.v[k], e) < 0) {
			return -1;
		}
	}
	json_object_foreach (p->keys, key, step) {
		if (builder_cache_put_step(b, step, e) < 0) {
			return -1;
		}
	}
	return 0;
}

int pending_settle(struct pending_layers *p, struct builder *b, struct err *e)
{
	struct err ignored;
	if (store_begin(b->d.store, e) < 0) {
		return -1;
	}
	int r = record_all(p, b, e);
	if (store_commit(b->d.store, r < 0 ? &ignored : e) < 0) {
		r = -1;
	}
	strv_clear(&p->layers);
	json_object_clear(p->keys);
	return r;
}
