/* wherry/context.h - the build context: a directory as a tar stream, made while it is sent.
 *
 * Owners become root and entries are sorted, so that the same files give the same stream; what
 * .dockerignore names stays out.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "build/ignore.h"

struct context;

/* take_ignore may be NULL. NULL with *e. */
struct context *context_new(const char *dir, struct ignore *take_ignore, struct err *e);
void context_free(struct context *c); /* NULL is fine */

/* A file that is not in the directory: the Dockerfile from elsewhere. Before the first read. */
void context_add(struct context *c, const char *name, const char *data, size_t n);
/* For http_source: bytes of the tar, 0 at the end, -errno; context_error then says what failed. */
long context_read(void *context, char *data, size_t n);
const struct err *context_error(const struct context *c); /* NULL: nothing failed */
int64_t context_sent_bytes(const struct context *c);
