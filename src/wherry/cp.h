/* wherry/cp.h - copies of files for `cp` and `compose cp`. Paths as the user typed them; "-" is an
 * archive on stdin or stdout. */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "wherry/command.h"

struct cp_options {
	bool archive; /* what comes belongs to the container's user */
	bool follow;  /* links at the end of the source */
	bool quiet;
};

int cp_from_container(struct cli *cli, const struct cp_options *o, const char *container,
	const char *from, const char *to, struct err *e);
int cp_to_container(struct cli *cli, const struct cp_options *o, const char *from,
	const char *container, const char *to, struct err *e);
/* Operands as of `cp`: one of them is CONTAINER:PATH. */
int cp_run(struct cli *cli, const struct cp_options *o, const char *from, const char *to,
	struct err *e);
