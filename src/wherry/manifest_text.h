/* wherry/manifest_text.h - JSON as Go prints it, byte for byte: digests are of it.
 *
 * encoding/json Marshal, Indent and MarshalIndent. Pure.
 */
#pragma once
#include <jansson.h>

#include "base/buf.h"

/* Appends the text without blanks, '<', '>' and '&' escaped. */
void manifest_compact(const json_t *doc, struct buf *ret);
/* Appends a valid JSON text with its blanks replaced by one member a line; strings and numbers
 * stay. */
void manifest_indent(const char *text, size_t n, const char *indent, struct buf *ret);
/* Both: MarshalIndent. */
void manifest_print(const json_t *doc, const char *indent, struct buf *ret);
