/* wherry/top.h - the processes of a container as a table. */
#pragma once
#include "base/err.h"
#include "wherry/command.h"
#include "wherry/table.h"

/* Prints on stdout. ps_args "": the engine's choice. */
int top_print(struct cli *cli, const char *name, const char *ps_args, struct err *e);
