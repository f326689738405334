/* wherry/complete_values.h - values that flags and operands can have, for shells. */
#pragma once
#include <stdbool.h>

#include "wherry/command.h"

/* Prints each candidate that begins with typed, prefix in front of it. True when file names are
 * welcome too. */
bool complete_flag(struct cli *cli, const char *command, const char *flag, const char *prefix,
	const char *typed);
/* operand: the word of the command's usage, "CONTAINER". */
bool complete_operand(struct cli *cli, const char *command, const char *operand, const char *typed);
