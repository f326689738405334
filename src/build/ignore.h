/* build/ignore.h - .dockerignore: which files of a build context do not exist for the build.
 *
 * Patterns as moby/patternmatcher reads them: the last match wins, "!" takes files back, a pattern
 * matches everything below what it names, "**" spans directories. Pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/strv.h"

#define IGNORE_TEXT_MAX (1u << 20)
#define IGNORE_PATTERNS_MAX 5000

struct ignore;

/* name is for messages ("FILE:LINE: ..."). NULL with *e (ERR_INVALID). */
struct ignore *ignore_parse(const char *text, size_t n, const char *name, struct err *e);
/* --exclude's values, in their order: each as a line of a file. NULL with *e (ERR_INVALID). */
struct ignore *ignore_from_list(const struct strv *patterns, struct err *e);
void ignore_free(struct ignore *g); /* NULL is fine */

/* As they were written, cleaned, "!" in front of those that take back; appended. */
void ignore_patterns(const struct ignore *g, struct strv *ret);

/* path: relative, clean, without a leading slash. NULL g ignores nothing. */
bool ignore_match(const struct ignore *g, const char *path);
/* The line of the pattern that hides path, or 0. */
int ignore_line(const struct ignore *g, const char *path);
const char *ignore_name(const struct ignore *g); /* of its file, as given; borrowed */
/* Whether there is a "!" pattern: what a directory's line hides may be back below it. */
bool ignore_keeps_some(const struct ignore *g);
/* Whether a single pattern hides all of the context: "*", "**". */
bool ignore_hides_all(const struct ignore *g);
/* Whether something below the ignored directory may still be taken back by a "!" pattern. */
bool ignore_may_hold_kept(const struct ignore *g, const char *dir);

/* One pattern of path components: * ? [a-z] \x within a component, ** across them. Also used for
 * COPY's wildcards and --exclude. */
bool ignore_pattern_match(const char *pattern, const char *path);
/* False for an unclosed bracket or a trailing backslash. */
bool ignore_pattern_valid(const char *pattern);
