#include "oci/platform.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/scoped.h"
#include "base/strv.h"

/* What this program was compiled for counts, not the kernel: 32-bit userlands run on 64-bit kernels
 * (Raspberry Pi OS). */
#if defined(__x86_64__)
#define HOST_ARCH "amd64"
#elif defined(__aarch64__)
#define HOST_ARCH "arm64"
#elif defined(__arm__)
#define HOST_ARCH "arm"
#elif defined(__i386__)
#define HOST_ARCH "386"
#elif defined(__riscv)
#define HOST_ARCH "riscv64"
#elif defined(__powerpc64__)
#define HOST_ARCH "ppc64le"
#elif defined(__s390x__)
#define HOST_ARCH "s390x"
#elif defined(__loongarch64)
#define HOST_ARCH "loong64"
#else
#define HOST_ARCH "unknown"
#endif

const char *platform_arm_variant(const char *machine)
{
	static const struct {
		const char *begin, *variant;
	} known[] = {{"armv5", "v5"}, {"armv6", "v6"}, {"armv7", "v7"}};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (strncmp(machine, known[i].begin, strlen(known[i].begin)) == 0) {
			return known[i].variant;
		}
	}
	return "v8"; /* armv8l, or a 64-bit kernel below this 32-bit program */
}

void platform_host(struct platform *ret)
{
	*ret = (struct platform){.os = "linux", .arch = HOST_ARCH};
	if (strcmp(ret->arch, "arm64") == 0) {
		strcpy(ret->variant, "v8");
	} else if (strcmp(ret->arch, "arm") == 0) {
		struct utsname u;
		uname(&u);
		snprintf(ret->variant, sizeof(ret->variant), "%s", platform_arm_variant(u.machine));
	}
}

#define OWN_ARCHITECTURE 10 /* better than any variant of an older one */

static void copy(char ret[static 32], const char *text)
{
	snprintf(ret, 32, "%.31s", text);
}

int platform_parse(const char *text, struct platform *ret, struct err *e)
{
	struct platform p;
	platform_host(&p);
	if (!*text) {
		*ret = p;
		return 0;
	}
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, text, '/');
	if (parts.n > 3 || parts.n < 1 || strlen(text) > 64) {
		return err_set(e, ERR_INVALID,
			"invalid platform \"%.64s\": it must be os/architecture/variant", text);
	}
	for (size_t i = 0; i < parts.n; i++) {
		for (char *c = parts.v[i]; *c; c++) {
			*c = (char)tolower((unsigned char)*c);
		}
	}
	if (parts.n == 1) { /* one word is an operating system or an architecture */
		if (strcmp(parts.v[0], "linux") != 0) {
			*p.variant = '\0';
			copy(p.arch, parts.v[0]);
		}
	} else {
		copy(p.os, parts.v[0]);
		copy(p.arch, parts.v[1]);
		copy(p.variant, parts.n == 3 ? parts.v[2] : "");
	}
	if (strcmp(p.arch, "x86_64") == 0) {
		copy(p.arch, "amd64");
	} else if (strcmp(p.arch, "aarch64") == 0) {
		copy(p.arch, "arm64");
	}
	*ret = p;
	return 0;
}

/* "v7" as 7; dflt when empty; 0 for anything else. */
static int variant_number(const char *variant, int dflt)
{
	if (!*variant) {
		return dflt;
	}
	return variant[0] == 'v' && variant[1] >= '1' && variant[1] <= '9' && !variant[2]
		       ? variant[1] - '0'
		       : 0;
}

/* The older architecture that a machine of this one runs too (containerd platforms "Only"). */
static const char *fallback_of(const char *arch)
{
	return strcmp(arch, "arm64") == 0 ? "arm" : strcmp(arch, "amd64") == 0 ? "386" : "";
}

int platform_match(
	const struct platform *want, const char *os, const char *arch, const char *variant)
{
	bool same = strcmp(want->arch, arch) == 0;
	if (strcmp(want->os, os) != 0 || (!same && strcmp(fallback_of(want->arch), arch) != 0)) {
		return 0;
	}
	bool is_arm = strcmp(arch, "arm") == 0;
	int dflt = is_arm ? 7 : strcmp(arch, "arm64") == 0 ? 8 : 1;
	int wanted = same ? variant_number(want->variant, dflt) : is_arm ? 8 : 1;
	int offered = variant_number(variant, dflt);
	if (offered < 1 || offered > wanted) {
		return 0; /* a newer core runs older code of the same family; v6 cannot run v7 */
	}
	return same ? OWN_ARCHITECTURE + offered : offered;
}
