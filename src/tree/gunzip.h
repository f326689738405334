/* tree/gunzip.h - gzip (RFC 1952) to plain bytes, in any pieces, with isa-l's decoder.
 *
 * Only the raw deflate decoder of isa-l is used; heads, checksums and lengths are read here. Its
 * own reading of gzip wants a head in one piece (isa-l issue 224), and that of 2.30 on arm64 ends
 * a good stream early when it also computes the checksum (issue 316).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct gunzip;

struct gunzip *gunzip_new(void);
void gunzip_free(struct gunzip *g); /* NULL is fine */

/* Reads up to n bytes of in and writes up to room bytes to out; both counts are returned. A call
 * that does neither wants more input; n 0 is right while output may be pending. ERR_INVALID for
 * bytes that are not gzip: a member that follows must be one too. */
int gunzip_step(struct gunzip *g, const void *in, size_t n, size_t *ret_used, void *out,
	size_t room, size_t *ret_out, struct err *e);

/* The input may end here: at least one member was read, and no other has begun. */
bool gunzip_is_over(const struct gunzip *g);
