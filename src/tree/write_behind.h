/* tree/write_behind.h - files on their way to disk, their pages dropped behind the writer.
 *
 * A layer is written once and read later, perhaps: without this it would push what other programs
 * have in the page cache out of it, and leave all of its writing to one sync at the end. At most
 * WRITE_BEHIND_BYTES of written data are in the cache at a time, for each writer.
 */
#pragma once
#include <stdint.h>

#define WRITE_BEHIND_BYTES (8 << 20)
#define WRITE_BEHIND_FILES 128

struct write_behind;

struct write_behind *write_behind_new(void);
/* Waits for what is left; errors of the disk are seen by whoever syncs. NULL is fine. */
void write_behind_free(struct write_behind *w);

/* Of a file that grows: its bytes up to end were written. A few calls to the kernel for some
 * megabytes, none between. */
void write_behind_grow(struct write_behind *w, int fd, int64_t end);
/* The file of size bytes is complete. */
void write_behind_close(struct write_behind *w, int take_fd, int64_t size);
