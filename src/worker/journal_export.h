/* worker/journal_export.h - journald's export format, piece by piece.
 *
 * https://systemd.io/JOURNAL_EXPORT_FORMATS/ An entry of more than JOURNAL_ENTRY_MAX bytes or
 * JOURNAL_FIELDS_MAX fields is refused.
 */
#pragma once
#include <stddef.h>

#define JOURNAL_ENTRY_MAX (4u << 20)
#define JOURNAL_FIELDS_MAX 256

struct journal_field {
	const char *name;
	const char *value; /* NUL-terminated too */
	size_t n;
};
struct journal_entry {
	struct journal_field fields[JOURNAL_FIELDS_MAX];
	size_t n;
};
/* Borrowed until the call returns. */
typedef void journal_entry_fn(void *owner, const struct journal_entry *entry);

struct journal_export;
struct journal_export *journal_export_new(void);
void journal_export_free(struct journal_export *x); /* NULL is fine */
/* Calls fn for each entry that is complete. -EINVAL when it is not that format; then no more is to
 * be fed. */
int journal_export_feed(
	struct journal_export *x, const char *data, size_t n, journal_entry_fn *fn, void *owner);
