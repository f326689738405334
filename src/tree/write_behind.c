/* The kernel drops only pages that are on disk, and writing them takes a while: writing begins with
 * each file's end and each part of a large one, and the pages go when as much again was written. */
#include "tree/write_behind.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

#define PART_BYTES (2 << 20)

struct written {
	int fd;
	int64_t bytes;
};

struct write_behind {
	struct written files[WRITE_BEHIND_FILES]; /* a ring */
	size_t first, n;
	int64_t bytes; /* of all files in the ring */
	int64_t begun; /* of the file that grows: up to here writing has begun */
};

struct write_behind *write_behind_new(void)
{
	return xnew(struct write_behind);
}

static void begin_writing(int fd, int64_t from, int64_t to)
{
	(void)sync_file_range(fd, from, to - from, SYNC_FILE_RANGE_WRITE);
}

static void drop(int fd, int64_t from, int64_t to)
{
	(void)sync_file_range(fd, from, to - from,
		SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
	(void)posix_fadvise(fd, from, to - from, POSIX_FADV_DONTNEED);
}

static void drop_first(struct write_behind *w)
{
	struct written *f = &w->files[w->first];
	drop(f->fd, 0, f->bytes);
	close(f->fd);
	w->bytes -= f->bytes;
	w->first = (w->first + 1) % WRITE_BEHIND_FILES;
	w->n--;
}

void write_behind_grow(struct write_behind *w, int fd, int64_t end)
{
	if (end - w->begun < PART_BYTES) {
		return;
	}
	begin_writing(fd, w->begun, end);
	int64_t kept = w->begun - PART_BYTES;
	if (kept > 0) {
		drop(fd, kept > PART_BYTES ? kept - PART_BYTES : 0, kept);
	}
	w->begun = end;
}

void write_behind_close(struct write_behind *w, int take_fd, int64_t size)
{
	if (size > w->begun) {
		begin_writing(take_fd, w->begun, size);
	}
	w->begun = 0;
	if (size == 0) {
		close(take_fd);
		return;
	}
	while (w->n > 0 && (w->n == WRITE_BEHIND_FILES || w->bytes + size > WRITE_BEHIND_BYTES)) {
		drop_first(w);
	}
	w->files[(w->first + w->n) % WRITE_BEHIND_FILES] = (struct written){take_fd, size};
	w->n++;
	w->bytes += size;
}

void write_behind_free(struct write_behind *w)
{
	if (!w) {
		return;
	}
	while (w->n > 0) {
		drop_first(w);
	}
	free(w);
}
