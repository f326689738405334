/* build/outline.h - what a Dockerfile offers: its targets, and what a target asks for. Pure.
 *
 * The answers of BuildKit's frontend to "frontend.targets" and "frontend.outline" (moby/buildkit
 * frontend/subrequests), as JSON and as the text that its clients print. A comment "# NAME words"
 * right above FROM x AS NAME or ARG NAME describes it.
 */
#pragma once
#include <jansson.h>

#include "base/buf.h"
#include "build/plan.h"

/* All stages; new. */
json_t *outline_targets(const struct dockerfile *d);
void outline_targets_text(const json_t *targets, struct buf *ret);

/* Arguments, secrets and agents of the stages that the plan's target needs; new. build_args:
 * NAME=value, as the plan had them. Defaults are expanded with what the file itself says: an
 * environment that a base image brings is not known. NULL with *e. */
json_t *outline_make(const struct plan *p, const struct strv *build_args, struct err *e);
void outline_text(const json_t *outline, struct buf *ret);
