/* oci/seccomp.h - a seccomp profile in Docker's format, made into the OCI linux.seccomp object.
 *
 * Docker's format adds to the OCI one which rules apply for which architectures, capabilities and
 * kernels (moby profiles/seccomp/seccomp.go); the distribution ships it as
 * /usr/share/containers/seccomp.json.
 */
#pragma once
#include <jansson.h>
#include <stdint.h>

#include "base/err.h"

/* profile: the parsed file. caps: what the container will have (oci/caps.h). NULL with ERR_INVALID
 * when the file's shape is wrong: a profile that cannot be understood must not end as "no filter".
 */
json_t *oci_seccomp_convert(const json_t *profile, uint64_t caps, struct err *e);
/* Reads and parses a file of at most 4 MiB. */
json_t *oci_seccomp_read(const char *path, struct err *e);
