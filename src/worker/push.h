/* worker/push.h - the layers of a push: where each is already, and the sending of the others.
 */
#pragma once
#include <jansson.h>
#include <pthread.h>

#include "base/map.h"
#include "base/text.h"
#include "worker/layers.h"
#include "worker/layers_progress.h"
#include "worker/manifest.h"
#include "worker/registry_upload.h"

struct push_layer {
	char diff_id[STREAM_DIGEST_LEN + 1];
	char dir[64]; /* below layers_dir */
	int64_t bytes;
	json_t *blobs;           /* known ones, the best first; owned */
	struct descriptor there; /* what the repository has, when it is done */
};

struct push_layers {
	struct rpc *rpc;
	struct registry *registry;
	const char *layers_dir;
	size_t parallel;
	const char *compression; /* of what is sent: "" or "gzip", "zstd", "uncompressed" */
	struct layers_progress progress;
	struct map *done; /* diff id -> struct descriptor, over all tags of the job */
	struct push_layer v[LAYERS_MAX];
	size_t n;

	pthread_mutex_t lock; /* what follows, and done */
	size_t left;          /* layers that nobody has taken: v[left - 1] is next */
	bool failed;
	struct err error;
};

/* All but l is borrowed; config as of registry_new. */
void push_layers_init(struct push_layers *l, struct rpc *r, struct registry *registry,
	const char *layers_dir, const json_t *config);
void push_layers_deinit(struct push_layers *l);

/* The layers of the next image, {"diff_id", "dir", "size", "blobs"} lowest first; kept: the
 * manifest it came with, whose blobs are preferred, or NULL. */
int push_layers_take(
	struct push_layers *l, const json_t *layers, const struct manifest *kept, struct err *e);
/* Appends the paths of other repositories of ref's registry that have one of the layers. */
void push_layers_sources(const struct ref *ref, const json_t *layers, struct strv *ret);
/* Sees to it that the repository has them all. */
int push_layers_run(struct push_layers *l, struct err *e);

/* worker/push_bytes.c: one layer as the registry gets it, from its directory and recipe; the stages
 * work in threads. */
struct push_bytes {
	const char *layers_dir, *dir, *diff_id, *compression;
	int64_t bytes;
	struct layers_progress *progress;
	char id[ID_SHORT_LEN + 1];
};
struct stream *push_bytes_open(void *owner, struct err *e); /* a struct push_bytes */
