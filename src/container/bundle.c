/* The OCI bundle of a container: config.json, and the process of an exec. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "container/bundle.h"
#include "image/image.h"
#include "oci/passwd.h"
#include "oci/seccomp.h"
#include "oci/spec.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define INIT_INSIDE "/sbin/docker-init"

static const char *find_init(void)
{
	static const char *const places[] = {"/usr/libexec/docker/docker-init",
		"/usr/bin/docker-init", "/usr/bin/tini-static", "/usr/bin/tini",
		"/usr/bin/dumb-init"};
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		if (access(places[i], X_OK) == 0) {
			return places[i];
		}
	}
	return NULL;
}

int bundle_check(const json_t *config, const json_t *host, struct err *e)
{
	scoped(strv) struct strv add = STRV_INIT;
	scoped(strv) struct strv drop = STRV_INIT;
	struct security security;
	uint64_t caps;
	size_t i;
	json_t *item;
	if (security_read(host, &security, e) < 0 ||
		security_caps(host, &add, &drop, &caps, e) < 0) {
		return -1;
	}
	if (security.profile) {
		json_t *profile = json_parse(
			security.profile, strlen(security.profile), "the seccomp profile", e);
		json_t *converted = profile ? oci_seccomp_convert(profile, caps, e) : NULL;
		json_decref(profile);
		if (!converted) {
			return -1;
		}
		json_decref(converted);
	}
	json_array_foreach (json_object_get(host, "ExtraHosts"), i, item) {
		char *name;
		const char *address;
		if (etc_split_host(json_string_value(item), &name, &address, e) < 0) {
			return -1;
		}
		free(name);
	}
	if (json_bool(host, "Init") && !find_init()) {
		return err_set(e, ERR_INVALID,
			"no init program is installed for --init: apt-get install tini");
	}
	const char *ipc = json_str(host, "IpcMode");
	if (*ipc && strcmp(ipc, "private") != 0 && strcmp(ipc, "shareable") != 0 &&
		strcmp(ipc, "host") != 0 && strcmp(ipc, "none") != 0 &&
		!text_starts(ipc, "container:")) {
		return err_set(e, ERR_INVALID, "invalid IPC mode: %.64s", ipc);
	}
	const char *pid = json_str(host, "PidMode");
	if (*pid && strcmp(pid, "host") != 0 && !text_starts(pid, "container:")) {
		return err_set(e, ERR_INVALID, "invalid PID mode: %.64s", pid);
	}
	return 0;
}

/* --- mounts --- */

struct mount_texts {
	struct oci_mount *v;
	size_t n;
	struct strv texts; /* owns what v borrows */
};

static const char *keep(struct mount_texts *t, char *take_text)
{
	strv_take(&t->texts, take_text);
	return t->texts.v[t->texts.n - 1];
}

static void add_mount(struct mount_texts *t, const char *source, const char *target,
	const char *type, const char *options)
{
	t->v = xrealloc(t->v, t->n + 1, sizeof(*t->v));
	t->v[t->n++] = (struct oci_mount){source, target, type, options};
}

static bool has_target(const struct mount_list *list, const char *target)
{
	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(list->v[i].target, target) == 0) {
			return true;
		}
	}
	return false;
}

static int add_user_mounts(const struct container *c, struct mount_texts *t, struct err *e)
{
	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct mount_point *m = &c->mounts.v[i];
		if (m->kind == MOUNT_TMPFS) {
			const char *given = m->options && *m->options ? m->options : NULL;
			char *options = xasprintf("noexec,nosuid,nodev%s%s%s", given ? "," : "",
				given ? given : "", m->read_only ? ",ro" : "");
			add_mount(t, "tmpfs", m->target, "tmpfs", keep(t, options));
			continue;
		}
		char *source = mount_source(c, m, e);
		if (!source) {
			return -1;
		}
		char *options = xasprintf("%s,%s%s", m->non_recursive ? "bind" : "rbind",
			m->propagation ? m->propagation : "rprivate",
			m->read_only || container_volume_read_only(c, m) ? ",ro" : "");
		const char *kept = keep(t, source);
		add_mount(t, kept, m->target, "bind", keep(t, options));
	}
	return 0;
}

static int read_mounts(const struct container *c, struct mount_texts *t, struct err *e)
{
	static const char *const files[] = {"resolv.conf", "hostname", "hosts"};
	if (add_user_mounts(c, t, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < 3; i++) {
		char *target = xasprintf("/etc/%s", files[i]);
		const char *inside = keep(t, target);
		if (!has_target(&c->mounts, inside)) {
			add_mount(t, keep(t, xasprintf("%s/%s", c->dir, files[i])), inside, "bind",
				"rbind,rprivate");
		}
	}
	if (json_bool(c->host_config, "Init")) {
		add_mount(t, find_init(), INIT_INSIDE, "bind", "bind,ro,rprivate");
	}
	if (strcmp(json_str(c->host_config, "IpcMode"), "host") == 0) {
		add_mount(t, "/dev/shm", "/dev/shm", "bind", "rbind,rprivate");
	}
	return 0;
}

/* --- the process --- */

static void add_roots(const struct container *c, struct strv *ret)
{
	scoped(free) char *lower = image_lowerdir(c->set->d.images, &c->layers);
	scoped(strv) struct strv names = STRV_INIT;
	strv_split(&names, lower, ':');
	strv_addf(ret, "%s/upper", c->dir);
	for (size_t i = 0; i < names.n; i++) {
		strv_addf(ret, "%s/%s", image_layers_dir(c->set->d.images), names.v[i]);
	}
}

int bundle_find_user(
	const struct container *c, const char *user, struct oci_user *ret, struct err *e)
{
	scoped(strv) struct strv roots = STRV_INIT;
	scoped(strv) struct strv groups = STRV_INIT;
	if (host_list(c->host_config, "GroupAdd", &groups, e) < 0) {
		return -1;
	}
	add_roots(c, &roots);
	return oci_user_find(&roots, user, &groups, ret, e);
}

/* PATH, HOSTNAME and TERM below what image and user say; HOME is the user's when nobody says
 * otherwise. */
static int read_env(
	const struct container *c, bool tty, const char *home, struct strv *ret, struct err *e)
{
	scoped(strv) struct strv given = STRV_INIT;
	if (host_list(c->config, "Env", &given, e) < 0) {
		return -1;
	}
	strv_add(ret, DEFAULT_PATH);
	strv_addf(ret, "HOSTNAME=%s", json_str(c->config, "Hostname"));
	if (tty) {
		strv_add(ret, "TERM=xterm");
	}
	links_add_env(c, ret);
	for (size_t i = 0; i < given.n; i++) {
		if (strchr(given.v[i],
			    '=')) { /* a name alone takes a variable away: docker run -e NAME */
			strv_env_set(ret, given.v[i]);
		}
	}
	if (!strv_env_get(ret, "HOME")) {
		strv_addf(ret, "HOME=%s", home);
	}
	return 0;
}

static int read_args(const struct container *c, struct strv *ret, struct err *e)
{
	if (json_bool(c->host_config, "Init")) {
		strv_add(ret, INIT_INSIDE);
		strv_add(ret, "--");
	}
	return host_list(c->config, "Entrypoint", ret, e) < 0 ||
			       host_list(c->config, "Cmd", ret, e) < 0
		       ? -1
		       : 0;
}

/* --- namespaces shared with others --- */

/* mode: "", "private", "host" or "container:NAME"; *ret: NULL for a new one, "host", or a path (the
 * caller's). */
static int shared_namespace(
	const struct container *c, const char *mode, const char *kind, char **ret, struct err *e)
{
	*ret = NULL;
	if (strcmp(mode, "host") == 0) {
		*ret = xstrdup("host");
		return 0;
	}
	if (!text_starts(mode, "container:")) {
		return 0;
	}
	const struct container *other = container_find(c->set, mode + strlen("container:"), e);
	if (!other) {
		return -1;
	}
	if (!container_is_running(other)) {
		return err_set(e, ERR_CONFLICT, "cannot join %s of a non running container: %s",
			strcmp(kind, "net") == 0 ? "network" : kind, other->id);
	}
	*ret = xasprintf("/proc/%d/ns/%s", (int)other->pid, kind);
	return 0;
}

/* --- config.json --- */

struct bundle {
	struct oci_user user;
	struct strv args, env, cap_add, cap_drop;
	struct security security;
	struct mount_texts mounts;
	struct device_list devices;
	json_t *resources, *rlimits;
	char *seccomp, *netns, *pid_ns, *ipc_ns, *rootfs, *cgroup;
};

static void bundle_deinit(struct bundle *b)
{
	strv_deinit(&b->args);
	strv_deinit(&b->env);
	strv_deinit(&b->cap_add);
	strv_deinit(&b->cap_drop);
	strv_deinit(&b->mounts.texts);
	strv_deinit(&b->devices.paths);
	json_decref(b->resources);
	json_decref(b->rlimits);
	free(b->mounts.v);
	free(b->seccomp);
	free(b->netns);
	free(b->pid_ns);
	free(b->ipc_ns);
	free(b->rootfs);
	free(b->cgroup);
	free(b);
}
SCOPED(struct bundle *, bundle_deinit)

static int bundle_read(const struct container *c, struct bundle *b, struct err *e)
{
	const json_t *host = c->host_config;
	bool tty = json_bool(c->config, "Tty");
	uint64_t caps;
	if (bundle_find_user(c, json_str(c->config, "User"), &b->user, e) < 0 ||
		read_args(c, &b->args, e) < 0 || read_env(c, tty, b->user.home, &b->env, e) < 0 ||
		security_read(host, &b->security, e) < 0 ||
		security_caps(host, &b->cap_add, &b->cap_drop, &caps, e) < 0 ||
		security_seccomp(c->set, host, &b->security, caps, &b->seccomp, e) < 0 ||
		read_mounts(c, &b->mounts, e) < 0 || devices_read(host, &b->devices, e) < 0 ||
		limits_resources(host, &b->resources, e) < 0 ||
		limits_rlimits(host, &b->rlimits, e) < 0) {
		return -1;
	}
	const char *mode = container_network_mode(c);
	return shared_namespace(c, strcmp(mode, "host") == 0 ? "" : mode, "net", &b->netns, e) <
				       0 ||
			       shared_namespace(
				       c, json_str(host, "PidMode"), "pid", &b->pid_ns, e) < 0 ||
			       shared_namespace(
				       c, json_str(host, "IpcMode"), "ipc", &b->ipc_ns, e) < 0
		       ? -1
		       : 0;
}

static struct oci_spec spec_of(const struct container *c, struct bundle *b)
{
	const json_t *host = c->host_config;
	const json_t *size = json_object_get(host, "ConsoleSize");
	const json_t *sysctls = json_object_get(host, "Sysctls");
	const json_t *rules = json_object_get(host, "DeviceCgroupRules");
	return (struct oci_spec){
		.rootfs = b->rootfs,
		.rootfs_readonly = json_bool(host, "ReadonlyRootfs"),
		.hostname = json_str(c->config, "Hostname"),
		.domainname = json_str(c->config, "Domainname"),
		.args = &b->args,
		.env = &b->env,
		.cwd = json_str(c->config, "WorkingDir"),
		.uid = b->user.uid,
		.gid = b->user.gid,
		.groups = b->user.groups,
		.n_groups = b->user.n_groups,
		.tty = json_bool(c->config, "Tty"),
		.privileged = json_bool(host, "Privileged"),
		.cap_add = &b->cap_add,
		.cap_drop = &b->cap_drop,
		.no_new_privileges = b->security.no_new_privileges,
		.seccomp = b->seccomp,
		.unmasked = b->security.unmasked,
		.netns = b->netns,
		.netns_inherited = container_has_own_netns(c),
		.pid_ns = b->pid_ns,
		.ipc_ns = b->ipc_ns,
		.uts_ns = strcmp(json_str(host, "UTSMode"), "host") == 0 ? "host" : NULL,
		.shm_bytes = json_i64(host, "ShmSize", 0),
		.mounts = b->mounts.v,
		.n_mounts = b->mounts.n,
		.devices = b->devices.v,
		.n_devices = b->devices.n,
		.device_rules = json_is_array(rules) ? rules : NULL,
		.cgroup = b->cgroup,
		.resources = b->resources,
		.rlimits = b->rlimits,
		.sysctls = json_is_object(sysctls) ? sysctls : NULL,
		.oom_score_adj = (int)json_i64(host, "OomScoreAdj", 0),
		.tty_height = (unsigned)json_integer_value(json_array_get(size, 0)),
		.tty_width = (unsigned)json_integer_value(json_array_get(size, 1)),
	};
}

int bundle_write(struct container *c, struct err *e)
{
	scoped(bundle_deinit) struct bundle *b = xnew(struct bundle);
	b->rootfs = xasprintf("%s/rootfs", c->run_dir);
	b->cgroup = xasprintf("/%s", c->cgroup);
	int r = path_mkdirs(b->rootfs, 0700);
	if (r < 0) {
		return err_sys(e, -r, "cannot make %s", b->rootfs);
	}
	if (etc_write(c, e) < 0 || bundle_read(c, b, e) < 0) {
		return -1;
	}
	const struct oci_spec spec = spec_of(c, b);
	scoped(free) char *text = NULL;
	if (oci_spec_text(&spec, &text, e) < 0) {
		return -1;
	}
	scoped(free) char *path = xasprintf("%s/config.json", c->run_dir);
	r = path_write(AT_FDCWD, path, text, strlen(text), 0600, false);
	return r < 0 ? err_sys(e, -r, "cannot write %s", path) : 0;
}

/* --- exec --- */

static int exec_env(const struct container *c, const json_t *exec, struct bundle *b, struct err *e)
{
	scoped(strv) struct strv more = STRV_INIT;
	if (read_env(c, json_bool(exec, "Tty"), b->user.home, &b->env, e) < 0 ||
		host_list(exec, "Env", &more, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < more.n; i++) {
		if (strchr(more.v[i], '=')) {
			strv_env_set(&b->env, more.v[i]);
		}
	}
	return 0;
}

int bundle_write_exec(struct container *c, const json_t *exec, const char *file, struct err *e)
{
	scoped(bundle_deinit) struct bundle *b = xnew(struct bundle);
	const json_t *host = c->host_config;
	const json_t *size = json_object_get(exec, "ConsoleSize");
	const char *user =
		*json_str(exec, "User") ? json_str(exec, "User") : json_str(c->config, "User");
	const char *cwd = *json_str(exec, "WorkingDir") ? json_str(exec, "WorkingDir")
							: json_str(c->config, "WorkingDir");
	uint64_t caps;
	if (bundle_find_user(c, user, &b->user, e) < 0 || host_list(exec, "Cmd", &b->args, e) < 0 ||
		exec_env(c, exec, b, e) < 0 || security_read(host, &b->security, e) < 0 ||
		security_caps(host, &b->cap_add, &b->cap_drop, &caps, e) < 0 ||
		limits_rlimits(host, &b->rlimits, e) < 0) {
		return -1;
	}
	const struct oci_spec spec = {
		.args = &b->args,
		.env = &b->env,
		.cwd = cwd,
		.uid = b->user.uid,
		.gid = b->user.gid,
		.groups = b->user.groups,
		.n_groups = b->user.n_groups,
		.tty = json_bool(exec, "Tty"),
		.privileged = json_bool(host, "Privileged") || json_bool(exec, "Privileged"),
		.cap_add = &b->cap_add,
		.cap_drop = &b->cap_drop,
		.no_new_privileges = b->security.no_new_privileges,
		.rlimits = b->rlimits,
		.oom_score_adj = (int)json_i64(host, "OomScoreAdj", 0),
		.tty_height = (unsigned)json_integer_value(json_array_get(size, 0)),
		.tty_width = (unsigned)json_integer_value(json_array_get(size, 1)),
	};
	scoped(free) char *text = NULL;
	if (oci_process_text(&spec, &text, e) < 0) {
		return -1;
	}
	int r = path_write(AT_FDCWD, file, text, strlen(text), 0600, false);
	return r < 0 ? err_sys(e, -r, "cannot write %s", file) : 0;
}
