/* wherry/push.h - an image to its registry, for commands that make one. */
#pragma once
#include "wherry/command.h"
#include "wherry/progress.h"

/* image: "name[:tag]". to NULL: quiet. */
int push_image(struct cli *cli, const char *image, const struct progress_sink *to, struct err *e);
