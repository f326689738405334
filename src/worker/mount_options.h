/* worker/mount_options.h - what "o" of a volume says: flags of mount(2), and the rest for the
 * filesystem.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

struct mount_options {
	unsigned long flags;       /* MS_RDONLY ... */
	unsigned long propagation; /* MS_PRIVATE ..., made by a second call; 0: as it is */
	struct buf data;           /* "size=1m,mode=700" */
};

void mount_options_parse(const char *text, struct mount_options *ret);
void mount_options_deinit(struct mount_options *o);
/* The value of "addr=", the caller's, or NULL. */
char *mount_options_address(const char *text);
