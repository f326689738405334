/* The OCI bundle of a container and the files of /etc that the engine provides. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/scoped.h"
#include "container/internal.h"
#include "image/image.h"
#include "oci/caps.h"
#include "oci/passwd.h"
#include "oci/seccomp.h"
#include "oci/spec.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define DEVICES_MAX 512
#define INIT_INSIDE "/sbin/docker-init"

/* --- security options --- */

struct security {
	bool no_new_privileges, unconfined, unmasked;
	const char *profile; /* JSON text, borrowed; NULL: the daemon's */
};

static int read_security(const json_t *host, struct security *ret, struct err *e)
{
	size_t i;
	json_t *item;
	*ret = (struct security){0};
	json_array_foreach (json_object_get(host, "SecurityOpt"), i, item) {
		const char *o = json_string_value(item);
		const char *value = o + strcspn(o, "=:");
		value += *value ? 1 : 0;
		if (strcmp(o, "no-new-privileges") == 0 || strcmp(o, "no-new-privileges:true") == 0 ||
			strcmp(o, "no-new-privileges=true") == 0) {
			ret->no_new_privileges = true;
		} else if (strcmp(o, "no-new-privileges:false") == 0 || strcmp(o, "no-new-privileges=false") == 0) {
			ret->no_new_privileges = false;
		} else if (text_starts(o, "seccomp=") || text_starts(o, "seccomp:")) {
			ret->unconfined = strcmp(value, "unconfined") == 0;
			ret->profile = ret->unconfined || strcmp(value, "builtin") == 0 ? NULL : value;
		} else if (strcmp(o, "systempaths=unconfined") == 0) {
			ret->unmasked = true;
		} else if (strcmp(o, "apparmor=unconfined") != 0 && strcmp(o, "apparmor:unconfined") != 0 &&
			   strcmp(o, "label=disable") != 0 && strcmp(o, "label:disable") != 0) {
			return err_set(e, ERR_INVALID, "invalid --security-opt: \"%.100s\"", o);
		}
	}
	return 0;
}

static int list_or_null(const json_t *host, const char *key, struct strv *ret, struct err *e)
{
	return json_is_null(json_object_get(host, key)) ? 0 : json_get_strv(host, key, ret, e);
}

static int caps_of(const json_t *host, struct strv *add, struct strv *drop, uint64_t *ret, struct err *e)
{
	if (list_or_null(host, "CapAdd", add, e) < 0 || list_or_null(host, "CapDrop", drop, e) < 0) {
		return -1;
	}
	return oci_caps_resolve(add, drop, json_bool(host, "Privileged"), ret, e);
}

/* *ret NULL: no filter. */
static int seccomp_of(const struct container_set *s, const json_t *host, const struct security *security, uint64_t caps,
	char **ret, struct err *e)
{
	*ret = NULL;
	if (security->unconfined || json_bool(host, "Privileged") || (!security->profile && !s->d.seccomp_path)) {
		return 0;
	}
	scoped(json) json_t *profile =
		security->profile ? json_parse(security->profile, strlen(security->profile), "the seccomp profile", e)
				  : oci_seccomp_read(s->d.seccomp_path, e);
	scoped(json) json_t *converted = profile ? oci_seccomp_convert(profile, caps, e) : NULL;
	if (!converted) {
		return -1;
	}
	*ret = json_text(converted);
	return 0;
}

/* --- init --- */

static const char *find_init(void)
{
	static const char *const places[] = {"/usr/libexec/docker/docker-init", "/usr/bin/docker-init", "/usr/bin/tini-static",
		"/usr/bin/tini", "/usr/bin/dumb-init"};
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		if (access(places[i], X_OK) == 0) {
			return places[i];
		}
	}
	return NULL;
}

/* --- extra hosts --- */

/* "name:address" or "name=address"; the address may be an IPv6 one, or host-gateway. */
static int split_host(const char *text, char **ret_name, const char **ret_address, struct err *e)
{
	size_t n = strcspn(text, ":=");
	if (n == 0 || !text[n] || !text[n + 1]) {
		return err_set(e, ERR_INVALID, "bad format for add-host: \"%.200s\"", text);
	}
	*ret_name = xstrndup(text, n);
	*ret_address = text + n + 1;
	return 0;
}

int bundle_check(const json_t *config, const json_t *host, struct err *e)
{
	scoped(strv) struct strv add = STRV_INIT;
	scoped(strv) struct strv drop = STRV_INIT;
	struct security security;
	uint64_t caps;
	size_t i;
	json_t *item;
	if (read_security(host, &security, e) < 0 || caps_of(host, &add, &drop, &caps, e) < 0) {
		return -1;
	}
	if (security.profile) {
		json_t *profile = json_parse(security.profile, strlen(security.profile), "the seccomp profile", e);
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
		if (split_host(json_string_value(item), &name, &address, e) < 0) {
			return -1;
		}
		free(name);
	}
	if (json_bool(host, "Init") && !find_init()) {
		return err_set(e, ERR_INVALID, "no init program is installed for --init: apt-get install tini");
	}
	const char *ipc = json_str(host, "IpcMode");
	if (*ipc && strcmp(ipc, "private") != 0 && strcmp(ipc, "shareable") != 0 && strcmp(ipc, "host") != 0 &&
		strcmp(ipc, "none") != 0 && !text_starts(ipc, "container:")) {
		return err_set(e, ERR_INVALID, "invalid IPC mode: %.64s", ipc);
	}
	const char *pid = json_str(host, "PidMode");
	if (*pid && strcmp(pid, "host") != 0 && !text_starts(pid, "container:")) {
		return err_set(e, ERR_INVALID, "invalid PID mode: %.64s", pid);
	}
	return 0;
}

/* --- the files of /etc --- */

/* In place: the container may have it mounted, and a rename would leave it with the old one. */
static int write_file(const struct container *c, const char *name, const char *text, struct err *e)
{
	scoped(free) char *path = xasprintf("%s/%s", c->dir, name);
	scoped(close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	int r = fd < 0 ? -errno : path_write_all(fd, text, strlen(text));
	return r < 0 ? err_sys(e, -r, "cannot write %s", path) : 0;
}

static void add_extra_hosts(const struct container *c, struct buf *text)
{
	size_t i;
	json_t *item;
	json_array_foreach (json_object_get(c->host_config, "ExtraHosts"), i, item) {
		struct err ignored;
		char *name;
		const char *address;
		if (split_host(json_string_value(item), &name, &address, &ignored) < 0) {
			continue;
		}
		if (strcmp(address, "host-gateway") == 0) {
			address = c->n_endpoints > 0 ? c->endpoints[0].info.gateway : "";
		}
		if (*address) {
			buf_printf(text, "%s\t%s\n", address, name);
		}
		free(name);
	}
}

/* --link name:alias on the default bridge, where there is no DNS. */
static void add_links(const struct container *c, struct buf *text)
{
	size_t i;
	json_t *item;
	json_array_foreach (json_object_get(c->host_config, "Links"), i, item) {
		const char *link = json_string_value(item);
		scoped(free) char *name = xstrndup(link, strcspn(link, ":"));
		const char *alias = link[strlen(name)] ? link + strlen(name) + 1 : name;
		struct err ignored;
		const struct container *other = container_find(c->set, name, &ignored);
		if (other && other->n_endpoints > 0 && *other->endpoints[0].info.ipv4) {
			buf_printf(text, "%s\t%s %s %s\n", other->endpoints[0].info.ipv4, alias,
				json_str(other->config, "Hostname"), other->name);
		}
	}
}

static void add_own_names(const struct container *c, struct buf *text)
{
	const char *hostname = json_str(c->config, "Hostname");
	const char *domain = json_str(c->config, "Domainname");
	for (size_t i = 0; i < c->n_endpoints; i++) {
		const char *ip = c->endpoints[i].info.ipv4;
		if (*ip && *domain) {
			buf_printf(text, "%s\t%s.%s %s\n", ip, hostname, domain, hostname);
		} else if (*ip) {
			buf_printf(text, "%s\t%s\n", ip, hostname);
		}
	}
}

int bundle_write_hosts(struct container *c, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	const char *mode = container_network_mode(c);
	if (text_starts(mode, "container:")) {
		struct err ignored;
		const struct container *other = container_find(c->set, mode + strlen("container:"), &ignored);
		scoped(free) char *path = other ? xasprintf("%s/hosts", other->dir) : NULL;
		if (path) {
			path_read(AT_FDCWD, path, 1u << 20, &text);
		}
		return write_file(c, "hosts", buf_str(&text), e);
	}
	if (strcmp(mode, "host") == 0) {
		path_read(AT_FDCWD, "/etc/hosts", 1u << 20, &text);
	} else {
		buf_puts(&text, "127.0.0.1\tlocalhost\n"
				"::1\tlocalhost ip6-localhost ip6-loopback\n"
				"fe00::\tip6-localnet\n"
				"ff00::\tip6-mcastprefix\n"
				"ff02::1\tip6-allnodes\n"
				"ff02::2\tip6-allrouters\n");
	}
	add_extra_hosts(c, &text);
	add_links(c, &text);
	add_own_names(c, &text);
	return write_file(c, "hosts", buf_str(&text), e);
}

static int write_etc(struct container *c, struct err *e)
{
	scoped(strv) struct strv dns = STRV_INIT;
	scoped(strv) struct strv search = STRV_INIT;
	scoped(strv) struct strv options = STRV_INIT;
	scoped(free) char *hostname = xasprintf("%s\n", json_str(c->config, "Hostname"));
	if (list_or_null(c->host_config, "Dns", &dns, e) < 0 || list_or_null(c->host_config, "DnsSearch", &search, e) < 0 ||
		list_or_null(c->host_config, "DnsOptions", &options, e) < 0) {
		return -1;
	}
	scoped(free) char *resolv =
		network_resolv_conf(c->set->d.networks, container_uses_dns(c), &dns, &search, &options);
	return write_file(c, "hostname", hostname, e) < 0 || write_file(c, "resolv.conf", resolv, e) < 0 ||
			       bundle_write_hosts(c, e) < 0
		       ? -1
		       : 0;
}

/* --- devices --- */

struct device_list {
	struct oci_device v[DEVICES_MAX];
	size_t n;
	struct strv paths; /* owns what v[].path borrows */
};

static int add_device(struct device_list *list, const struct stat *st, const char *path, const char *access, struct err *e)
{
	if (list->n == DEVICES_MAX) {
		return err_set(e, ERR_INVALID, "more than %d devices", DEVICES_MAX);
	}
	strv_add(&list->paths, path);
	list->v[list->n++] = (struct oci_device){
		.path = list->paths.v[list->paths.n - 1],
		.type = S_ISBLK(st->st_mode) ? 'b' : 'c',
		.major = major(st->st_rdev),
		.minor = minor(st->st_rdev),
		.access = access,
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
	};
	return 0;
}

/* All nodes of a folder of devices, as --device /dev/snd; names that a container has of its own are left out. */
static int add_device_dir(struct device_list *list, const char *host, const char *inside, const char *access, int depth,
	struct err *e)
{
	static const char *const own[] = {"pts", "shm", "fd", "mqueue", "console", ".lxc", ".udev", ".lxd-mounts"};
	scoped(closedir) DIR *dir = opendir(host);
	if (!dir) {
		return err_sys(e, errno, "cannot read %s", host);
	}
	for (struct dirent *d; (d = readdir(dir));) {
		struct stat st;
		bool skip = d->d_name[0] == '.';
		for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++) {
			skip = skip || strcmp(d->d_name, own[i]) == 0;
		}
		if (skip || fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			continue;
		}
		scoped(free) char *h = xasprintf("%s/%s", host, d->d_name);
		scoped(free) char *i = xasprintf("%s/%s", inside, d->d_name);
		if (S_ISDIR(st.st_mode) && depth > 0) {
			if (add_device_dir(list, h, i, access, depth - 1, e) < 0) {
				return -1;
			}
		} else if ((S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) && add_device(list, &st, i, access, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int read_devices(const json_t *host, struct device_list *list, struct err *e)
{
	size_t i;
	json_t *o;
	if (json_bool(host, "Privileged")) {
		return add_device_dir(list, "/dev", "/dev", "rwm", 3, e);
	}
	json_array_foreach (json_object_get(host, "Devices"), i, o) {
		const char *path = json_str(o, "PathOnHost");
		const char *inside = *json_str(o, "PathInContainer") ? json_str(o, "PathInContainer") : path;
		const char *access = *json_str(o, "CgroupPermissions") ? json_str(o, "CgroupPermissions") : "rwm";
		struct stat st;
		if (stat(path, &st) < 0) {
			return err_set(e, ERR_INVALID,
				"error gathering device information while adding custom device \"%.200s\": no such file or directory",
				path);
		}
		if (strspn(access, "rwm") != strlen(access)) {
			return err_set(e, ERR_INVALID, "invalid device mode '%.16s': expected some of r, w and m", access);
		}
		if (S_ISDIR(st.st_mode)) {
			if (add_device_dir(list, path, inside, access, 3, e) < 0) {
				return -1;
			}
		} else if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)) {
			return err_set(e, ERR_INVALID,
				"error gathering device information while adding custom device \"%.200s\": not a device node", path);
		} else if (add_device(list, &st, inside, access, e) < 0) {
			return -1;
		}
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

static void add_mount(struct mount_texts *t, const char *source, const char *target, const char *type, const char *options)
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
			char *options = xasprintf("noexec,nosuid,nodev%s%s%s", given ? "," : "", given ? given : "",
				m->read_only ? ",ro" : "");
			add_mount(t, "tmpfs", m->target, "tmpfs", keep(t, options));
			continue;
		}
		char *source = mount_source(c, m, e);
		if (!source) {
			return -1;
		}
		char *options = xasprintf("%s,%s%s", m->non_recursive ? "bind" : "rbind",
			m->propagation ? m->propagation : "rprivate", m->read_only ? ",ro" : "");
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
			add_mount(t, keep(t, xasprintf("%s/%s", c->dir, files[i])), inside, "bind", "rbind,rprivate");
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

static int find_user(const struct container *c, const char *user, struct oci_user *ret, struct err *e)
{
	scoped(strv) struct strv roots = STRV_INIT;
	scoped(strv) struct strv groups = STRV_INIT;
	if (list_or_null(c->host_config, "GroupAdd", &groups, e) < 0) {
		return -1;
	}
	add_roots(c, &roots);
	return oci_user_find(&roots, user, &groups, ret, e);
}

/* PATH, HOSTNAME and TERM below what image and user say; HOME is the user's when nobody says otherwise. */
static int read_env(const struct container *c, bool tty, const char *home, struct strv *ret, struct err *e)
{
	scoped(strv) struct strv given = STRV_INIT;
	if (list_or_null(c->config, "Env", &given, e) < 0) {
		return -1;
	}
	strv_add(ret, DEFAULT_PATH);
	strv_addf(ret, "HOSTNAME=%s", json_str(c->config, "Hostname"));
	if (tty) {
		strv_add(ret, "TERM=xterm");
	}
	for (size_t i = 0; i < given.n; i++) {
		if (strchr(given.v[i], '=')) { /* a name alone takes a variable away: docker run -e NAME */
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
	return list_or_null(c->config, "Entrypoint", ret, e) < 0 || list_or_null(c->config, "Cmd", ret, e) < 0 ? -1 : 0;
}

/* --- namespaces shared with others --- */

/* mode: "", "private", "host" or "container:NAME"; *ret: NULL for a new one, "host", or a path (the caller's). */
static int shared_namespace(const struct container *c, const char *mode, const char *kind, char **ret, struct err *e)
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
	if (find_user(c, json_str(c->config, "User"), &b->user, e) < 0 || read_args(c, &b->args, e) < 0 ||
		read_env(c, tty, b->user.home, &b->env, e) < 0 || read_security(host, &b->security, e) < 0 ||
		caps_of(host, &b->cap_add, &b->cap_drop, &caps, e) < 0 ||
		seccomp_of(c->set, host, &b->security, caps, &b->seccomp, e) < 0 || read_mounts(c, &b->mounts, e) < 0 ||
		read_devices(host, &b->devices, e) < 0 || limits_resources(host, &b->resources, e) < 0 ||
		limits_rlimits(host, &b->rlimits, e) < 0) {
		return -1;
	}
	const char *mode = container_network_mode(c);
	return shared_namespace(c, strcmp(mode, "host") == 0 ? "" : mode, "net", &b->netns, e) < 0 ||
			       shared_namespace(c, json_str(host, "PidMode"), "pid", &b->pid_ns, e) < 0 ||
			       shared_namespace(c, json_str(host, "IpcMode"), "ipc", &b->ipc_ns, e) < 0
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
	if (write_etc(c, e) < 0 || bundle_read(c, b, e) < 0) {
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
	if (read_env(c, json_bool(exec, "Tty"), b->user.home, &b->env, e) < 0 || list_or_null(exec, "Env", &more, e) < 0) {
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
	const char *user = *json_str(exec, "User") ? json_str(exec, "User") : json_str(c->config, "User");
	const char *cwd = *json_str(exec, "WorkingDir") ? json_str(exec, "WorkingDir") : json_str(c->config, "WorkingDir");
	uint64_t caps;
	if (find_user(c, user, &b->user, e) < 0 || list_or_null(exec, "Cmd", &b->args, e) < 0 ||
		exec_env(c, exec, b, e) < 0 || read_security(host, &b->security, e) < 0 ||
		caps_of(host, &b->cap_add, &b->cap_drop, &caps, e) < 0 || limits_rlimits(host, &b->rlimits, e) < 0) {
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
