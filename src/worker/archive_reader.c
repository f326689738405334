#include "worker/archive_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/list.h"
#include "base/mem.h"
#include "tree/unpack.h"

#define BLOCK 512
#define CHECKSUM_AT 148
#define CHECKSUM_LEN 8

struct archive_reader {
	struct archive *archive;
	struct stream *tar;
	struct stream data; /* of the current file */
	char *chunk;
	bool opened, source_failed;
	struct err source_error;
	int files;
	char *name, *target;
};

static la_ssize_t read_source(struct archive *a, void *owner, const void **ret)
{
	struct archive_reader *r = owner;
	*ret = r->chunk;
	ssize_t n = stream_read(r->tar, r->chunk, STREAM_CHUNK, &r->source_error);
	if (n < 0) {
		r->source_failed = true;
		archive_set_error(a, EIO, "the source failed");
	}
	return n;
}

static int archive_failed(struct archive_reader *r, struct err *e)
{
	if (r->source_failed) {
		*e = r->source_error;
		return -1;
	}
	const char *reason = archive_error_string(r->archive);
	if (reason && strstr(reason, "runcated")) {
		return err_set(e, ERR_INVALID, "invalid tar archive: unexpected EOF");
	}
	return err_set(
		e, ERR_INVALID, "invalid tar archive: %.200s", reason ? reason : "it is damaged");
}

static ssize_t file_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct archive_reader *r = container_of(s, struct archive_reader, data);
	la_ssize_t got = archive_read_data(r->archive, data, n);
	return got < 0 ? archive_failed(r, e) : got;
}

static void file_free(struct stream *s)
{
}

struct archive_reader *archive_reader_new(struct stream *tar)
{
	struct archive_reader *r = xnew(struct archive_reader);
	r->tar = tar;
	r->data = (struct stream){file_read, file_free};
	r->chunk = xnew_array(char, STREAM_CHUNK);
	r->archive = archive_read_new();
	if (!r->archive || archive_read_support_format_tar(r->archive) != ARCHIVE_OK ||
		archive_read_support_format_empty(r->archive) != ARCHIVE_OK) {
		abort(); /* out of memory */
	}
	return r;
}

void archive_reader_free(struct archive_reader *r)
{
	if (!r) {
		return;
	}
	archive_read_free(r->archive);
	free(r->chunk);
	free(r->name);
	free(r->target);
	free(r);
}

/* A symbolic link counts from its own directory, a hard link from the root. */
static char *clean_target(const char *name, const char *link, bool is_hard)
{
	struct err ignored;
	const char *slash = is_hard ? NULL : strrchr(name, '/');
	int n = slash && *link != '/' ? (int)(slash - name) : 0;
	scoped(free) char *joined = xasprintf("%.*s/%s", n, name, link);
	/* path_clean takes "/.." for "/"; without the slash it stays visible that the link leads
	 * out */
	char *target = unpack_clean_name(joined + strspn(joined, "/"), &ignored);
	return target ? target : xstrdup("");
}

static int describe(struct archive_reader *r, struct archive_entry *entry, struct archive_file *ret,
	struct err *e)
{
	const char *raw = archive_entry_pathname(entry);
	if (!raw) {
		return err_set(e, ERR_INVALID, "invalid archive: an entry has no readable name");
	}
	free(r->name);
	free(r->target);
	r->target = NULL;
	r->name = unpack_clean_name(raw, e);
	if (!r->name) {
		return -1;
	}
	const char *hard = archive_entry_hardlink(entry);
	const char *soft =
		archive_entry_filetype(entry) == AE_IFLNK ? archive_entry_symlink(entry) : NULL;
	*ret = (struct archive_file){.kind = ARCHIVE_OTHER, .name = r->name, .target = ""};
	if (hard || soft) {
		r->target = clean_target(r->name, hard ? hard : soft, hard != NULL);
		ret->kind = ARCHIVE_LINK;
		ret->target = r->target;
	} else if (archive_entry_filetype(entry) == AE_IFREG) {
		ret->kind = ARCHIVE_FILE;
		ret->size = archive_entry_size(entry);
		ret->stream = &r->data;
	}
	return 1;
}

int archive_reader_next(struct archive_reader *r, struct archive_file *ret, struct err *e)
{
	struct archive_entry *entry;
	if (!r->opened && archive_read_open(r->archive, r, NULL, read_source, NULL) != ARCHIVE_OK) {
		return archive_failed(r, e);
	}
	r->opened = true;
	int code = archive_read_next_header(r->archive, &entry);
	if (code == ARCHIVE_EOF) {
		return 0;
	}
	if (code != ARCHIVE_OK && code != ARCHIVE_WARN) {
		return archive_failed(r, e);
	}
	if (++r->files > ARCHIVE_FILES_MAX) {
		return err_set(
			e, ERR_INVALID, "invalid archive: more than %d entries", ARCHIVE_FILES_MAX);
	}
	return describe(r, entry, ret, e);
}

/* POSIX.1-2017 pax "ustar Interchange Format": the sum of the header's bytes with the checksum read
 * as blanks. */
bool archive_is_tar(const void *data, size_t n)
{
	const unsigned char *block = data;
	unsigned sum = 0, stored = 0;
	bool empty = true;
	if (n < BLOCK) {
		return false;
	}
	for (size_t i = 0; i < BLOCK; i++) {
		bool inside = i >= CHECKSUM_AT && i < CHECKSUM_AT + CHECKSUM_LEN;
		sum += inside ? ' ' : block[i];
		empty = empty && block[i] == 0;
	}
	if (empty) {
		return true;
	}
	size_t i = CHECKSUM_AT;
	while (i < CHECKSUM_AT + CHECKSUM_LEN && block[i] == ' ') {
		i++;
	}
	for (; i < CHECKSUM_AT + CHECKSUM_LEN && block[i] >= '0' && block[i] <= '7'; i++) {
		stored = stored * 8 + (block[i] - '0');
	}
	return sum == stored;
}
