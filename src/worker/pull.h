/* worker/pull.h - what the files of the job "pull" share. Nobody else includes it. */
#pragma once
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/strv.h"
#include "codec/ref.h"
#include "worker/layers.h"
#include "worker/layers_progress.h"
#include "worker/manifest.h"

struct partial;
struct registry;
struct rpc;

enum step { STEP_DONE, STEP_FETCH, STEP_WAIT };

/* A layer that was unpacked and verified, but is perhaps not on disk yet. */
struct fetched {
	size_t i;
	struct layer made;
	struct partial *partial;
};

struct pull {
	struct rpc *rpc;
	const json_t *request;
	struct registry *registry;
	struct ref ref;
	struct manifest manifest;
	char image_digest[STREAM_DIGEST_LEN + 1]; /* of that manifest; not that of an index */
	json_t *manifest_text; /* {"mediaType", "text"} of the image's own, not of an index */
	struct strv diff_ids;
	struct layers_progress progress;
	size_t parallel; /* layers at the same time */
	enum step steps[LAYERS_MAX];
	bool hashed[LAYERS_MAX]; /* the blob came from the registry, and was what it should be */
	atomic_int n_dirs;       /* directories used, over all endpoints */
	atomic_uint bad_peers;   /* a bit each, in their order */

	pthread_mutex_t lock; /* what follows */
	size_t next;
	size_t left; /* layers that are still to be fetched */
	struct fetched unsynced[LAYERS_MAX];
	size_t n_unsynced;
	int64_t unsynced_bytes;
	bool failed;
	struct err error;
};

/* --- pull_peer.c --- */

/* Layer i from an engine of image-peers, unpacked and verified: true. Any thread. */
bool pull_from_peers(struct pull *p, size_t i, struct layer *ret);

/* --- pull_layer.c --- */

/* In Docker's words, for layer i. */
void pull_say(struct pull *p, size_t i, const char *status);

/* The first failure is the pull's, and ends the others. */
void pull_fail(struct pull *p, const struct err *e);

/* Refuses what does not fit: the layers with STEP_FETCH are larger, compressed or as gzip says that
 * they are unpacked, than what is free. */
int pull_check_room(struct pull *p, struct err *e);

/* Fetches, unpacks and verifies layer i; it is recorded with the last one, or when enough has come
 * together. Fails the pull. Any thread. */
int pull_layer(struct pull *p, size_t i);

/* Syncs and records what was fetched; once for all of it. */
int pull_settle(struct pull *p, struct err *e);
