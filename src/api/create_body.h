/* api/create_body.h - the body of POST /containers/create as the newest API version would have sent
 * it.
 *
 * What a version did not know is left out, what it meant by leaving something out is said; what it
 * must not ask for is refused in dockerd's words. moby api/server/router/container
 * postContainersCreate.
 */
#pragma once
#include <jansson.h>

struct err;

/* A new document; warnings are appended to the array. NULL with *e (ERR_INVALID). Wrong types are
 * left for container_create to name. */
json_t *create_body_current(const json_t *body, int version, json_t *warnings, struct err *e);
