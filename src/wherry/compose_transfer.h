/* wherry/compose_transfer.h - several images from and to their registries at the same time, each
 * with its place in the progress. */
#pragma once
#include "wherry/compose.h"

struct transfer {
	const char *name;     /* in the progress: of the service */
	const char *image;    /* as the file has it */
	const char *platform; /* of a pull; NULL */
	bool tolerated;       /* a failure is only a warning */
	bool failed;
	struct err e; /* when it failed */
};

/* At most --parallel of them at once, 8 without it. What has begun goes on when another one fails:
 * what it has brought is kept. -1 with the first failure that is not tolerated. */
int compose_pull_images(
	struct compose *c, struct transfer *list, size_t n, bool quiet, struct err *e);
int compose_push_images(
	struct compose *c, struct transfer *list, size_t n, bool quiet, struct err *e);
