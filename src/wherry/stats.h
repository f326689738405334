/* wherry/stats.h - the table of `stats`, once or again and again. */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "wherry/command.h"

struct stats_options {
	bool all, no_stream, no_trunc;
	bool only_named; /* no names: nothing, instead of what is there */
	const char *format;
};

/* Prints until the named containers are gone; without names, what runs (all: what is there), until
 * the program is ended. Returns the exit status, or -1 with *e. Call once: threads go on. */
int stats_show(
	struct cli *cli, const struct stats_options *o, char *const *names, int n, struct err *e);
