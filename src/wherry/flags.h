/* wherry/flags.h - the flags of one command, from a table, with Docker's conventions (spf13/pflag).
 *
 *   -it  -e A=B  -eA=B  --env A=B  --env=A=B  -p8080:80  --rm  --rm=false  --
 * The same table prints the help and completes words in a shell. Wrong flags are answered as the
 * docker CLI answers them, status 125; those of "compose ..." as docker compose does: the sentence
 * alone, status 1.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
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
	FLAG_UINT16,   /* int64_t *, 0 to 65535 */
	FLAG_CHECKED,  /* struct flag_checked *: a list whose elements have a grammar */
};

/* A list that refuses what check does: the sentence is the rest of `invalid argument "x" for
 * "--flag" flag: `. */
struct flag_checked {
	struct strv *list;
	int (*check)(const char *value, struct err *e);
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

/* A first argument that makes flags_parse print the table instead, for shell completion: the
 * operands on a line, then for each flag name, letter or '-', '0' (a switch) or '1' (wants a
 * value), type and help, separated by tabs. */
#define FLAGS_DESCRIBE "\001describe"
#define FLAGS_NEWLINE '\f' /* in a help that has several lines */

/* Reads the flags and leaves argv[0] and the operands in argv, *argc of them.
 * Returns -1 to go on; otherwise the exit status, after the help or the reason was printed. flags
 * ends with {0}. */
int flags_parse(const struct syntax *s, const struct flag *flags, int *argc, char **argv);

/* wherry/flags_help.c: the table as --help shows it and as FLAGS_DESCRIBE does. name: the command
 * as it was called. */
void flags_help(const struct syntax *s, const char *name, const struct flag *flags);
void flags_describe(const struct syntax *s, const struct flag *flags, struct buf *ret);
/* The list of flags alone, wrapped to width columns; 0: not wrapped. */
void flags_list(const struct flag *flags, size_t width, struct buf *ret);
/* The columns of this terminal, 80 when it is none. */
size_t flags_width(void);
const char *flag_type_word(const struct flag *f);

/* "docker: MESSAGE" with the pointer to the help: a value that makes no sense. Returns 125. */
int flags_refuse(const struct syntax *s, const struct err *e);
