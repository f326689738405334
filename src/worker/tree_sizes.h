/* worker/tree_sizes.h - what a tree takes, as moby pkg/directory: everything but directories, a
 * file with several names once. */
#pragma once
#include <stdint.h>

int64_t tree_bytes(int dir_fd); /* what cannot be read counts nothing */
