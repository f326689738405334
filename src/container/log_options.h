/* container/log_options.h - LogConfig: drivers, their options, and what they make of a container.
 *
 * As dockerd: a driver or an option that nobody knows is refused at create, a value that makes no
 * sense at start.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct container;

/* Names of the driver and its options, and the mode. type is not "". ERR_INVALID in Docker's words.
 */
int log_options_check(const char *type, const json_t *config, struct err *e);

struct log_settings {
	int64_t max_bytes; /* 0: no limit */
	int files;
	bool compress;
	int64_t buffer_bytes; /* 0: blocking */
};
/* ERR_SYSTEM in Docker's words; what is not set has the driver's default. */
int log_options_read(
	const char *type, const json_t *config, struct log_settings *ret, struct err *e);

/* What stands in every line of this container: JSON members for json-file, fields for journald,
 * nothing for local. At most LOG_EXTRA_MAX bytes. */
#define LOG_EXTRA_MAX 32768
int log_options_extra(const struct container *c, const char *type, const json_t *config,
	struct buf *ret, struct err *e);

/* The part of Go's templates that log tags use: text and {{.ID}}, {{.Name}} ... look gives a
 * field's value, or NULL. ERR_SYSTEM in text/template's words. */
typedef const char *log_tag_fn(void *owner, const char *field);
int log_tag_expand(const char *text, log_tag_fn *look, void *owner, struct buf *ret, struct err *e);
