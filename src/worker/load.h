/* worker/load.h - what the files of job "load" share; nobody else includes it.
 *
 * An archive comes once, in whatever order, and names its parts at its end. So each file is judged
 * by its first bytes as it comes: a layer is unpacked at once, a small JSON document that can
 * matter is kept, all else is skipped. What nobody names in the end goes with the job's directory.
 */
#pragma once
#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/strv.h"
#include "worker/layers.h"
#include "worker/layers_progress.h"
#include "oci/platform.h"

#define LOAD_TEXT_MAX (4u << 20)   /* one document */
#define LOAD_TEXTS_MAX (32u << 20) /* all that are kept at the same time */
#define LOAD_CONFIGS_MAX \
	(3u << 20) /* of all images together: the result is one line (job.h JOB_LINE_MAX) */
#define LOAD_PLATFORMS_MAX 16
#define LOAD_FILES_MAX 20000 /* that are remembered */

enum load_kind {
	LOAD_TEXT,
	LOAD_LAYER,  /* unpacked as the job's directory number n */
	LOAD_HAVE,   /* a layer that the engine has already; diff_id is set, nothing was unpacked */
	LOAD_BROKEN, /* a layer that could not be unpacked, for the reason in text */
	LOAD_LINK,   /* to the name in text */
};

struct load_file {
	enum load_kind kind;
	struct buf text;
	int n;
	bool recorded; /* the daemon has it */
	struct layer layer;
};

struct load {
	struct rpc *rpc;
	const json_t *request;
	struct layers_progress progress;
	struct map *files;   /* name -> struct load_file, owned */
	struct map *digests; /* "sha256:..." of a file's bytes -> the same */
	size_t text_bytes;
	int n_layers; /* directories used */

	struct platform want;
	bool must_match;   /* want was asked for: nothing else is loaded */
	bool several, all; /* of an index all platforms in wants, or all: they stay together */
	struct platform wants[LOAD_PLATFORMS_MAX];
	size_t n_wants;
	json_t *images; /* the result */
	size_t config_bytes;
	bool synced;
};

/* load_files.c: reads the archive to its end. */
int load_read(struct load *l, struct err *e);
/* A file by its name, through links; NULL when the archive does not hold it, or nothing that could
 * matter. */
struct load_file *load_find(const struct load *l, const char *name);
struct load_file *load_find_digest(const struct load *l, const char *digest);
void load_files_free(struct load *l);

/* load_index.c: the images that manifest.json or index.json names, into l->images; their layers
 * become the daemon's. */
int load_images(struct load *l, struct err *e);
