/* codec/log_record.h - one line of a container's log file, in either format.
 *
 * json-file (moby daemon/logger/jsonfilelog): {"log":"text\n","stream":"stdout","attrs":{"k":"v"},
 *   "time":"2026-11-24T16:20:01.123456789Z"}
 * local (doc/log-format.md): 1795795931123456789o text, with o, e for a whole line of stdout,
 * stderr, O, E for a part of one; the bytes as they are.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct log_record {
	int64_t at_ns; /* since 1970 */
	int stream;    /* 1 or 2 */
	/* The object of "attrs" as it stands in the line, or NULL; borrowed from the line. */
	const char *attrs;
	size_t attrs_n;
};

/* Begins as {0}; remembers the last time, which the next line often has too. */
struct log_decoder {
	char time[40];
	int64_t time_ns;
};

/* Appends the text (with its newline, if it is a whole line) to *ret_text. line has no newline at
 * its end. -EINVAL when it is no such line: torn by a power cut, or somebody else's; *ret_text is
 * as it was. */
int log_record_parse_json(struct log_decoder *d, const char *line, size_t n, struct log_record *ret,
	struct buf *ret_text);
int log_record_parse_local(
	const char *line, size_t n, struct log_record *ret, struct buf *ret_text);
/* The time alone of a "local" line; -EINVAL. */
int log_record_local_time(const char *line, size_t n, int64_t *ret_ns);
