/* container/runtime_words.h - why the runtime could not start a process, in the words that Docker's
 * clients know.
 *
 * The docker CLI takes its exit status from the sentence, and scripts search it: for what runc
 * says. crun's sentences for the same mistakes are turned into those, here and nowhere else; what
 * crun says of anything else is kept, behind "crun: ". Codes and additions: moby daemon/errors.go,
 * setExitCodeFromError.
 */
#pragma once

#include "base/err.h"

enum runtime_task {
	RUNTIME_CREATE, /* a container */
	RUNTIME_EXEC,   /* a further process in one */
};

/* text is the runtime's last line, without a time; arg0 the program that was asked for. Sets *ret_e
 * and returns the exit status that docker gives for it: 126, 127 or 128. */
int runtime_failure(enum runtime_task task, const char *arg0, const char *text, struct err *ret_e);
