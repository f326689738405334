/* sys/binfmt.h - programs of other architectures, run by qemu-user through binfmt_misc.
 *
 * A handler with flag F has its interpreter open since it was registered, so that it works in any
 * root file system and mount namespace. Kernel: Documentation/admin-guide/binfmt-misc.rst. The
 * magic bytes of an architecture are the first 20 of an ELF file (elf.h: e_ident, e_type,
 * e_machine). Functions return -errno.
 */
#pragma once
#include <stdbool.h>

#include "base/buf.h"

#define BINFMT_DIR "/proc/sys/fs/binfmt_misc"

/* Where things are; the zero one is the system's. */
struct binfmt_paths {
	const char *dir;      /* binfmt_misc; mounted when it is not */
	const char *programs; /* qemu-ARCH-static: "/usr/bin" */
	const char *links;    /* ARCH-binfmt-P: "/usr/libexec/qemu-binfmt" */
};

/* An OCI architecture ("arm", "riscv64") as qemu names it, or NULL for one that we do not know. */
const char *binfmt_qemu_name(const char *arch);
/* Whether the text of a file in binfmt_misc is an enabled handler that runs arch in any root. */
bool binfmt_handles(const char *entry, const char *arch);
/* What is written to binfmt_misc/register. */
void binfmt_rule(const char *arch, const char *name, const char *interpreter, const char *flags,
	struct buf *ret);

/* 0: a handler was there; 1: it has been registered now. -ENOSYS: an architecture that we do not
 * know; -ENOENT: there is no qemu-user; -EPERM: binfmt_misc is switched off, or our own handler is;
 * else what mount or register said. Some 50 small reads: well below a millisecond. */
int binfmt_ensure(const struct binfmt_paths *p, const char *arch);
