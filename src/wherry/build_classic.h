/* wherry/build_classic.h - a build by an engine without BuildKit's API: POST /build with the
 * context as a tar.
 */
#pragma once
#include "wherry/build_options.h"
#include "wherry/build_request.h"
#include "wherry/command.h"

/* request: with its context. Returns the exit status: that of the command that failed, where the
 * engine says it; what failed was said. */
int build_classic(struct cli *cli, const struct build_options *o, struct build_request *request);
