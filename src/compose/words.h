/* compose/words.h - a command in one string, split as a shell would split it (mattn/go-shellwords,
 * as docker compose).
 *
 * Quotes and backslashes, no expansion; an unquoted `;`, `&`, `|`, `<` or `>` ends the command.
 */
#pragma once
#include "base/err.h"
#include "base/strv.h"

/* Appends the words. "invalid command line string" when a quote is open or a `(` stands unquoted.
 */
int words_split(const char *text, struct strv *ret, struct err *e);
