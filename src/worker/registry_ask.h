/* worker/registry_ask.h - a manifest of a repository as it is, verified by its digest. */
#pragma once
#include "worker/registry.h"

/* name: a tag or a digest. From the endpoint in use; ERR_NOT_FOUND "manifest unknown: manifest
 * unknown". */
int registry_get_manifest(struct registry *r, const char *name, struct buf *ret,
	char ret_type[static REGISTRY_TYPE_MAX], char ret_digest[static REF_DIGEST_LEN + 1],
	struct err *e);
