/* build/plan.h - a parsed Dockerfile as stages, and which of them the target needs.
 *
 * FROM lines are expanded here with the arguments before the first FROM; references between stages
 * (FROM, COPY --from, RUN --mount=from) are resolved to indices, and named contexts
 * (--build-context) take the place of images and stages. Pure: nothing is looked up.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/strv.h"
#include "build/dockerfile.h"

#define PLAN_IMAGE (-1)   /* the base is an image */
#define PLAN_SCRATCH (-2) /* the base is nothing */
#define PLAN_CONTEXT (-4) /* the base is a named context: the files of stage.context */

struct stage {
	char *name;     /* as written, or NULL */
	char *base;     /* expanded; an image reference when base_stage is PLAN_IMAGE */
	char *platform; /* "" when not given */
	int base_stage; /* index, PLAN_IMAGE, PLAN_SCRATCH or PLAN_CONTEXT */
	char *context;  /* of PLAN_CONTEXT: "local:NAME", "https://...", "input:...", or NULL */
	bool replaced;  /* a named context stands for the whole stage: its instructions do not run
			 */
	size_t from;    /* the FROM instruction */
	size_t end;     /* one past its last instruction */
	bool needed;
	size_t *needs; /* stages, all before this one, that a needed stage is made from; may repeat
			*/
	size_t n_needs;
};

struct plan {
	const struct dockerfile *d; /* borrowed */
	struct stage *v;
	size_t n;
	size_t target;
	size_t n_steps;          /* instructions of needed stages */
	struct strv global_args; /* NAME=value: ARGs before FROM and the platform's, as ARG without
				    default sees them */
	const struct strv *contexts; /* of the options; borrowed, may be NULL */
};

struct plan_options {
	const struct strv *build_args; /* NAME=value */
	const char *target;            /* name, number or "" for the last stage */
	const char *platform;          /* "linux/arm64", "linux/arm/v7": what is built */
	const char *build_platform;    /* this machine */
	const struct strv *contexts;   /* named contexts: NAME=value as buildx sends it; NULL: none
					*/
};

/* Every error is "FILE:LINE: ...". plan_deinit is right after success and failure. */
int plan_make(
	const struct dockerfile *d, const struct plan_options *o, struct plan *ret, struct err *e);
void plan_deinit(struct plan *p);
static inline void scoped_plan(struct plan *p)
{
	plan_deinit(p);
}

/* The stage that name (or number) means inside stage `in`: an index below in, PLAN_IMAGE when it is
 * no stage, or -3 with *e for itself or a later one. */
int plan_stage_ref(const struct plan *p, size_t in, int line, const char *name, struct err *e);
/* What the predefined arguments are before any ARG: BUILDPLATFORM ..., TARGETSTAGE; d says which
 * stage is the last. */
void plan_default_args(const struct dockerfile *d, const struct plan_options *o, struct strv *ret);
/* The named context (NAME=value of contexts, which may be NULL) that stands for an image: its
 * value, borrowed, or NULL. */
const char *plan_context(const struct strv *contexts, const char *name);
#define PLAN_LAYOUT "oci-layout://" /* an image that the client has: ID[:TAG]@DIGEST follows */
/* The reference in "docker-image://REF", or the whole of "oci-layout://...", borrowed; NULL when
 * the context is something else. */
const char *plan_context_image(const char *context);
