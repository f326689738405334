/* wherry/manifest.h - what the files of `manifest` share; nobody else includes it. */
#pragma once
#include <jansson.h>

#include "base/buf.h"
#include "codec/ref.h"

/* As a user writes it; "latest" when there is neither tag nor digest. */
int manifest_ref(const char *text, struct ref *ret, struct err *e);

/* manifest_push.c: the text of the list of these documents (manifest_store.h), as docker writes it.
 * *ret_type: borrowed, for ever. Fails when one is of another registry than ref. */
int manifest_list_text(const struct ref *ref, const json_t *docs, struct buf *ret,
	const char **ret_type, struct err *e);
