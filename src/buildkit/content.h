/* buildkit/content.h - blobs of a content store on a session: containerd.services.content.v1.
 *
 * A client of builds offers OCI layouts of its own this way: one that a result is written to
 * ("export"), caches ("local:DIR"), contexts ("oci:ID"). Which one a call is about stands in its
 * metadata CONTENT_STORE_ID. Here is what the engine asks; each function takes a fresh call of the
 * method that it names. What comes is the client's word: who reads it hashes it.
 */
#pragma once
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "content.pb-c.h"
#include "grpc/grpc.h"
#include "tree/stream.h"

#define CONTENT_STORE_ID "buildkit-attachable-store-id"
#define CONTENT_INFO "/containerd.services.content.v1.Content/Info"
#define CONTENT_READ "/containerd.services.content.v1.Content/Read"
#define CONTENT_WRITE "/containerd.services.content.v1.Content/Write"
#define CONTENT_ABORT "/containerd.services.content.v1.Content/Abort"

enum content_action { CONTENT_STAT, CONTENT_WRITTEN, CONTENT_COMMIT };

/* CONTENT_INFO: how long the blob is. ERR_NOT_FOUND when it is not there. */
int content_info(struct grpc_call *c, const char *digest, int64_t *ret_size, struct err *e);

/* CONTENT_READ: exactly size bytes come, or an error. The call is the stream's. NULL with *e. */
struct stream *content_read(
	struct grpc_call *take_call, const char *digest, int64_t size, struct err *e);

/* CONTENT_WRITE: size bytes of from, which have the digest. 1: the store has them already; 0: it
 * has them now. ref names what is being written. */
int content_write(struct grpc_call *c, const char *ref, const char *digest, int64_t size,
	struct stream *from, struct err *e);
