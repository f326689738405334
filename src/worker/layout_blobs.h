/* worker/layout_blobs.h - the blobs of an OCI layout: texts, and layers that are made again from
 * their recipes. Each is there once. For layout.c and its parts. */
#pragma once
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "tree/stream.h"

struct layout_blob {
	char digest[STREAM_DIGEST_LEN + 1];
	const char *text; /* NULL: a layer; borrowed */
	size_t text_n;
	const char *dir;     /* of a layer; borrowed */
	const char *diff_id; /* of a layer; borrowed */
	char *spooled;       /* path of a layer that was compressed, or NULL */
	int64_t size;
};

struct layout_blobs {
	const json_t *request; /* "layers_dir", "compression", "spool" as in layout.h; borrowed */
	int layers_fd;
	struct layout_blob *v;
	size_t n, room;
};

/* deinit is right also after a failed init. */
int layout_blobs_init(struct layout_blobs *s, const json_t *request, struct err *e);
void layout_blobs_deinit(struct layout_blobs *s);

/* text is borrowed. */
void layout_blobs_add_text(
	struct layout_blobs *s, const char *text, size_t n, char ret_digest[static 72]);
/* layer: {"diff_id", "dir"}, borrowed. One that was added before is not added again. */
int layout_blobs_add_layer(struct layout_blobs *s, const json_t *layer, struct err *e);
void layout_blobs_sort(struct layout_blobs *s); /* by digest; pointers into v are stale then */

const struct layout_blob *layout_blobs_find(const struct layout_blobs *s, const char *digest);
const struct layout_blob *layout_blobs_find_layer(
	const struct layout_blobs *s, const char *diff_id);
const char *layout_blobs_layer_type(const struct layout_blobs *s); /* the media type of all */

#define LAYOUT_NAME_MAX 100
/* Where a layout has the blob; returns ret. */
const char *layout_blob_name(const char *digest, char ret[static LAYOUT_NAME_MAX]);

/* As layout_blob_open. */
struct stream *layout_blobs_open(const struct layout_blobs *s, size_t k, struct err *e);
