/* wherry/compose_sync.h - files of this machine into all containers of a service. */
#pragma once
#include "wherry/compose.h"

/* One file, link or directory (without what is in it); what is gone here goes there, too. */
struct sync_file {
	const char *path;   /* absolute, on this machine */
	const char *target; /* absolute, in the container */
};

int compose_sync(struct compose *c, const char *project, const char *service,
	const struct sync_file *files, size_t n, struct err *e);
