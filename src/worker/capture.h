/* worker/capture.h - runs a program to its end and keeps what it wrote. */
#pragma once
#include "base/buf.h"
#include "base/strv.h"

#define CAPTURE_MAX (16u << 20) /* of each stream */

/* argv[0] is looked up in PATH. ret_status as waitpid's. -errno when it cannot be run (-ENOENT: it
 * is not there) or wrote more than CAPTURE_MAX. */
int capture_run(const struct strv *argv, struct buf *ret_out, struct buf *ret_err, int *ret_status);
