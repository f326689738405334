/* oci/platform.h - which of an image's platforms this machine runs best. Pure but for
 * platform_host. */
#pragma once
#include "base/err.h"

struct platform {
	char os[32];
	char arch[32];
	char variant[32]; /* "" where there is none */
};

void platform_host(struct platform *ret);
/* "v5" to "v8", of the machine that uname(2) names, for 32-bit programs. */
const char *platform_arm_variant(const char *machine);
/* "linux/arm/v7", "linux/arm64", "arm64", or "" for the host's. ERR_INVALID otherwise. */
int platform_parse(const char *text, struct platform *ret, struct err *e);
/* 0: cannot run; the higher, the better. An empty variant of have is the architecture's oldest
 * common one. arm64 also runs arm, and amd64 386, when there is nothing better. */
int platform_match(
	const struct platform *want, const char *os, const char *arch, const char *variant);
