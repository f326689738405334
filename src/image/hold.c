/* Layers that stay although no image names them yet, or any more: a work that was told of a layer
 * will name it in the image it makes; who reads an image's layers (save, push, verify) must not
 * lose them to a removal meanwhile. */
#include <stdlib.h>

#include "base/mem.h"
#include "image/store.h"

struct image_hold {
	struct list node;
	struct image_store *store;
	struct map *layers; /* diff ids as keys */
};

struct image_hold *image_hold_new(struct image_store *s)
{
	struct image_hold *h = xnew(struct image_hold);
	h->store = s;
	h->layers = map_new();
	list_append(&s->holds, &h->node);
	return h;
}

void image_hold_layer(struct image_hold *h, const char *diff_id)
{
	map_put(h->layers, diff_id, h);
}

void image_hold_image(struct image_hold *h, const struct image *i)
{
	for (size_t k = 0; k < i->layers.n; k++) {
		image_hold_layer(h, i->layers.v[k]);
	}
}

void image_hold_free(struct image_hold *h)
{
	if (!h) {
		return;
	}
	struct image_store *s = h->store;
	list_remove(&h->node);
	map_free(h->layers);
	free(h);
	if (s->collect_wanted) {
		image_collect(s);
	}
}

bool image_is_held(const struct image_store *s, const char *diff_id)
{
	list_each (pos, &s->holds) {
		const struct image_hold *h = container_of(pos, struct image_hold, node);
		if (map_get(h->layers, diff_id)) {
			return true;
		}
	}
	return false;
}
