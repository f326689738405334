/* wherry/context_store.h - docker's contexts: named engines below
 * CONFIG/contexts/meta/SHA256(NAME)/meta.json.
 *
 * docker/cli cli/context/store. Read only: the docker command makes and changes them.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

#define CONTEXT_DEFAULT "default" /* the one that is in no file */

/* The document of a context: Name, Metadata, Endpoints. ERR_NOT_FOUND with docker's words. The
 * caller's. */
json_t *docker_context_read(const char *config_dir, const char *name, struct err *e);
/* The address of its docker endpoint; the caller's, or NULL with *e. *ret_skip_verify: its TLS
 * takes any certificate. */
char *docker_context_host(
	const char *config_dir, const char *name, bool *ret_skip_verify, struct err *e);
/* Those documents, sorted by name; what cannot be read is left out. */
json_t *docker_context_list(const char *config_dir);
/* The directory of a context's meta.json. The caller's. */
char *docker_context_dir(const char *config_dir, const char *name);
