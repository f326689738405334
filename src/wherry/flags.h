/* wherry/flags.h - the flags of one command, from a table, with Docker's conventions (spf13/pflag).
 *
 *   -it  -e A=B  -eA=B  --env A=B  --env=A=B  -p8080:80  --rm  --rm=false  --
 * The same table prints the help. Wrong flags are answered as the docker CLI answers them, status
 * 125.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strv.h"

enum flag_kind {
	FLAG_BOOL,     /* bool * */
	FLAG_STRING,   /* const char **, borrowed from argv */
	FLAG_INT,      /* int64_t * */
	FLAG_LIST,     /* struct strv *, one element each time */
	FLAG_FILTER,   /* struct strv *, each "name=value" */
	FLAG_SIZE,     /* int64_t *, bytes: "64m" */
	FLAG_DURATION, /* int64_t *, ns: "1m30s" */
	FLAG_DECIMAL,  /* int64_t *, billionths: "1.5" */
};

struct flag {
	const char *name;
	char letter; /* 0: none */
	enum flag_kind kind;
	void *to;
	const char *type; /* shown in the help instead of the kind's own word; NULL */
	const char *help; /* NULL: a second spelling that the help leaves out */
};

struct syntax {
	const char *command;  /* as argv[0] */
	const char *operands; /* "[OPTIONS] CONTAINER [CONTAINER...]" */
	const char *summary;
	int min, max;       /* operands; max -1: any number */
	bool first_ends_it; /* flags end at the first operand: run, exec */
};

/* Reads the flags and leaves argv[0] and the operands in argv, *argc of them.
 * Returns -1 to go on; otherwise the exit status, after the help or the reason was printed. flags
 * ends with {0}. */
int flags_parse(const struct syntax *s, const struct flag *flags, int *argc, char **argv);

/* "docker: MESSAGE" with the pointer to the help: a value that makes no sense. Returns 125. */
int flags_refuse(const struct syntax *s, const struct err *e);
