/* container/patience.h - stat(2) of the host's paths that a container binds. One may be on a mount
 * of the host's whose server is away: nobody in the daemon waits for that. Included by container/
 * only.
 */
#pragma once
#include <sys/stat.h>

struct patience;

struct patience *patience_new(void);
void patience_free(struct patience *p);

/* 0, or -errno of stat(2). -ETIMEDOUT: its server does not answer, and it is taken to be there.
 * Only what mountinfo says to be on a server is asked for by another process, which has
 * PATIENCE_MS; after that its mount counts as away for a while. ret may be NULL. */
int patience_stat(struct patience *p, const char *path, struct stat *ret);
