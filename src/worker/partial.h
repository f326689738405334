/* worker/partial.h - the beginning of a blob, kept on disk until its layer is complete.
 *
 * layers/partial/HEX is what was read of blob sha256:HEX so far, byte for byte. A pull that is
 * interrupted, by whatever, goes on after it: the next one replays the file through the same stages
 * and asks the registry for the rest. Nothing of it is trusted: the whole is verified as if it had
 * all come from the registry, and a file that spoils it (a power cut leaves zeros) is dropped.
 */
#pragma once
#include <stdint.h>

#include "base/scoped.h"
#include "tree/stream.h"

#define PARTIAL_MIN_BYTES (1 << 20) /* smaller blobs are fetched again */
#define PARTIAL_FILES_MAX 16
#define PARTIAL_DAYS_MAX 7

struct partial;

/* Removes what is old and too much of dir: beginnings that nobody uses, the oldest first. */
void partial_tidy(const char *dir);

/* The beginning of the blob with this digest ("sha256:HEX") and size, perhaps empty. NULL when none
 * can be kept: it is small, another pull has it open, the disk has no room to spare. */
struct partial *partial_open(const char *dir, const char *digest, int64_t size);
void partial_free(struct partial *p); /* the file stays; NULL is fine */
SCOPED(struct partial *, partial_free)

int64_t partial_bytes(const struct partial *p); /* 0 for NULL */
/* The layer is complete, or what was kept is wrong: the file goes. NULL is fine. */
void partial_drop(struct partial *p);

/* The kept bytes, then rest, which begins after them and is kept too. Both are borrowed. */
struct stream *partial_stream_new(struct partial *p, struct stream *rest);
