/* wherry/inspect.h - prints objects in full, or through --format. */
#pragma once
#include <jansson.h>

#include "base/err.h"
#include "wherry/command.h"
#include "wherry/flags.h"

/* One way to find an object: GET prefix NAME suffix. */
struct inspect_kind {
	const char *word; /* --type, and "No such WORD" */
	const char *prefix, *suffix;
};

/* Prints what each name of argv[1..] is; kinds ends with {0} and is tried in order. Returns the
 * exit status. */
int inspect_each(struct cli *cli, const struct inspect_kind *kinds, const char *format, int argc,
	char **argv);
/* Prints documents in full, or through the format, and then what is missing on stderr. Returns the
 * exit status. */
int inspect_print(const json_t *found, const char *format, const char *missing);
/* A command that only inspects one kind of objects: reads the flags too. */
int inspect_command(struct cli *cli, const struct inspect_kind *kinds, const struct syntax *s,
	int argc, char **argv);
