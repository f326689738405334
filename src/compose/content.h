/* compose/content.h - what the files hold that a service reads when it starts, as a label of its
 * containers.
 *
 * Counted are configs and secrets, and bind mounts of single regular files of this machine, of at
 * most CONTENT_BYTES_MAX. The label is a JSON object, target -> the first 16 digits of
 * the SHA-256. A service whose file says `labels: {wherry.compose.files: ...}` itself is left out:
 * that is how one turns this off for a file that the service writes.
 */
#pragma once
#include "base/buf.h"
#include "compose/model.h"

#define CONTENT_LABEL "wherry.compose.files"
#define CONTENT_BYTES_MAX (1u << 20)

/* Reads a regular file of at most max bytes; a negative value when there is none. */
typedef int content_read_fn(void *owner, const char *path, size_t max, struct buf *ret);

/* The label's text; the caller's. NULL when the service reads no such file. */
char *content_label(const struct service *s, content_read_fn *read, void *owner);
/* "the content of /etc/a.conf changed", from two labels; the caller's. NULL when nothing did. */
char *content_changes(const char *before, const char *now);
