/* wherry/manifest_worker.h - a registry asked from this program, as docker's does, not from the
 * engine's machine: the job "manifests" (worker/registry_manifests.c) in a wherry-worker of ours.
 */
#pragma once
#include <jansson.h>

#include "base/err.h"
#include "codec/ref.h"
#include "wherry/command.h"

/* what: "get" or "push"; take_more: further members of the request, or NULL. Credentials are those
 * of config.json. pushed(digest) is called as manifests arrive; NULL for "get". A new result. */
json_t *manifest_worker_ask(struct cli *cli, const char *what, const struct ref *ref, bool insecure,
	json_t *take_more, void (*pushed)(void *owner, const char *digest), void *owner,
	struct err *e);
