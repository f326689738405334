/* oci/emulate.h - whether this machine can run an image's programs, made so where it can be. */
#pragma once
#include <stdbool.h>

#include "base/err.h"

/* Whether programs of an OCI architecture run here without help: "386" on amd64, "arm" on an arm64
 * that can. */
bool oci_is_native(const char *arch);
/* Before programs of that architecture are started: registers qemu-user with the kernel where
 * nobody has. ERR_INVALID with what to install or to do. From the daemon, whose mounts stay. */
int oci_emulate(const char *arch, struct err *e);
