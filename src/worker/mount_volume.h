/* worker/mount_volume.h - what a volume's options say, mounted somewhere. */
#pragma once
#include <jansson.h>

#include "base/err.h"

/* request: {"type", "device", "o", "credentials": a file, or ""}. Options of file systems whose
 * server may be away get their defaults (volume/remote.h). Names are asked of name servers: this
 * may take long. Errors in dockerd's words, for target, with *ret_errno when mount(2) said one. */
int mount_volume_at(const json_t *request, const char *place, int *ret_errno, struct err *e);
