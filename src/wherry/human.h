/* wherry/human.h - numbers as the docker CLI prints them (docker/go-units, docker/cli formatter).
 */
#pragma once
#include <jansson.h>
#include <stdint.h>

#include "base/buf.h"

#define HUMAN_MAX 32

/* "133MB", "1.09kB", "0B": base 1000, precision digits that matter (3 for images, 4 for progress).
 * Returns text. */
const char *human_size(double bytes, int precision, char text[static HUMAN_MAX]);
/* "5 minutes ago" of a time in seconds since 1970. */
void human_ago(int64_t seconds, int64_t now, struct buf *ret);
/* The PORTS column from the Ports array of a container: "0.0.0.0:80->80/tcp, [::]:80->80/tcp",
 * ranges joined. */
void human_ports(const json_t *ports, struct buf *ret);
/* The first n bytes of a text, the last of them "…" when it was longer (counts characters). */
void human_ellipsis(const char *text, size_t n, struct buf *ret);
/* "sha256:abc..." to its first 12 digits; borrowed static length in ret. */
const char *human_short_id(const char *id, char ret[static 13]);
