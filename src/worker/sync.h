/* worker/sync.h - what was written reaches the disk. */
#pragma once
#include "base/err.h"

int sync_path(const char *path, struct err *e);       /* a file or directory */
int sync_filesystem(const char *path, struct err *e); /* all of the one that path is on */
