/* worker/layout_docker.h - the two files that make an OCI layout Docker's archive as well:
 * manifest.json and repositories. */
#pragma once
#include <jansson.h>

struct layout_blobs;

struct layout_docker {
	const struct layout_blobs *blobs; /* borrowed */
	json_t *manifest;                 /* of manifest.json: one entry an image */
	json_t *repositories;             /* name -> {tag -> hex of the topmost layer} */
};

void layout_docker_init(struct layout_docker *d, const struct layout_blobs *blobs);
void layout_docker_deinit(struct layout_docker *d);
/* image: as in layout.h; its blobs are there. config: its configuration, parsed. */
void layout_docker_add(struct layout_docker *d, const json_t *image, const json_t *config);
