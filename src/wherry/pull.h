/* wherry/pull.h - brings an image from its registry. */
#pragma once
#include "base/err.h"
#include "wherry/command.h"
#include "wherry/progress.h"

/* image as the user wrote it; without a tag it is "latest". to NULL: quiet. platform may be NULL.
 */
int pull_image(struct cli *cli, const char *image, const char *platform,
	const struct progress_sink *to, struct err *e);
