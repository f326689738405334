/* worker/archive_reader.h - the files of a tar, one after another, each as a stream that is never
 * kept.
 *
 * For archives whose files are read rather than unpacked (docker save, OCI layouts); a root file
 * system is unpack.h's.
 */
#pragma once
#include <stdint.h>

#include "base/err.h"
#include "base/scoped.h"
#include "tree/stream.h"

#define ARCHIVE_FILES_MAX 100000

struct archive_reader;

enum archive_kind {
	ARCHIVE_FILE,
	ARCHIVE_LINK, /* symbolic or hard: another name for target */
	ARCHIVE_OTHER,
};

struct archive_file {
	enum archive_kind kind;
	const char *name; /* below the archive's root, cleaned ("blobs/sha256/..."); borrowed until
			     the next one */
	const char *target; /* of a link, cleaned in the same way; "" when it leads out of the
			       archive */
	int64_t size;
	struct stream *stream; /* the bytes of a file; borrowed until the next one, what is not read
				  is skipped */
};

/* tar is plain and borrowed. */
struct archive_reader *archive_reader_new(struct stream *tar);
void archive_reader_free(struct archive_reader *r);
SCOPED(struct archive_reader *, archive_reader_free)

/* 1: *ret is the next file; 0: the end; -1 with *e (ERR_INVALID for a damaged archive, else what
 * the source said). */
int archive_reader_next(struct archive_reader *r, struct archive_file *ret, struct err *e);

/* Whether these bytes, the first of a file (512 are enough), begin a tar. Two empty blocks are a
 * tar without entries. */
bool archive_is_tar(const void *data, size_t n);
