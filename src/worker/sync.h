/* worker/sync.h - what was written reaches the disk. */
#pragma once
#include "base/err.h"

int sync_path(const char *path, struct err *e); /* a file or directory */
