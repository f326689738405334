/* wherry/commands.h - the table of all commands: names, aliases, help. */
#pragma once
#include <stddef.h>

#include "base/buf.h"
#include "wherry/command.h"

enum command_group { GROUP_COMMON, GROUP_COMMAND, GROUP_BELOW, GROUP_HIDDEN };

struct command {
	const char *name;
	const char *aliases;      /* separated by '|'; NULL when there are none */
	enum command_group group; /* GROUP_BELOW: only in the help of its first word */
	command_fn *run;
	const char *summary;
};

/* The i-th of the table, NULL after the last. */
const struct command *commands_at(size_t i);
/* By name or alias: "ps", "container ls". NULL when there is none. */
const struct command *commands_find(const char *name);
/* "network" of "network ls": its summary, or NULL. */
const char *commands_parent(const char *word);
/* The last word of c below a parent ("ls" of ps below "container"), or NULL. *ret_n: its length. */
const char *commands_below(const struct command *c, const char *parent, size_t *ret_n);
/* "wherry container ls, wherry ps" for the help; NULL when there is one name. The caller's. */
char *commands_aliases(const char *name);

/* wherry/complete.c: the operands and flags of a command as flags_describe gives them; sub: of
 * compose, or NULL. */
int commands_describe(
	struct cli *cli, command_fn *fn, const char *name, const char *sub, struct buf *ret);

void commands_help(void);
void commands_parent_help(const char *word);
/* Says that there is no such command, or that this one is not for this engine. Returns the exit
 * status. */
int commands_unknown(const char *name);
