/* compose/yaml_text.h - what can be said of a text before libfyaml sees it.
 *
 * libfyaml 0.7.12 has no place for some errors, never returns from some texts, and keeps every
 * token of a flow collection that might still become a key: 300 bytes and more for each byte of
 * "[[[[[[". Such texts do not get there.
 */
#pragma once
#include "compose/tree.h"

#define YAML_OPEN_MAX 10000u  /* brackets and braces that are not closed */
#define YAML_LINE_MAX 100000u /* characters in one line that may begin a token */

/* Where text[offset] stands: lines by "\n", columns by characters. Owns nothing. */
struct node yaml_position(const char *file, const char *text, size_t offset);

/* At most YAML_BYTES_MAX bytes of UTF-8 without NUL, with known directives and few enough tokens;
 * else -1 with *e. A byte order mark was taken away before. */
int yaml_check_text(const char *file, const char *text, size_t n, struct err *e);
