/* One layer of a pull: from the registry, or from what an earlier pull has kept of it, to a
 * directory that the daemon has recorded.
 *
 * The whole of a pull is synced once, or once for every SYNC_BYTES: a sync waits for everything
 * that the file system has to write, also for others. */
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "worker/layers_progress.h"
#include "worker/partial.h"
#include "worker/pull.h"
#include "worker/registry.h"
#include "worker/rpc.h"
#include "tree/unpack.h"

#define SYNC_BYTES (256 << 20)
#define PACKED_AT_BEST 10
#define ASKED_BYTES_MIN (32 << 10)

static void short_id(const struct pull *p, size_t i, char ret[static ID_SHORT_LEN + 1])
{
	snprintf(ret, ID_SHORT_LEN + 1, "%.12s", p->manifest.layers[i].digest + strlen("sha256:"));
}

void pull_say(struct pull *p, size_t i, const char *status)
{
	char id[ID_SHORT_LEN + 1];
	short_id(p, i, id);
	layers_say(&p->progress, id, status);
}

void pull_fail(struct pull *p, const struct err *e)
{
	pthread_mutex_lock(&p->lock);
	if (!p->failed) {
		p->error = *e;
		p->failed = true;
	}
	pthread_mutex_unlock(&p->lock);
	atomic_store(&p->progress.stop, true);
}

/* --- room --- */

static int add_size(int64_t *total, int64_t size, struct err *e)
{
	return __builtin_add_overflow(*total, size, total)
		       ? err_set(e, ERR_INVALID, "invalid manifest: its layers are too large")
		       : 0;
}

/* Nobody says how large a layer is unpacked, but gzip at its end. It is not asked for small ones.
 */
static int64_t likely_size(struct pull *p, const struct descriptor *layer)
{
	bool gzip = !*layer->media_type || strstr(layer->media_type, "gzip");
	int64_t plain = gzip && layer->size >= ASKED_BYTES_MIN
				? registry_gzip_size(p->registry, layer->digest, layer->size)
				: -1;
	return plain > layer->size ? plain : layer->size;
}

static int refuse_room(int64_t want, const char *how, uint64_t room, struct err *e)
{
	char needed[32], there[32];
	layers_human_size(want, needed, sizeof(needed));
	layers_human_size((int64_t)room, there, sizeof(there));
	(void)err_set(e, ERR_SYSTEM,
		"cannot pull: the layers are %s %s, and %s is free: no space left on device",
		needed, how, there);
	e->sys = ENOSPC;
	return -1;
}

/* Layers are seldom packed to less than a tenth: with that much room nothing is asked. */
int pull_check_room(struct pull *p, struct err *e)
{
	int64_t packed = 0;
	int64_t plain = 0;
	const char *dir = json_str(json_object_get(p->request, "tmp"), "dir");
	struct statvfs fs;
	for (size_t i = 0; i < p->manifest.n_layers; i++) {
		int64_t size = p->steps[i] == STEP_FETCH ? p->manifest.layers[i].size : 0;
		if (add_size(&packed, size, e) < 0) {
			return -1;
		}
	}
	if (packed == 0 || statvfs(dir, &fs) < 0) {
		return 0;
	}
	uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
	room -= room < UNPACK_RESERVE_BYTES ? room : UNPACK_RESERVE_BYTES;
	if ((uint64_t)packed > room) {
		return refuse_room(packed, "compressed", room, e);
	}
	if ((uint64_t)packed <= room / PACKED_AT_BEST) {
		return 0;
	}
	for (size_t i = 0; i < p->manifest.n_layers; i++) {
		if (p->steps[i] == STEP_FETCH &&
			add_size(&plain, likely_size(p, &p->manifest.layers[i]), e) < 0) {
			return -1;
		}
	}
	return (uint64_t)plain <= room ? 0 : refuse_room(plain, "unpacked", room, e);
}

/* --- fetch --- */

static int read_and_verify(
	struct pull *p, size_t i, struct stream *blob, struct layer *ret, struct err *e)
{
	const struct descriptor *want = &p->manifest.layers[i];
	char id[ID_SHORT_LEN + 1];
	short_id(p, i, id);
	scoped(stream_free) struct stream *metered =
		layers_meter_new(blob, &p->progress, id, "Downloading", want->size);
	scoped(stream_free) struct stream *packed = stream_digest_new(metered);
	struct layer made;
	int n = p->n_dirs++;
	if (layer_unpack(p->request, n, packed, true, &made, e) < 0) {
		return -1;
	}
	pull_say(p, i, "Verifying Checksum");
	if (stream_drain(packed, e) < 0 || layer_verify(packed, want->digest, want->size, e) < 0) {
		layer_drop(p->request, n);
		return -1;
	}
	pull_say(p, i, "Download complete");
	if (strcmp(made.diff_id, p->diff_ids.v[i]) != 0) {
		layer_drop(p->request, n);
		return err_set(e, ERR_INVALID,
			"layer %.19s unpacks to %.19s, but the image configuration says %.19s",
			want->digest, made.diff_id, p->diff_ids.v[i]);
	}
	*ret = made;
	return 0;
}

/* Unpacks while it downloads; nothing of it counts before the digest was right. */
static int fetch_once(
	struct pull *p, size_t i, struct partial *partial, struct layer *ret, struct err *e)
{
	const struct descriptor *want = &p->manifest.layers[i];
	scoped(stream_free) struct stream *rest = registry_blob_from(
		p->registry, want->digest, want->size, partial_bytes(partial), &p->progress.stop);
	scoped(stream_free) struct stream *blob =
		partial ? partial_stream_new(partial, rest) : NULL;
	return read_and_verify(p, i, blob ? blob : rest, ret, e);
}

/* What was kept may be wrong: then it goes, and the layer is fetched from its beginning. */
static int fetch(struct pull *p, size_t i, struct fetched *ret, struct err *e)
{
	const struct descriptor *want = &p->manifest.layers[i];
	const char *dir = json_str(p->request, "partial");
	scoped(partial_free) struct partial *partial = partial_open(dir, want->digest, want->size);
	int r = fetch_once(p, i, partial, &ret->made, e);
	if (r < 0 && e->kind == ERR_INVALID) {
		bool again = partial_bytes(partial) > 0;
		partial_drop(partial);
		partial_free(partial);
		partial = again ? partial_open(dir, want->digest, want->size) : NULL;
		r = again ? fetch_once(p, i, partial, &ret->made, e) : -1;
	}
	if (r < 0) {
		if (e->kind == ERR_INVALID || e->sys == ENOSPC) {
			partial_drop(partial);
		}
		return -1;
	}
	ret->i = i;
	ret->partial = TAKE(partial);
	return 0;
}

/* --- settle --- */

static int record(struct pull *p, const struct fetched *list, size_t n, struct err *e)
{
	if (n == 0) {
		return 0;
	}
	for (size_t k = 0; k < n; k++) {
		int64_t size = p->manifest.layers[list[k].i].size;
		char id[ID_SHORT_LEN + 1];
		short_id(p, list[k].i, id);
		layers_say_bytes(&p->progress, id, "Extracting", size, size);
	}
	if (layers_sync(p->request, e) < 0) {
		return -1;
	}
	for (size_t k = 0; k < n; k++) {
		if (layer_record(p->rpc, &list[k].made, e) < 0) {
			return -1;
		}
		partial_drop(list[k].partial);
		pull_say(p, list[k].i, "Pull complete");
	}
	return 0;
}

int pull_settle(struct pull *p, struct err *e)
{
	pthread_mutex_lock(&p->lock);
	size_t n = p->n_unsynced;
	struct fetched *list = xnew_array(struct fetched, n);
	memcpy(list, p->unsynced, n * sizeof(*list));
	p->n_unsynced = 0;
	p->unsynced_bytes = 0;
	pthread_mutex_unlock(&p->lock);
	int r = record(p, list, n, e);
	for (size_t k = 0; k < n; k++) {
		partial_free(list[k].partial);
	}
	free(list);
	return r;
}

/* True when it is time to settle. */
static bool add_fetched(struct pull *p, const struct fetched *f)
{
	pthread_mutex_lock(&p->lock);
	p->unsynced[p->n_unsynced++] = *f;
	p->unsynced_bytes += f->made.bytes;
	bool enough = --p->left == 0 || p->unsynced_bytes >= SYNC_BYTES;
	pthread_mutex_unlock(&p->lock);
	return enough;
}

int pull_layer(struct pull *p, size_t i)
{
	struct err e;
	struct fetched f = {0};
	if (pull_from_peers(p, i, &f.made)) {
		f.i = i;
		pull_say(p, i, "Download complete");
	} else if (fetch(p, i, &f, &e) < 0) {
		pull_fail(p, &e);
		return -1;
	} else {
		p->hashed[i] = true;
	}
	if (add_fetched(p, &f) && pull_settle(p, &e) < 0) {
		pull_fail(p, &e);
		return -1;
	}
	return 0;
}
