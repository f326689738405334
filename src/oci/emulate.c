#include "oci/emulate.h"

#include <errno.h>
#include <string.h>
#include <sys/personality.h>

#include "oci/platform.h"
#include "sys/binfmt.h"

/* 64-bit Arm cores without 32-bit mode exist; the kernel refuses their 32-bit personality. */
static bool runs_arm(void)
{
	int before = personality(0xffffffff);
	if (before < 0 || personality(PER_LINUX32) < 0) {
		return false;
	}
	personality((unsigned long)before);
	return true;
}

bool oci_is_native(const char *arch)
{
	struct platform host;
	platform_host(&host);
	if (strcmp(host.arch, arch) == 0) {
		return true;
	}
	if (strcmp(host.arch, "amd64") == 0) {
		return strcmp(arch, "386") == 0;
	}
	return strcmp(host.arch, "arm64") == 0 && strcmp(arch, "arm") == 0 && runs_arm();
}

int oci_emulate(const char *arch, struct err *e)
{
	if (oci_is_native(arch)) {
		return 0;
	}
	int r = binfmt_ensure(&(struct binfmt_paths){0}, arch);
	switch (r) {
	case 0:
	case 1:
		return 0;
	case -ENOENT:
		return err_set(e, ERR_INVALID,
			"programs for %.40s need qemu-user on this machine: apt-get install qemu-user-static",
			arch);
	case -ENOSYS:
		return err_set(
			e, ERR_INVALID, "programs for %.40s cannot run on this machine", arch);
	case -EPERM:
		return err_set(e, ERR_INVALID,
			"programs for %.40s cannot run: " BINFMT_DIR
			"/status or /wherry-qemu-%s says disabled (echo 1 enables it)",
			arch, binfmt_qemu_name(arch));
	default:
		return err_sys(e, -r,
			"programs for %.40s cannot run: the kernel's binfmt_misc (" BINFMT_DIR ")",
			arch);
	}
}
