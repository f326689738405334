#include "oci/seccomp.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/json.h"
#include "base/path.h"
#include "oci/caps.h"

#define PROFILE_MAX (4u << 20)

/* Go's architecture names, which includes.arches uses, and seccomp's, which archMap uses. */
struct arch {
	const char *machine, *go, *seccomp;
};

static const struct arch *native_arch(void)
{
	static const struct arch known[] = {
		{"x86_64", "amd64", "SCMP_ARCH_X86_64"},
		{"aarch64", "arm64", "SCMP_ARCH_AARCH64"},
		{"armv7l", "arm", "SCMP_ARCH_ARM"},
		{"armv6l", "arm", "SCMP_ARCH_ARM"},
		{"i686", "x86", "SCMP_ARCH_X86"},
		{"riscv64", "riscv64", "SCMP_ARCH_RISCV64"},
	};
	static const struct arch other = {"", "", ""};
	struct utsname u;
	uname(&u);
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (strcmp(known[i].machine, u.machine) == 0) {
			return &known[i];
		}
	}
	return &other;
}

static bool list_has(const json_t *list, const char *text)
{
	size_t i;
	json_t *item;
	json_array_foreach (list, i, item) {
		const char *s = json_string_value(item);
		if (s && strcmp(s, text) == 0) {
			return true;
		}
	}
	return false;
}

/* The first two numbers of "6.1.0-18-amd64". */
static bool read_version(const char *text, long ret[2])
{
	char *end;
	ret[0] = strtol(text, &end, 10);
	if (end == text || *end != '.') {
		return false;
	}
	const char *minor = end + 1;
	ret[1] = strtol(minor, &end, 10);
	return end > minor;
}

/* "4.8" against the running kernel. */
static bool kernel_at_least(const char *wanted)
{
	struct utsname u;
	long have[2];
	long want[2];
	uname(&u);
	if (!read_version(u.release, have) || !read_version(wanted, want)) {
		return false;
	}
	return have[0] > want[0] || (have[0] == want[0] && have[1] >= want[1]);
}

static bool any_cap(const json_t *list, uint64_t caps)
{
	size_t i;
	json_t *item;
	json_array_foreach (list, i, item) {
		const char *name = json_string_value(item);
		if (name && oci_caps_has(caps, name)) {
			return true;
		}
	}
	return false;
}

static bool all_caps(const json_t *list, uint64_t caps)
{
	size_t i;
	json_t *item;
	json_array_foreach (list, i, item) {
		const char *name = json_string_value(item);
		if (!name || !oci_caps_has(caps, name)) {
			return false;
		}
	}
	return true;
}

static bool rule_applies(const json_t *rule, const struct arch *arch, uint64_t caps)
{
	const json_t *in = json_object_get(rule, "includes");
	const json_t *ex = json_object_get(rule, "excludes");
	const json_t *in_arches = json_object_get(in, "arches");
	const char *in_kernel = json_str(in, "minKernel");
	const char *ex_kernel = json_str(ex, "minKernel");
	if (list_has(json_object_get(ex, "arches"), arch->go) ||
		any_cap(json_object_get(ex, "caps"), caps) ||
		(*ex_kernel && kernel_at_least(ex_kernel))) {
		return false;
	}
	return (json_array_size(in_arches) == 0 || list_has(in_arches, arch->go)) &&
	       all_caps(json_object_get(in, "caps"), caps) &&
	       (!*in_kernel || kernel_at_least(in_kernel));
}

/* The OCI rule: names, action, args, errnoRet. */
static json_t *convert_rule(const json_t *rule)
{
	json_t *names = json_object_get(rule, "names");
	json_t *out = json_object();
	if (names) {
		json_put(out, "names", json_incref(names));
	} else {
		json_put(out, "names", json_pack("[O]", json_object_get(rule, "name")));
	}
	json_put(out, "action", json_incref(json_object_get(rule, "action")));
	json_t *args = json_object_get(rule, "args");
	if (json_array_size(args) > 0) {
		json_put(out, "args", json_incref(args));
	}
	json_t *errno_ret = json_object_get(rule, "errnoRet");
	if (json_is_integer(errno_ret)) {
		json_put(out, "errnoRet", json_incref(errno_ret));
	}
	return out;
}

static int check_rule(const json_t *rule, size_t i, struct err *e)
{
	bool named = json_array_size(json_object_get(rule, "names")) > 0 ||
		     json_is_string(json_object_get(rule, "name"));
	if (!named || !json_is_string(json_object_get(rule, "action"))) {
		return err_set(e, ERR_INVALID,
			"seccomp profile: syscalls[%zu] needs names and an action", i);
	}
	return 0;
}

static json_t *architectures(const json_t *profile, const struct arch *arch)
{
	json_t *plain = json_object_get(profile, "architectures");
	if (json_is_array(plain)) {
		return json_incref(plain);
	}
	json_t *list = json_array();
	size_t i;
	json_t *row;
	json_array_foreach (json_object_get(profile, "archMap"), i, row) {
		if (strcmp(json_str(row, "architecture"), arch->seccomp) == 0) {
			json_array_append_new(list, json_string(arch->seccomp));
			json_array_extend(list, json_object_get(row, "subArchitectures"));
		}
	}
	return list;
}

json_t *oci_seccomp_convert(const json_t *profile, uint64_t caps, struct err *e)
{
	const struct arch *arch = native_arch();
	json_t *rules = json_object_get(profile, "syscalls");
	json_t *action = json_object_get(profile, "defaultAction");
	if (!json_is_string(action) || !json_is_array(rules)) {
		err_set(e, ERR_INVALID, "seccomp profile: defaultAction and syscalls are missing");
		return NULL;
	}
	scoped(json) json_t *out = json_object();
	json_put(out, "defaultAction", json_incref(action));
	json_t *errno_ret = json_object_get(profile, "defaultErrnoRet");
	if (json_is_integer(errno_ret)) {
		json_put(out, "defaultErrnoRet", json_incref(errno_ret));
	}
	json_put(out, "architectures", architectures(profile, arch));
	json_t *converted = json_array();
	json_put(out, "syscalls", converted);
	size_t i;
	json_t *rule;
	json_array_foreach (rules, i, rule) {
		if (check_rule(rule, i, e) < 0) {
			return NULL;
		}
		if (rule_applies(rule, arch, caps)) {
			json_array_append_new(converted, convert_rule(rule));
		}
	}
	return TAKE(out);
}

json_t *oci_seccomp_read(const char *path, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	int r = path_read(AT_FDCWD, path, PROFILE_MAX, &text);
	if (r < 0) {
		err_sys(e, -r, "cannot read the seccomp profile %s", path);
		return NULL;
	}
	return json_parse(buf_str(&text), text.len, path, e);
}
