#include "worker/archive_writer.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "tree/stream.h"
#include "worker/output.h"

struct archive_writer {
	struct archive *archive;
	struct output *out;
	char *chunk;
	struct err error; /* of the output */
	bool failed;
};

static la_ssize_t on_write(struct archive *a, void *owner, const void *data, size_t n)
{
	struct archive_writer *w = owner;
	if (w->failed || output_write(w->out, data, n, &w->error) < 0) {
		w->failed = true;
		archive_set_error(a, EIO, "the output failed");
		return -1;
	}
	return (la_ssize_t)n;
}

static int archive_failed(const struct archive_writer *w, struct err *e)
{
	if (w->failed) {
		*e = w->error;
		return -1;
	}
	const char *reason = archive_error_string(w->archive);
	return err_set(e, ERR_SYSTEM, "cannot write the archive: %.200s", reason ? reason : "");
}

struct archive_writer *archive_writer_new(int fd)
{
	struct archive_writer *w = xnew(struct archive_writer);
	w->out = output_new(fd);
	w->chunk = xnew_array(char, STREAM_CHUNK);
	w->archive = archive_write_new();
	/* ustar, but for what does not fit it: files of 8 GiB */
	if (!w->archive || archive_write_set_format_pax_restricted(w->archive) != ARCHIVE_OK ||
		archive_write_set_bytes_per_block(w->archive, 0) != ARCHIVE_OK ||
		archive_write_open(w->archive, w, NULL, on_write, NULL) != ARCHIVE_OK) {
		abort(); /* out of memory */
	}
	return w;
}

void archive_writer_free(struct archive_writer *w)
{
	if (w) {
		w->failed = true; /* libarchive would write an end */
		archive_write_free(w->archive);
		output_free(w->out);
		free(w->chunk);
		free(w);
	}
}

static int write_header(
	struct archive_writer *w, const char *name, mode_t mode, int64_t size, struct err *e)
{
	struct archive_entry *entry = archive_entry_new();
	archive_entry_set_pathname(entry, name);
	archive_entry_set_mode(entry, mode);
	archive_entry_set_size(entry, size);
	archive_entry_set_mtime(entry, 0, 0);
	int r = archive_write_header(w->archive, entry);
	archive_entry_free(entry);
	return r < ARCHIVE_WARN ? archive_failed(w, e) : 0;
}

static int write_data(struct archive_writer *w, const void *data, size_t n, struct err *e)
{
	return archive_write_data(w->archive, data, n) != (la_ssize_t)n ? archive_failed(w, e) : 0;
}

int archive_writer_dir(struct archive_writer *w, const char *name, struct err *e)
{
	return write_header(w, name, S_IFDIR | 0755, 0, e);
}

int archive_writer_text(
	struct archive_writer *w, const char *name, const void *data, size_t n, struct err *e)
{
	if (write_header(w, name, S_IFREG | 0644, (int64_t)n, e) < 0) {
		return -1;
	}
	return n > 0 ? write_data(w, data, n, e) : 0;
}

int archive_writer_stream(struct archive_writer *w, const char *name, struct stream *from,
	int64_t size, struct err *e)
{
	int64_t left = size;
	ssize_t n;
	if (write_header(w, name, S_IFREG | 0644, size, e) < 0) {
		return -1;
	}
	while ((n = stream_read(from, w->chunk, STREAM_CHUNK, e)) > 0) {
		if (n > left) {
			return err_set(e, ERR_SYSTEM, "%.100s is longer than it was", name);
		}
		if (write_data(w, w->chunk, (size_t)n, e) < 0) {
			return -1;
		}
		left -= n;
	}
	if (n == 0 && left > 0) {
		return err_set(e, ERR_SYSTEM, "%.100s is shorter than it was", name);
	}
	return (int)n;
}

int archive_writer_end(struct archive_writer *w, struct err *e)
{
	if (archive_write_close(w->archive) != ARCHIVE_OK) {
		return archive_failed(w, e);
	}
	return output_flush(w->out, e);
}
