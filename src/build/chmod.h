/* build/chmod.h - the modes that COPY --chmod and ADD --chmod take.
 *
 * Octal ("755", "0644") or symbolic as in chmod(1) and POSIX ("u=rwX,go=rX", "+x", "a-w,u+s"); the
 * latter is worked out for each file from the mode it has. Pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

#define CHMOD_CLAUSES_MAX 16

struct chmod_clause {
	mode_t who;     /* S_IRWXU, S_IRWXG, S_IRWXO with their special bits: what may change */
	char op;        /* '=', '+', '-' */
	mode_t bits;    /* rwx as 7, for all of who */
	mode_t special; /* S_ISUID | S_ISGID | S_ISVTX that were asked for */
	bool x_if;      /* X: x for directories, and where someone has it */
	mode_t copy;    /* 'u', 'g' or 'o': these bits of the old mode, or 0 */
};

struct chmod_rule {
	bool octal;
	mode_t mode; /* when octal */
	struct chmod_clause v[CHMOD_CLAUSES_MAX];
	size_t n;
};

/* ERR_INVALID without file and line. */
int chmod_parse(const char *text, struct chmod_rule *ret, struct err *e);
/* mode with its type bits; the result is the twelve permission bits. */
mode_t chmod_apply(const struct chmod_rule *rule, mode_t mode);
