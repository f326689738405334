#include "api/reference.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/text.h"
#include "codec/ref.h"
#include "image/image.h"

char *reference_join(const char *repo, const char *tag, struct err *e)
{
	struct ref r;
	char name[REF_TEXT_MAX];
	if (ref_parse(repo, &r, e) < 0) {
		return NULL;
	}
	if (*r.digest) {
		(void)err_set(e, ERR_INVALID, "cannot import digest reference");
		return NULL;
	}
	if (!tag || !*tag) {
		ref_default_tag(&r);
		return xstrdup(ref_familiar(&r, name));
	}
	scoped(free) char *joined = xasprintf("%s:%s", ref_familiar_name(&r, name), tag);
	if (ref_parse(joined, &r, e) < 0 || strcmp(r.tag, tag) != 0) {
		(void)err_set(e, ERR_INVALID, "invalid tag format");
		return NULL;
	}
	return TAKE(joined);
}

/* --- platforms: containerd platforms.Parse --- */

#define PART_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

static void split(const char *platform, struct strv *ret)
{
	for (const char *p = platform;; p++) {
		size_t n = strcspn(p, "/");
		scoped(free) char *part = xstrndup(p, n);
		strv_add(ret, part);
		p += n;
		if (!*p) {
			return;
		}
	}
}

static bool is_in(const char *const *words, const char *word)
{
	for (; *words; words++) {
		if (strcasecmp(*words, word) == 0) {
			return true;
		}
	}
	return false;
}

static bool is_system(const char *word)
{
	static const char *const words[] = {"aix", "android", "darwin", "dragonfly", "freebsd",
		"hurd", "illumos", "ios", "js", "linux", "macos", "nacl", "netbsd", "openbsd",
		"plan9", "solaris", "windows", "zos", NULL};
	return is_in(words, word);
}

static bool is_architecture(const char *word)
{
	static const char *const words[] = {"386", "amd64", "amd64p32", "arm", "armbe", "arm64",
		"arm64be", "ppc64", "ppc64le", "loong64", "mips", "mipsle", "mips64", "mips64le",
		"mips64p32", "mips64p32le", "ppc", "riscv", "riscv64", "s390", "s390x", "sparc",
		"sparc64", "wasm", "aarch64", "armhf", "armel", "i386", "x86_64", "x86-64", NULL};
	return is_in(words, word);
}

int platform_check(const char *platform, struct err *e)
{
	scoped(strv) struct strv parts = STRV_INIT;
	split(platform, &parts);
	for (size_t i = 0; i < parts.n; i++) {
		if (!*parts.v[i] || parts.v[i][strspn(parts.v[i], PART_CHARS)]) {
			return err_set(e, ERR_INVALID,
				"\"%.32s\" is an invalid component of \"%.64s\": platform specifier "
				"component must match \"^[A-Za-z0-9_.-]+$\": invalid argument",
				parts.v[i], platform);
		}
	}
	if (parts.n > 3) {
		return err_set(e, ERR_INVALID,
			"\"%.64s\": cannot parse platform specifier: invalid argument", platform);
	}
	if (parts.n == 1 && !is_system(platform) && !is_architecture(platform)) {
		return err_set(e, ERR_INVALID,
			"\"%.64s\": unknown operating system or architecture: invalid argument",
			platform);
	}
	return 0;
}

int platform_check_import(const char *platform, struct err *e)
{
	scoped(strv) struct strv parts = STRV_INIT;
	if (platform_check(platform, e) < 0) {
		return -1;
	}
	split(platform, &parts);
	bool names_system = parts.n > 1 || is_system(parts.v[0]);
	return names_system && strcasecmp(parts.v[0], "linux") != 0
		       ? err_set(e, ERR_INVALID, "operating system is not supported")
		       : 0;
}

static const char *go_arch(const char *arch)
{
	static const char *const names[][2] = {{"x86_64", "amd64"}, {"x86-64", "amd64"},
		{"aarch64", "arm64"}, {"i386", "386"}, {"armhf", "arm"}, {"armel", "arm"}};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(names[i][0], arch) == 0) {
			return names[i][1];
		}
	}
	return arch;
}

int platform_check_image(
	const struct image *i, const char *name, const char *platform, struct err *e)
{
	scoped(strv) struct strv parts = STRV_INIT;
	if (platform_check(platform, e) < 0) {
		return -1;
	}
	split(platform, &parts);
	const char *os = json_str(i->config, "os");
	const char *arch = json_str(i->config, "architecture");
	bool alone = parts.n == 1;
	const char *want_os = alone && !is_system(parts.v[0]) ? "linux" : parts.v[0];
	const char *want_arch = !alone ? parts.v[1] : is_system(parts.v[0]) ? arch : parts.v[0];
	if (strcmp(want_os, os) == 0 && strcmp(go_arch(want_arch), arch) == 0) {
		return 0;
	}
	return err_set(e, ERR_NOT_FOUND,
		"image with reference %.128s was found but does not match the specified platform: "
		"wanted %.32s/%.32s, actual: %.32s/%.32s",
		name, want_os, go_arch(want_arch), os, arch);
}
