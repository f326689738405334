/* compose/go_json.h - JSON byte for byte as Go's encoding/json writes it: docker compose's hashes
 * are taken of that. */
#pragma once
#include "base/buf.h"

/* With its quotes; HTML's characters and JavaScript's line ends are escaped. */
void go_json_string(struct buf *b, const char *text);
/* A member begins: after "{" without, otherwise with a comma. */
void go_json_key(struct buf *b, const char *key);
