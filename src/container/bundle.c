/* The OCI bundle of a container: config.json, and the process of an exec. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "container/bundle.h"
#include "container/mount_rules.h"
#include "container/patience.h"
#include "container/plug.h"
#include "container/storage.h"
#include "container/volume_watch.h"
#include "image/image.h"
#include "oci/passwd.h"
#include "oci/seccomp.h"
#include "oci/spec.h"
#include "sys/mounts.h"

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
	if (json_bool(host, "Init") && !find_init()) {
		return err_set(e, ERR_INVALID,
			"no init program is installed for --init: apt-get install tini");
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

static int add_tmpfs(const struct mount_point *m, struct mount_texts *t, struct err *e)
{
	char *options;
	if (mount_tmpfs_options(m->options ? m->options : "", &options, e) < 0) {
		return -1;
	}
	const char *kept = keep(t, options);
	add_mount(t, "tmpfs", m->target, "tmpfs",
		m->read_only ? keep(t, xasprintf("%s,ro", kept)) : kept);
	return 0;
}

/* Read-only goes down to the mounts below it, as far as kernel and runtime can: Docker 25. */
static int access_option(const struct container *c, const struct mount_point *m, const char *source,
	const char **ret, struct err *e)
{
	struct stat st;
	bool read_only = m->read_only || container_volume_read_only(c, m);
	bool recursive = runtime_is_own(c) && mount_can_set_attributes() && !m->non_recursive;
	/* a volume is a directory; its server is not to be asked */
	if (m->kind == MOUNT_BIND && patience_stat(c->set->patience, source, &st) == 0 &&
		!S_ISDIR(st.st_mode)) {
		*ret = m->read_only ? ",ro"
				    : ""; /* crun's rro opens a directory; nothing is below */
		return 0;
	}
	if (m->forced_read_only && !m->non_recursive && !recursive) {
		return err_set(e, ERR_INVALID,
			"recursive read-only mounts need Linux 5.12 and the runtime crun");
	}
	*ret = !read_only ? "" : recursive && !m->shallow_read_only ? ",rro" : ",ro";
	return 0;
}

/* Nothing comes through a mount that is in no peer group: said rather than ignored, as dockerd. */
static int check_propagation(const struct mount_point *m, const char *source, struct err *e)
{
	if (!mount_propagation_is_slave(m->propagation) &&
		!mount_propagation_is_shared(m->propagation)) {
		return 0;
	}
	scoped(buf) struct buf text = BUF_INIT;
	int r = path_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text);
	if (r < 0) {
		return err_sys(e, -r, "cannot read /proc/self/mountinfo");
	}
	scoped(free) char *refusal =
		mount_propagation_refusal(buf_str(&text), source, m->propagation);
	return refusal ? err_set(e, ERR_SYSTEM, "%.250s", refusal) : 0;
}

static void add_place(void *arg, char *take_source, const char *target, const char *options)
{
	struct mount_texts *t = arg;
	add_mount(t, keep(t, take_source), target, "bind", keep(t, xstrdup(options)));
}

static int add_bind(const struct container *c, size_t i, struct mount_texts *t, struct err *e)
{
	const struct mount_point *m = &c->mounts.v[i];
	const char *access;
	if (m->kind == MOUNT_IMAGE) {
		add_mount(t, keep(t, mount_pin_path(c, i)), m->target, "bind", "bind,ro,rprivate");
		return 0;
	}
	char *source = mount_source(c, m, e);
	if (!source) {
		return -1;
	}
	const char *kept = keep(t, source);
	if (check_propagation(m, kept, e) < 0 || access_option(c, m, kept, &access, e) < 0) {
		return -1;
	}
	if (volume_watch_of(c, m)) {
		volume_watch_mounts(c, m, access, add_place, t);
		return 0;
	}
	/* crun binds what is below as soon as one of the words is recursive */
	const char *propagation = m->propagation ? m->propagation : "rprivate";
	propagation += m->non_recursive && *propagation == 'r' ? 1 : 0;
	char *options =
		xasprintf("%s,%s%s", m->non_recursive ? "bind" : "rbind", propagation, access);
	if (mount_is_pinned(m)) {
		kept = keep(t, mount_pin_path(c, i));
	}
	add_mount(t, kept, m->target, "bind", keep(t, options));
	return 0;
}

static int add_user_mounts(const struct container *c, struct mount_texts *t, struct err *e)
{
	for (size_t i = 0; i < c->mounts.n; i++) {
		if (optional_mount_is_missing(c, &c->mounts.v[i])) {
			continue;
		}
		int r = c->mounts.v[i].kind == MOUNT_TMPFS ? add_tmpfs(&c->mounts.v[i], t, e)
							   : add_bind(c, i, t, e);
		if (r < 0) {
			return -1;
		}
	}
	return 0;
}

/* As the mount that asks for most needs the root to be: runtime-spec rootfsPropagation. */
static const char *root_propagation(const struct container *c)
{
	const char *found = c->storage ? "rslave" : NULL;
	for (size_t i = 0; i < c->mounts.n; i++) {
		if (mount_propagation_is_shared(c->mounts.v[i].propagation)) {
			return "shared";
		}
		if (mount_propagation_is_slave(c->mounts.v[i].propagation) ||
			volume_watch_of(c, &c->mounts.v[i])) {
			found = "rslave";
		}
	}
	return found;
}

static int read_mounts(const struct container *c, struct mount_texts *t, struct err *e)
{
	static const char *const files[] = {"resolv.conf", "hostname", "hosts"};
	if (add_user_mounts(c, t, e) < 0) {
		return -1;
	}
	/* the owner's own files, not copies: who rewrites his resolv.conf means all who share it */
	const char *etc = container_etc_owner(c)->dir;
	for (size_t i = 0; i < 3; i++) {
		char *target = xasprintf("/etc/%s", files[i]);
		const char *inside = keep(t, target);
		if (!has_target(&c->mounts, inside)) {
			add_mount(t, keep(t, xasprintf("%s/%s", etc, files[i])), inside, "bind",
				"rbind,rprivate");
		}
	}
	storage_mounts(c, add_place, t);
	if (plug_udev_dir(c)) {
		add_mount(t, plug_udev_dir(c), "/run/udev", "bind",
			"bind,ro,rprivate,nosuid,noexec,nodev");
	}
	if (json_bool(c->host_config, "Init")) {
		add_mount(t, find_init(), INIT_INSIDE, "bind", "bind,ro,rprivate");
	}
	if (strcmp(json_str(c->host_config, "IpcMode"), "host") == 0) {
		add_mount(t, "/dev/shm", "/dev/shm", "bind", "rbind,rprivate");
	} else if (container_of_mode(c, "IpcMode")) {
		add_mount(t, keep(t, xasprintf("%s/pins/shm", c->run_dir)), "/dev/shm", "bind",
			"rbind,rprivate");
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

/* --- config.json --- */

struct bundle {
	struct oci_user user;
	struct strv args, env, cap_add, cap_drop;
	struct security security;
	struct mount_texts mounts;
	struct device_list devices;
	json_t *resources, *rlimits;
	char *seccomp, *filter, *netns, *pid_ns, *ipc_ns, *rootfs, *cgroup;
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
	free(b->filter);
	free(b->netns);
	free(b->pid_ns);
	free(b->ipc_ns);
	free(b->rootfs);
	free(b->cgroup);
	free(b);
}
SCOPED(struct bundle *, bundle_deinit)

static int bundle_read(struct container *c, struct bundle *b, struct err *e)
{
	const json_t *host = c->host_config;
	bool tty = json_bool(c->config, "Tty");
	uint64_t caps;
	if (bundle_find_user(c, json_str(c->config, "User"), &b->user, e) < 0 ||
		read_args(c, &b->args, e) < 0 || read_env(c, tty, b->user.home, &b->env, e) < 0 ||
		security_read(host, &b->security, e) < 0 ||
		security_caps(host, &b->cap_add, &b->cap_drop, &caps, e) < 0 ||
		security_seccomp(c->set, host, &b->security, caps, &b->seccomp, e) < 0 ||
		plug_prepare(c, &b->devices, e) < 0 || read_mounts(c, &b->mounts, e) < 0 ||
		limits_resources(host, &b->resources, e) < 0 ||
		limits_rlimits(host, &b->rlimits, e) < 0) {
		return -1;
	}
	return mode_namespace(c, "NetworkMode", "net", &b->netns, e) < 0 ||
			       mode_namespace(c, "PidMode", "pid", &b->pid_ns, e) < 0 ||
			       mode_namespace(c, "IpcMode", "ipc", &b->ipc_ns, e) < 0
		       ? -1
		       : 0;
}

static struct oci_spec spec_of(const struct container *c, struct bundle *b)
{
	const json_t *host = c->host_config;
	const json_t *size = json_object_get(host, "ConsoleSize");
	const json_t *sysctls = json_object_get(host, "Sysctls");
	const json_t *rules = json_object_get(host, "DeviceCgroupRules");
	const json_t *masked = json_object_get(host, "MaskedPaths");
	const json_t *readonly = json_object_get(host, "ReadonlyPaths");
	const json_t *annotations = json_object_get(host, "Annotations");
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
		.filter = b->filter,
		.unmasked = b->security.unmasked,
		.masked_paths = json_is_array(masked) ? masked : NULL,
		.readonly_paths = json_is_array(readonly) ? readonly : NULL,
		.annotations = json_is_object(annotations) ? annotations : NULL,
		.root_propagation = root_propagation(c),
		.no_shm = strcmp(json_str(host, "IpcMode"), "none") == 0,
		.cgroup_ns = strcmp(json_str(host, "CgroupnsMode"), "private") == 0,
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
		.oom_score_adj = limits_oom_score(host),
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
	b->filter = security_filter(c, b->seccomp);
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
		.oom_score_adj = limits_oom_score(host),
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
