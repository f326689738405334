/* base/text.h - identifiers and the encodings that cross the API: hex, base64, percent. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define ID_LEN 64
#define ID_SHORT_LEN 12

/* A new random identifier of 64 lower-case hex digits. */
void id_new(char ret[static ID_LEN + 1]);
bool text_is_hex(const char *s, size_t n); /* exactly n lower-case hex digits, then NUL */
void text_hex(const void *data, size_t n, char *ret); /* ret holds 2n + 1 bytes */
bool text_starts(const char *s, const char *prefix);
bool text_ends(const char *s, const char *suffix);
/* Levenshtein distance, to say what a mistyped word may have meant; the first 31 bytes count. */
unsigned text_distance(const char *a, const char *b);

/* Standard base64 with padding. */
void base64_encode(const void *data, size_t n, struct buf *ret);
/* Accepts the standard and the URL alphabet, with and without padding. -EINVAL otherwise. */
int base64_decode(const char *text, size_t n, struct buf *ret);

/* %XX to bytes, '+' to blank when plus is true; -EINVAL for a broken escape or a NUL. */
int percent_decode(const char *text, size_t n, bool plus, struct buf *ret);
void percent_encode(const char *text, struct buf *ret); /* all but unreserved (RFC 3986 2.3) */
