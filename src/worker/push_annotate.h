/* worker/push_annotate.h - the annotations of a build in what is pushed of it.
 *
 * annotations {"index": {}, "images": {image id: {"manifest": {}, "manifest-descriptor": {}}}}, the
 * innermost KEY: value; NULL: none.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"

/* Whether the manifest of the image gets any. */
bool push_is_annotated(const json_t *annotations, const char *image_id);
/* text: a manifest as manifest_write makes it; it becomes OCI's, for Docker's has no annotations.
 */
void push_annotate(const json_t *annotations, const char *image_id, struct buf *text);
/* Into an index or one of its entries: true when there was something to put. kind: "index", or
 * "manifest-descriptor" with the image's id. */
bool push_annotate_part(
	const json_t *annotations, const char *kind, const char *image_id, json_t *part);
