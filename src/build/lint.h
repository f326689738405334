/* build/lint.h - what is not wrong in a Dockerfile and yet no good: BuildKit's build checks.
 *
 * The rules have BuildKit's names, sentences and pages
 * (https://docs.docker.com/reference/build-checks). "# check=skip=A,B;error=true" at the top of
 * the file, or the build argument BUILDKIT_DOCKERFILE_CHECK, says which are wanted and whether one
 * of them fails the build; a comment right above an instruction does it for that one. Pure.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "build/dockerfile.h"
#include "build/ignore.h"
#include "build/plan.h"

#define LINT_WARNINGS_MAX 1000

struct lint_rule {
	const char *name;
	const char *description;
	const char *page;  /* of the documentation, or NULL */
	bool experimental; /* only when it is asked for */
};

struct lint_warning {
	const struct lint_rule *rule;
	char *message;
	int line, end_line;
};

struct lint {
	struct lint_warning *v; /* by line */
	size_t n;
	bool error; /* asked for: warnings fail the build */
};

struct lint_options {
	const struct plan_options *plan;
	const struct plan *made;     /* only its needed stages are looked at; NULL: all */
	const struct ignore *ignore; /* may be NULL */
	/* The configuration of a base image, borrowed, or NULL when it is not known: then nothing
	 * is said that depends on it. May be NULL. */
	const json_t *(*base)(void *owner, const char *image, const char *platform);
	void *owner;
};

/* -1 with *e when the checks that are asked for cannot be understood. lint_deinit is right after
 * either. */
int lint_run(
	const struct dockerfile *d, const struct lint_options *o, struct lint *ret, struct err *e);
void lint_deinit(struct lint *l);
static inline void scoped_lint(struct lint *l)
{
	lint_deinit(l);
}
/* With "error=true" and a warning: -1, *e names the rules. */
int lint_verdict(const struct lint *l, struct err *e);

char *lint_url(const struct lint_rule *r); /* "" when there is none; the caller's */
/* As BuildKit's frontend.lint answers: result.json, result.txt. problem: why the file cannot be
 * built, or NULL. */
json_t *lint_result(const struct dockerfile *d, const struct lint *l, const struct err *problem);
void lint_text(const struct dockerfile *d, const struct lint *l, struct buf *ret);
