/* worker/layers.h - layers on their way from a stream into DATA/layers/tmp/JOB/N, and then to the
 * daemon.
 *
 * The daemon gives each job one directory (request member "tmp": {"dir": absolute, "name": "JOB"})
 * and removes it when the job is done, however it ends. A finished layer, directory and recipe, is
 * synced here; the daemon renames and records it when asked ("add-layer").
 */
#pragma once
#include <jansson.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strv.h"
#include "tree/stream.h"

struct recipe_writer;
struct rpc;

/* Quoted in a line of JSON it is at most twice that (job.h JOB_LINE_MAX). */
#define CONFIG_TEXT_MAX (3u << 20)
/* As Docker's; overlayfs takes 500, but the mount options must fit a page. */
#define LAYERS_MAX 125

struct layer {
	char tmp_name[80]; /* "JOB/N" below DATA/layers/tmp */
	char diff_id[STREAM_DIGEST_LEN + 1];
	int64_t bytes;
};

/* Unpacks into the job's directory number n; packed may be compressed; verified as in unpack.h. The
 * tree is not yet synced. */
int layer_unpack(const json_t *request, int n, struct stream *packed, bool verified,
	struct layer *ret, struct err *e);
/* packed, a digest stage that was read to its end, was this blob. */
int layer_verify(struct stream *packed, const char *digest, int64_t size, struct err *e);
/* Removes a layer that is not wanted after all. */
void layer_drop(const json_t *request, int n);
/* The recipe of layer number n (tree/recipe.h): "N.recipe" in the job's directory. */
struct recipe_writer *layer_recipe_new(int tmp_fd, int n, struct err *e);
void layer_remove(int tmp_fd, int n); /* both of them */
/* Makes all layers that were unpacked durable. */
int layers_sync(const json_t *request, struct err *e);
/* All layers that this job was told of or brought are where they belong, also after a power cut:
 * called before an image that names them is. */
int layers_settle(const json_t *request, struct err *e);
/* Hands a synced layer over; one that the daemon has already is dropped there. */
int layer_record(struct rpc *r, const struct layer *l, struct err *e);
/* The same; the answer's "dir" is where it is. A new reference, or NULL with *e. */
json_t *layer_add(struct rpc *r, const struct layer *l, struct err *e);

/* Checks a configuration (OCI image-spec config.md) and appends its diff ids. */
int config_diff_ids(const char *text, size_t n, struct strv *ret, struct err *e);
