/* wherry/pull.h - brings an image from its registry. */
#pragma once
#include <stdio.h>

#include "base/err.h"
#include "wherry/command.h"

/* image as the user wrote it; without a tag it is "latest". out NULL: quiet. platform may be NULL.
 */
int pull_image(struct cli *cli, const char *image, const char *platform, FILE *out, struct err *e);
