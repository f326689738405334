/* worker/archive_writer.h - a tar of files that are made as they are written: root's, readable by
 * all, of names and sizes known before (docker save, OCI layouts).
 *
 * The same files in the same order are the same bytes.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/scoped.h"

struct archive_writer;
struct stream;

struct archive_writer *archive_writer_new(int fd);  /* borrowed */
void archive_writer_free(struct archive_writer *w); /* what was not ended is cut off */
SCOPED(struct archive_writer *, archive_writer_free)

int archive_writer_dir(struct archive_writer *w, const char *name, struct err *e);
int archive_writer_text(
	struct archive_writer *w, const char *name, const void *data, size_t n, struct err *e);
/* As many bytes as size says, or it fails. */
int archive_writer_stream(struct archive_writer *w, const char *name, struct stream *from,
	int64_t size, struct err *e);
int archive_writer_end(struct archive_writer *w, struct err *e);
