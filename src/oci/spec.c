#include "oci/spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "oci/caps.h"
#include "oci/device_rules.h"
#include "oci/filter.h"

#define SHM_DEFAULT (INT64_C(64) << 20)

/* moby oci/defaults.go */
static const char *const masked_paths[] = {"/proc/asound", "/proc/acpi", "/proc/kcore",
	"/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
	"/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"};
static const char *const readonly_paths[] = {
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static json_t *texts(const char *const *list, size_t n)
{
	json_t *out = json_array();
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(out, json_string(list[i]));
	}
	return out;
}

json_t *oci_default_masked_paths(void)
{
	return texts(masked_paths, COUNT(masked_paths));
}

json_t *oci_default_readonly_paths(void)
{
	return texts(readonly_paths, COUNT(readonly_paths));
}

static json_t *options_json(const char *options)
{
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, options, ',');
	return json_strv(&parts);
}

static json_t *mount_json(const struct oci_mount *m)
{
	return json_pack("{ss ss ss so}", "destination", m->target, "type", m->type, "source",
		m->source, "options", options_json(m->options));
}

static bool is_below(const char *target, const char *place)
{
	size_t n = strlen(place);
	return strncmp(target, place, n) == 0 && (target[n] == '/' || target[n] == '\0');
}

/* True when the caller mounts something at a default's place: the default steps back, and with /dev
 * all in it (moby oci_linux.go withMounts). */
static bool is_taken(const struct oci_spec *s, const char *target)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		const char *own = s->mounts[i].target;
		if (strcmp(own, target) == 0 ||
			(strcmp(own, "/dev") == 0 && is_below(target, "/dev"))) {
			return true;
		}
	}
	return false;
}

/* Where the engine mounts: what the caller mounts there comes after it. */
static bool is_engines(const char *target)
{
	return is_below(target, "/dev") || is_below(target, "/proc") || is_below(target, "/sys");
}

static void add_mounts(json_t *out, const struct oci_spec *s, bool engines)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		if (is_engines(s->mounts[i].target) == engines) {
			json_array_append_new(out, mount_json(&s->mounts[i]));
		}
	}
}

static json_t *mounts_json(const struct oci_spec *s)
{
	char shm[64];
	snprintf(shm, sizeof(shm), "nosuid,noexec,nodev,mode=1777,size=%lld",
		(long long)(s->shm_bytes ? s->shm_bytes : SHM_DEFAULT));
	const char *sys = s->privileged ? "nosuid,noexec,nodev" : "nosuid,noexec,nodev,ro";
	/* /dev is always a tmpfs: with an image's own /dev, crun would make device nodes wherever a
	 * link of the image leads (CVE-2026-47766) */
	const struct oci_mount defaults[] = {
		{"proc", "/proc", "proc", "nosuid,noexec,nodev"},
		{"tmpfs", "/dev", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"},
		{"devpts", "/dev/pts", "devpts",
			"nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"},
		{"sysfs", "/sys", "sysfs", sys},
		{"cgroup", "/sys/fs/cgroup", "cgroup",
			s->privileged ? "nosuid,noexec,nodev" : "nosuid,noexec,nodev,ro"},
		{"mqueue", "/dev/mqueue", "mqueue", "nosuid,noexec,nodev"},
		{"shm", "/dev/shm", "tmpfs", shm},
	};
	json_t *out = json_array();
	/* first, so that the defaults cover them: "/x" may be a link of the image to /dev, and its
	 * content then the /dev/null that the runtime binds over masked paths (the class of
	 * CVE-2025-31133) */
	add_mounts(out, s, false);
	for (size_t i = 0; i < COUNT(defaults); i++) {
		bool left_out = s->no_shm && strcmp(defaults[i].target, "/dev/shm") == 0;
		if (!left_out && !is_taken(s, defaults[i].target)) {
			json_array_append_new(out, mount_json(&defaults[i]));
		}
	}
	add_mounts(out, s, true);
	return out;
}

static void add_namespace(json_t *list, const char *type, const char *path)
{
	json_t *o = json_pack("{ss}", "type", type);
	if (path) {
		json_put_str(o, "path", path);
	}
	json_array_append_new(list, o);
}

/* "host": no entry; a path: join it; NULL: a new one */
static void add_choice(json_t *list, const char *type, const char *choice)
{
	if (!choice || strcmp(choice, "host") != 0) {
		add_namespace(list, type, choice);
	}
}

static json_t *namespaces_json(const struct oci_spec *s)
{
	json_t *list = json_array();
	add_namespace(list, "mount", NULL);
	add_choice(list, "pid", s->pid_ns);
	add_choice(list, "ipc", s->ipc_ns);
	add_choice(list, "uts", s->uts_ns);
	if (s->netns_inherited) {
		add_namespace(list, "network", "/proc/self/ns/net");
	} else if (s->netns) {
		add_namespace(list, "network", s->netns);
	}
	if (s->cgroup_ns) {
		add_namespace(list, "cgroup", NULL);
	}
	return list;
}

static int device_rules_json(const struct oci_spec *s, json_t **ret, struct err *e)
{
	if (s->privileged) {
		*ret = json_pack("[{sb ss}]", "allow", 1, "access", "rwm");
		return 0;
	}
	return oci_device_rules(s->devices, s->n_devices, s->device_rules, ret, e);
}

static json_t *devices_json(const struct oci_spec *s)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->n_devices; i++) {
		const struct oci_device *d = &s->devices[i];
		const char type[2] = {d->type, '\0'};
		json_array_append_new(
			list, json_pack("{ss ss si si si si si}", "path", d->path, "type", type,
				      "major", (int)d->major, "minor", (int)d->minor, "fileMode",
				      (int)d->mode, "uid", (int)d->uid, "gid", (int)d->gid));
	}
	return list;
}

/* As execve leaves them: a user other than root keeps only the bounding set. No inheritable ones
 * (CVE-2022-24769). */
static json_t *capabilities_json(uint64_t caps, uid_t uid)
{
	json_t *o = json_object();
	json_put(o, "bounding", oci_caps_json(caps));
	if (uid == 0) {
		json_put(o, "effective", oci_caps_json(caps));
		json_put(o, "permitted", oci_caps_json(caps));
	}
	return o;
}

static int process_json(const struct oci_spec *s, json_t **ret, struct err *e)
{
	uint64_t caps;
	if (oci_caps_resolve(s->cap_add, s->cap_drop, s->privileged, &caps, e) < 0) {
		return -1;
	}
	json_t *user = json_pack(
		"{sI sI si}", "uid", (json_int_t)s->uid, "gid", (json_int_t)s->gid, "umask", 022);
	/* the primary group too: a file that denies it must not be open to the process by another
	 * way (CVE-2022-36109) */
	json_t *groups = json_pack("[I]", (json_int_t)s->gid);
	for (size_t i = 0; i < s->n_groups; i++) {
		if (s->groups[i] != s->gid) {
			json_array_append_new(groups, json_integer(s->groups[i]));
		}
	}
	json_put(user, "additionalGids", groups);

	json_t *o = json_object();
	json_put(o, "terminal", json_boolean(s->tty));
	if (s->tty && s->tty_width && s->tty_height) {
		json_put(o, "consoleSize",
			json_pack("{si si}", "height", (int)s->tty_height, "width",
				(int)s->tty_width));
	}
	json_put(o, "user", user);
	json_put(o, "args", json_strv(s->args));
	json_put(o, "env", json_strv(s->env));
	json_put_str(o, "cwd", s->cwd && *s->cwd ? s->cwd : "/");
	json_put(o, "capabilities", capabilities_json(caps, s->uid));
	json_put(o, "noNewPrivileges", json_boolean(s->no_new_privileges));
	if (s->rlimits) {
		json_put(o, "rlimits", json_incref((json_t *)s->rlimits));
	}
	if (s->oom_score_adj != 0) {
		json_put(o, "oomScoreAdj", json_integer(s->oom_score_adj));
	}
	*ret = o;
	return 0;
}

/* Lists of the caller's hold for a privileged container too, the defaults do not. */
static void put_paths(json_t *o, const char *key, const struct oci_spec *s, const json_t *own,
	json_t *(*defaults)(void))
{
	if (!s->unmasked && own) {
		json_put(o, key, json_incref((json_t *)own));
	} else if (!s->unmasked && !s->privileged) {
		json_put(o, key, defaults());
	}
}

static int linux_json(const struct oci_spec *s, json_t **ret, struct err *e)
{
	scoped(json) json_t *o = json_object();
	json_t *rules;
	if (device_rules_json(s, &rules, e) < 0) {
		return -1;
	}
	json_t *resources = s->resources ? json_deep_copy(s->resources) : json_object();
	json_put(resources, "devices", rules);
	json_put(o, "resources", resources);
	json_put_str(o, "cgroupsPath", s->cgroup);
	json_put(o, "namespaces", namespaces_json(s));
	json_put(o, "devices", devices_json(s));
	json_put(o, "sysctl", s->sysctls ? json_incref((json_t *)s->sysctls) : json_object());
	put_paths(o, "maskedPaths", s, s->masked_paths, oci_default_masked_paths);
	put_paths(o, "readonlyPaths", s, s->readonly_paths, oci_default_readonly_paths);
	if (s->root_propagation) {
		json_put_str(o, "rootfsPropagation", s->root_propagation);
	}
	if (s->seccomp && !s->privileged) {
		json_t *seccomp =
			json_parse(s->seccomp, strlen(s->seccomp), "the seccomp profile", e);
		if (!seccomp) {
			return -1;
		}
		json_put(o, "seccomp", seccomp);
	}
	*ret = TAKE(o);
	return 0;
}

/* A filter that the user brings in this way goes first. NULL: none. */
static json_t *annotations_json(const struct oci_spec *s)
{
	if (!s->filter || json_object_get(s->annotations, OCI_FILTER_ANNOTATION)) {
		return json_incref((json_t *)s->annotations);
	}
	json_t *o = s->annotations ? json_copy((json_t *)s->annotations) : json_object();
	json_put_str(o, OCI_FILTER_ANNOTATION, s->filter);
	return o;
}

int oci_spec_text(const struct oci_spec *s, char **ret_text, struct err *e)
{
	json_t *process;
	json_t *linux_part;
	if (process_json(s, &process, e) < 0) {
		return -1;
	}
	if (linux_json(s, &linux_part, e) < 0) {
		json_decref(process);
		return -1;
	}
	scoped(json) json_t *doc = json_object();
	json_put_str(doc, "ociVersion", "1.0.2");
	json_put(doc, "process", process);
	json_put(doc, "root",
		json_pack("{ss sb}", "path", s->rootfs, "readonly", s->rootfs_readonly));
	if (s->hostname && *s->hostname && !(s->uts_ns && strcmp(s->uts_ns, "host") == 0)) {
		json_put_str(doc, "hostname", s->hostname);
	}
	if (s->domainname && *s->domainname) {
		json_put_str(doc, "domainname", s->domainname);
	}
	json_put(doc, "mounts", mounts_json(s));
	json_put(doc, "linux", linux_part);
	json_t *annotations = annotations_json(s);
	if (annotations) {
		json_put(doc, "annotations", annotations);
	}
	*ret_text = json_text(doc);
	return 0;
}

int oci_process_text(const struct oci_spec *s, char **ret_text, struct err *e)
{
	json_t *process;
	if (process_json(s, &process, e) < 0) {
		return -1;
	}
	*ret_text = json_text(process);
	json_decref(process);
	return 0;
}
