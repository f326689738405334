/* buildkit/solve.h - what a BuildKit client asks the Dockerfile frontend for, as options of a build
 * (build/session.h). Pure: no message of the wire, the caller unpacks.
 *
 * The names of attributes are those of moby/buildkit frontend/dockerui; what this module does not
 * know goes into the option "attrs" as it is.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

struct solve_request {
	const char *frontend;    /* "", "dockerfile.v0" or "gateway.v0" with a Dockerfile image */
	const char *session;     /* id */
	const json_t *attrs;     /* {name: text} */
	const json_t *exporters; /* [{"type", "attrs": {}}] */
	const json_t *imports;   /* of the cache: [{"type", "attrs": {}}] */
	const json_t *exports;
	const json_t *entitlements; /* ["network.host"] */
};

/* A new object, or NULL with *e: ERR_NOT_IMPLEMENTED for a frontend that we are not, ERR_INVALID
 * for an attribute that cannot be. */
json_t *solve_options(const struct solve_request *r, struct err *e);

/* Whether an image is the Dockerfile frontend under one of its names: docker/dockerfile:1 and
 * docker/dockerfile-upstream. We are it, and pull none. */
bool solve_is_dockerfile_image(const char *image);
/* What a frontend is asked for about a Dockerfile instead of building it, and is answered here. */
bool solve_is_question(const char *name);
