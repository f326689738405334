/* compose/env.h - variables by name, and the dotenv files that set them.
 *
 * A dotenv file is read as compose-go's dotenv package reads it: `export`, `KEY=v`, `KEY: v`, bare
 * KEY (taken from the environment), quotes over several lines, escapes and variables in double
 * quotes, variables in unquoted values, " #" begins a comment.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/scoped.h"
#include "base/strv.h"

struct env;

struct env *env_new(void);
void env_free(struct env *v); /* NULL is fine */
SCOPED(struct env *, env_free)
void env_set(struct env *v, const char *name, const char *value);
const char *env_get(const struct env *v,
	const char *name); /* NULL when unset; borrowed until it is set again */
/* Walks in the order of the first assignments: start with *pos = 0; the name, or NULL at the end.
 */
const char *env_next(const struct env *v, size_t *pos, const char **ret_value);
void env_add_list(
	struct env *v, char *const *assignments); /* NULL-terminated "NAME=value", as environ */
struct env *env_copy(const struct env *v);

#define DOTENV_BYTES_MAX (1u << 20)

/* The names that $NAME asks for in vain are added to it from now on; borrowed, NULL: to nothing. */
void env_note_unset(struct env *v, struct strv *unset);
struct strv *env_unset(const struct env *v); /* NULL */

/* Adds what the text sets to *into, later lines over earlier ones. outer answers for `$NAME` and
 * bare names, before the lines above do. raw: no quotes, variables or comments (env_file's `format:
 * raw`). A failure names FILE:LINE:COLUMN. */
int dotenv_parse(const char *file, const char *text, size_t n, bool raw, const struct env *outer,
	struct env *into, struct err *e);
