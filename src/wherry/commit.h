/* wherry/commit.h - an image of a container, for `commit` and `compose commit`. */
#pragma once
#include <stdbool.h>

#include "base/strv.h"
#include "wherry/command.h"

struct commit_options {
	const char *author, *message;
	struct strv changes;
	bool pause;
};

/* reference: "name[:tag]", or NULL. *ret_id is the image's, the caller's. */
int commit_container(struct cli *cli, const struct commit_options *o, const char *container,
	const char *reference, char **ret_id, struct err *e);
