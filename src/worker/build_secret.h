/* worker/build_secret.h - secrets of the client.
 *
 * A secret comes from the client's session when a step runs that wants it, never before. Its bytes
 * are in a file on a tmpfs that only this worker and the step see, or in the step's environment;
 * they are in no cache key, message, error or layer.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

struct build;

#define SECRET_MAX (500u << 10) /* bytes, as BuildKit's clients allow */

/* moby.buildkit.secrets.v1.Secrets/GetSecret. 1: *ret has it (secret_wipe); 0: the client has none
 * of that id; -1 with *e. */
int secret_get(const struct build *b, const char *id, struct buf *ret, struct err *e);
void secret_wipe(struct buf *secret);
static inline void scoped_secret(struct buf *secret)
{
	secret_wipe(secret);
}
