/* A layer from another engine, before the registry is asked. */
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "tree/stream.h"
#include "worker/peer.h"
#include "worker/pull.h"

/* How much larger than the registry's blob a peer's plain tar may be: a bound for what is written
 * before its digest is known. What passes it comes from the registry. */
#define PEER_RATIO_MAX 10
#define PEER_SLACK (32 << 20)

/* The plain tar, unpacked in the directory that *ret names when it is the layer. ERR_NOT_FOUND: the
 * peer does not have it. */
static int fetch_from_peer(
	struct pull *p, size_t i, const char *url, struct layer *ret, struct err *e)
{
	const struct descriptor *want = &p->manifest.layers[i];
	const int64_t limit = want->size < INT64_MAX / PEER_RATIO_MAX - PEER_SLACK
				      ? want->size * PEER_RATIO_MAX + PEER_SLACK
				      : INT64_MAX;
	scoped(stream_free) struct stream *tar = peer_layer(url, p->diff_ids.v[i], limit);
	scoped(stream_free) struct stream *metered = layers_meter_new(
		tar, &p->progress, want->digest + strlen("sha256:"), "Downloading from a peer", 0);
	struct layer made;
	int n = p->n_dirs++;
	if (layer_unpack(p->request, n, metered, true, &made, e) < 0) {
		return -1;
	}
	if (strcmp(made.diff_id, p->diff_ids.v[i]) != 0) {
		layer_drop(p->request, n);
		return err_set(e, ERR_INVALID, "%.200s gave another layer", url);
	}
	*ret = made;
	return 0;
}

/* A peer that has failed is not asked again by this pull: it may take its seconds for each layer.
 */
bool pull_from_peers(struct pull *p, size_t i, struct layer *ret)
{
	const json_t *peers =
		json_object_get(json_object_get(p->request, "registry"), "image-peers");
	size_t k;
	json_t *url;
	json_array_foreach (peers, k, url) {
		struct err e;
		const unsigned bit = 1u << (k % 32);
		if (atomic_load(&p->bad_peers) & bit || atomic_load(&p->progress.stop)) {
			continue;
		}
		if (fetch_from_peer(p, i, json_string_value(url), ret, &e) == 0) {
			return true;
		}
		if (e.kind != ERR_NOT_FOUND) {
			atomic_fetch_or(&p->bad_peers, bit);
		}
	}
	return false;
}
