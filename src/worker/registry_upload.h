/* worker/registry_upload.h - the other direction of registry.h: blobs and manifests into a
 * repository. OCI distribution-spec 1.1 "Push".
 *
 * Words of errors are Docker's: "denied: requested access to the resource is denied".
 */
#pragma once
#include "worker/manifest.h"
#include "worker/registry.h"

struct layers_progress;

/* Finds the way to the registry itself (never a mirror) and logs in for pull and push, and for
 * mounts from the repositories (paths) in from. Call first. */
int registry_push_begin(struct registry *r, const struct strv *from, struct err *e);

/* 1: the repository has it, *ret_size as it says; 0: it has not; -1 with *e. */
int registry_blob_exists(struct registry *r, const char *digest, int64_t *ret_size, struct err *e);

/* Asks for a blob of another repository of the registry. 1: it is mounted; 0: it is not, and
 * ret_location (maybe empty) is a begun upload to use instead. Failures are 0 too: there is always
 * another way. */
int registry_mount(
	struct registry *r, const char *digest, const char *from, struct buf *ret_location);
/* Forgets an upload that was begun. */
void registry_upload_cancel(struct registry *r, const char *location);

/* The bytes of an upload, from the beginning each time: a broken one may need them again, and they
 * must then be the same. A new stream, or NULL with *e. */
struct registry_source {
	struct stream *(*open)(void *owner, struct err *e);
	void *owner;
};
/* Sends all of it; the digest is known only at its end. location: of a begun upload, or "". Any
 * thread. */
int registry_upload(struct registry *r, const char *location, const struct registry_source *source,
	struct descriptor *ret, struct err *e);
/* The same for bytes that are here: nothing is sent when the repository has them. */
int registry_upload_bytes(
	struct registry *r, const void *data, size_t n, const char *digest, struct err *e);

/* name: a tag or a digest. */
int registry_put_manifest(struct registry *r, const char *name, const char *media_type,
	const void *text, size_t n, struct err *e);
