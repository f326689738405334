/* wherry/download.h - an answer that is an archive, into a file or standard output. */
#pragma once
#include "base/err.h"

struct cli;

/* ERR_INVALID when there is no output and standard output is a terminal; Docker's words. */
int download_check(const char *output, struct err *e);
/* GET path. output: a file, which is there only when it is whole, or NULL. what, for errors:
 * "failed to save image". */
int download(
	struct cli *cli, const char *path, const char *output, const char *what, struct err *e);
