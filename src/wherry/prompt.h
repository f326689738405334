/* wherry/prompt.h - what people type: a line, or a password that is not shown. */
#pragma once
#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"

/* One line without its end, NULL at the end of the input or when it is too long. The caller's. */
char *prompt_line(FILE *in);
/* The same from stdin, after "PROMPT: "; hidden: the terminal does not show it. */
char *prompt_ask(const char *prompt, bool hidden);
/* All of stdin without the line end that echo adds; the caller's. */
char *prompt_all(void);
/* A new password: asked for twice on a terminal, else one line of stdin. NULL with *e. */
char *prompt_new_password(const char *whose, struct err *e);
