/* wherry/push.h - an image to its registry, for commands that make one. */
#pragma once
#include <stdio.h>

#include "wherry/command.h"

/* image: "name[:tag]". Progress goes to out; NULL: none. */
int push_image(struct cli *cli, const char *image, FILE *out, struct err *e);
