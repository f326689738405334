/* container/logs.h - reading a container's log back, whatever its driver: json-file, local,
 * journald.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct container;
struct log_reader;

struct log_query {
	bool follow, out, err, timestamps;
	bool details;               /* labels and variables of log-opts in front of each line */
	int64_t since_ns, until_ns; /* 0: no bound */
	int64_t tail;               /* lines; -1: all */
};
struct log_handlers {
	/* One line with its newline (and its timestamp and details in front if asked), stream 1
	 * or 2. Returns false to hold further lines back until log_reader_resume. */
	bool (*line)(void *owner, int stream, const char *data, size_t n);
	/* No more lines for the moment: what was collected may be sent. As line, false holds. May
	 * be NULL. */
	bool (*pause)(void *owner);
	void (*ended)(void *owner); /* once: all lines delivered; with follow: the container has
				       ended and is drained */
};
/* Reads in slices from the loop; callbacks never come from inside this call. */
struct log_reader *log_reader_new(struct container *c, const struct log_query *q,
	const struct log_handlers *h, void *owner, struct err *e);
void log_reader_resume(struct log_reader *l);
void log_reader_free(struct log_reader *l);
