#include "wherryd/daemon.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <uv.h>

#include "api/api.h"
#include "api/remote.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/program.h"
#include "base/text.h"
#include "build/gateway.h"
#include "build/session.h"
#include "container/container.h"
#include "device/monitor.h"
#include "device/set.h"
#include "event/event.h"
#include "http/server.h"
#include "image/image.h"
#include "ingress/door.h"
#include "ingress/hosts.h"
#include "ingress/ingress.h"
#include "job/job.h"
#include "network/network.h"
#include "project/project.h"
#include "store/store.h"
#include "sys/cgroup.h"
#include "sys/cgroup_features.h"
#include "sys/cgroup_stat.h"
#include "user/password.h"
#include "user/session.h"
#include "user/user.h"
#include "volume/volume.h"
#include "wherryd/config.h"
#include "wherryd/reload.h"
#include "wherryd/unclean.h"
#include "wherryd/wiring.h"

#define HANDED_FIRST 3 /* sd_listen_fds(3): SD_LISTEN_FDS_START */
#define HANDED_MAX 16

#define PEER_CONNS_MAX 16
#define PEER_IDLE_MS 30000

#define NGINX_GROUP "www-data"

#define DEFAULT_SECCOMP "/usr/share/containers/seccomp.json"

struct daemon {
	const struct config *config;
	char *shim_path;
	char *worker_path;
	char *crun_path;
	char *seccomp_path; /* NULL: unconfined */
	int bridge_lock_fd; /* -1 before it is taken */
	struct cgroup_features cgroups;
	bool marked; /* unclean.h */
	struct store *store;
	struct event_bus *bus;
	struct job_pool *jobs;
	struct image_store *images;
	struct volume_set *volumes;
	struct project_store *projects;
	struct user_set *users;
	struct session_set *sessions;
	struct password_desk *passwords;
	struct network_set *networks;
	struct device_set *devices;
	struct device_monitor *device_monitor;
	struct container_set *containers;
	struct ingress *ingress;
	struct hosts *hosts; /* of the ingress: certificates, names */
	struct wiring *wiring;
	struct builder *builder;
	struct gateway *gateway;
	struct door *door;
	struct api *api;
	struct api_remote *remote;
	struct http_server *http;
	struct http_server *metrics; /* NULL without metrics-addr */
	struct http_server *peers;   /* NULL without image-peers-listen */
};

static char *find_in_path(const char *name)
{
	static const char *const folders[] = {
		"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"};
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		scoped(free) char *path = xasprintf("%s/%s", folders[i], name);
		if (access(path, X_OK) == 0) {
			return TAKE(path);
		}
	}
	return NULL;
}

static int find_programs(struct daemon *d, struct err *e)
{
	d->shim_path = program_find("wherry-shim", "shim", WHERRY_LIBEXECDIR);
	d->worker_path = program_find("wherry-worker", "worker", WHERRY_LIBEXECDIR);
	d->crun_path = find_in_path("crun");
	if (!d->shim_path || !d->worker_path) {
		return err_set(e, ERR_NOT_FOUND,
			"wherry-shim and wherry-worker are neither beside wherryd nor in %s",
			WHERRY_LIBEXECDIR);
	}
	if (!d->crun_path) {
		return err_set(e, ERR_NOT_FOUND, "crun is not installed: apt-get install crun");
	}
	return 0;
}

/* The named profile must be there; the distribution's default may be missing, which is worth a
 * warning. */
static int find_seccomp(struct daemon *d, struct err *e)
{
	const char *wanted = d->config->seccomp_profile;
	if (strcmp(wanted, "unconfined") == 0) {
		return 0;
	}
	const char *path = *wanted ? wanted : DEFAULT_SECCOMP;
	if (access(path, R_OK) == 0) {
		d->seccomp_path = xstrdup(path);
		return 0;
	}
	if (*wanted) {
		return err_sys(e, errno, "cannot read the seccomp profile %s", path);
	}
	log_warning("daemon", "no_seccomp_profile", "path", path, "remedy",
		"apt-get install golang-github-containers-common", NULL);
	return 0;
}

/* Makes the state directories and empties what only running jobs use. */
static int make_directories(const struct config *c, struct err *e)
{
	const char *roots[] = {c->data_root, c->exec_root};
	for (size_t i = 0; i < 2; i++) {
		int r = path_mkdirs(roots[i], 0711);
		if (r < 0) {
			return err_sys(e, -r, "cannot make %s", roots[i]);
		}
	}
	scoped(close) int fd = open(c->data_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return err_sys(e, errno, "cannot open %s", c->data_root);
	}
	int r = path_remove_tree(fd, "tmp");
	if (r == 0 && mkdirat(fd, "tmp", 0700) < 0) {
		r = -errno;
	}
	return r < 0 ? err_sys(e, -r, "cannot empty %s/tmp", c->data_root) : 0;
}

static void pin_layers(void *owner, void (*pin)(void *arg, const char *diff_id), void *arg)
{
	struct daemon *d = owner;
	if (d->containers) {
		container_set_pin_layers(d->containers, pin, arg);
	}
	if (d->builder) {
		builder_pin_layers(d->builder, pin, arg);
	}
}

static void pin_running(void *owner, void (*pin)(void *arg, const char *diff_id), void *arg)
{
	const struct daemon *d = owner;
	if (d->containers) {
		container_set_pin_running(d->containers, pin, arg);
	}
}

static int make_stores(struct daemon *d, uv_loop_t *l, struct err *e)
{
	const struct config *c = d->config;
	scoped(free) char *db = xasprintf("%s/wherry.db", c->data_root);
	d->store = store_open(db, e);
	if (!d->store) {
		return -1;
	}
	d->bus = event_bus_new();
	d->jobs = job_pool_new(l, d->worker_path);
	d->images = image_store_new(
		l, d->store, d->jobs, d->bus, c->data_root, json_incref(c->registry), e);
	if (!d->images) {
		return -1;
	}
	image_set_pins(d->images, pin_layers, d);
	image_set_running(d->images, pin_running, d);
	d->volumes = volume_set_new(d->store, d->bus, d->jobs, c->data_root, e);
	d->projects = d->volumes ? project_store_new(c->data_root, e) : NULL;
	d->users = d->projects ? user_set_new(d->store, e) : NULL;
	d->sessions = d->users ? session_set_new(d->store, d->users, moment_now(), e) : NULL;
	d->passwords = password_desk_new(d->jobs);
	return d->sessions ? 0 : -1;
}

/* Bridges and rules are named after the default bridge: a second daemon with that name would take
 * the first one's for stale. An abstract socket is the lock: it belongs to the network namespace,
 * as the bridge does, and goes with the process. A child that a killed daemon had forked, but that
 * has not come to its exec yet, holds it a moment longer. */
static int claim_bridge(struct daemon *d, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int n = snprintf(
		a.sun_path + 1, sizeof(a.sun_path) - 1, "wherry-bridge-%s", d->config->bridge);
	d->bridge_lock_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
	int r = d->bridge_lock_fd < 0 ? -1 : bind(d->bridge_lock_fd, (struct sockaddr *)&a, len);
	for (int i = 0; r < 0 && errno == EADDRINUSE && i < DAEMON_LOCK_TRIES; i++) {
		usleep(DAEMON_LOCK_PAUSE_US);
		r = bind(d->bridge_lock_fd, (struct sockaddr *)&a, len);
	}
	if (r < 0) {
		return errno == EADDRINUSE
			       ? err_set(e, ERR_CONFLICT,
					 "another wherryd uses the bridge %s: choose another with --bridge",
					 d->config->bridge)
			       : err_sys(e, errno, "cannot claim the bridge %s", d->config->bridge);
	}
	return 0;
}

static int make_networks(struct daemon *d, uv_loop_t *l, struct err *e)
{
	const struct config *c = d->config;
	if (claim_bridge(d, e) < 0) {
		return -1;
	}
	const struct network_options o = {
		.bridge = c->bridge, .settings = c->merged, .dns = &c->dns};
	d->networks = network_set_new(l, d->store, d->bus, &o, e);
	return d->networks ? 0 : -1;
}

static int make_ingress(struct daemon *d, uv_loop_t *l, struct err *e)
{
	struct utsname u;
	uname(&u);
	const struct ingress_deps deps = {.loop = l,
		.bus = d->bus,
		.jobs = d->jobs,
		.containers = d->containers,
		.data_root = d->config->data_root,
		.exec_root = d->config->exec_root,
		.hostname = u.nodename};
	d->ingress = ingress_new(&deps, json_object_get(d->config->merged, "ingress"), e);
	if (d->ingress) {
		network_set_holder(d->networks, ingress_holds, d->ingress);
	}
	return d->ingress ? 0 : -1;
}

static void hosts_changed(void *owner)
{
	const struct daemon *d = owner;
	ingress_changed(d->ingress);
}

/* Certificates and names of what the ingress serves. */
static struct hosts *make_hosts(struct daemon *d, uv_loop_t *l)
{
	scoped(free) char *mdns = program_find("wherry-mdns", "worker", WHERRY_LIBEXECDIR);
	const struct hosts_deps deps = {.loop = l,
		.jobs = d->jobs,
		.bus = d->bus,
		.data_root = d->config->data_root,
		.mdns_program = mdns,
		.changed = hosts_changed,
		.owner = d};
	return hosts_new(&deps);
}

static int make_engine(struct daemon *d, uv_loop_t *l, struct err *e)
{
	const struct config *c = d->config;
	if (make_networks(d, l, e) < 0) {
		return -1;
	}
	d->devices = device_set_new();
	const struct container_deps containers = {
		.loop = l,
		.store = d->store,
		.bus = d->bus,
		.jobs = d->jobs,
		.images = d->images,
		.networks = d->networks,
		.volumes = d->volumes,
		.devices = d->devices,
		.data_root = c->data_root,
		.exec_root = c->exec_root,
		.shim_path = d->shim_path,
		.crun_path = d->crun_path,
		.seccomp_path = d->seccomp_path,
		.cgroup_parent = c->cgroup_parent,
		.cgroups = &d->cgroups,
		.settings = c->merged,
		.log_defaults = c->log_defaults,
		.check_routes = ingress_check_labels,
	};
	d->containers = container_set_new(&containers, e);
	if (!d->containers) {
		return -1;
	}
	d->device_monitor = device_monitor_new(l, d->jobs, d->devices, e);
	if (!d->device_monitor || make_ingress(d, l, e) < 0) {
		return -1;
	}
	const struct builder_deps builder = {
		.loop = l,
		.cgroups = &d->cgroups,
		.store = d->store,
		.bus = d->bus,
		.jobs = d->jobs,
		.images = d->images,
		.networks = d->networks,
		.data_root = c->data_root,
		.exec_root = c->exec_root,
		.crun_path = d->crun_path,
		.seccomp_path = d->seccomp_path,
		.cgroup_parent = c->cgroup_parent,
	};
	d->builder = builder_new(&builder, e);
	const struct gateway_deps gateway = {
		.loop = l, .jobs = d->jobs, .builder = d->builder, .exec_root = c->exec_root};
	d->gateway = d->builder ? gateway_new(&gateway, e) : NULL;
	if (!d->gateway) {
		return -1;
	}
	image_collect(d->images);
	return 0;
}

/* Who besides root may talk to us: the named group must exist, Docker's usual one is taken if it
 * does. */
static int socket_group(const struct config *c, gid_t *ret, struct err *e)
{
	const struct group *g = getgrnam(*c->group ? c->group : "docker");
	*ret = g ? g->gr_gid : 0;
	if (!g && *c->group) {
		return err_set(e, ERR_INVALID, "group %s does not exist", c->group);
	}
	return 0;
}

/* Sockets that systemd has opened for us: sd_listen_fds(3). They are its own to remove. */
static int listen_handed(struct daemon *d, struct err *e)
{
	const char *pid = getenv("LISTEN_PID");
	const char *count = getenv("LISTEN_FDS");
	int n;
	int whose;
	if (!pid || !count || parse_int(pid, 1, INT_MAX, &whose) < 0 || whose != (int)getpid() ||
		parse_int(count, 1, HANDED_MAX, &n) < 0) {
		return err_set(e, ERR_INVALID,
			"cannot listen on fd://: no sockets were handed over (LISTEN_FDS); is this started by a "
			"systemd socket unit?");
	}
	for (int i = 0; i < n; i++) {
		if (http_server_listen_fd(d->http, HANDED_FIRST + i, e) < 0) {
			return -1;
		}
		log_info("daemon", "listening", "fd", LOG_N(HANDED_FIRST + i), NULL);
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return 0;
}

static int listen_all(struct daemon *d, struct err *e)
{
	gid_t gid;
	if (socket_group(d->config, &gid, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < d->config->hosts.n; i++) {
		const char *path = d->config->hosts.v[i] + strlen("unix://");
		if (strcmp(d->config->hosts.v[i], "fd://") == 0) {
			if (listen_handed(d, e) < 0) {
				return -1;
			}
			continue;
		}
		scoped(free) char *folder = xstrdup(path);
		*strrchr(folder, '/') = '\0';
		int r = *folder ? path_mkdirs(folder, 0755) : 0;
		if (r < 0) {
			return err_sys(e, -r, "cannot make %s", folder);
		}
		if (http_server_listen_unix(d->http, path, 0660, gid, e) < 0) {
			return -1;
		}
		log_info("daemon", "listening", "socket", path, NULL);
	}
	return 0;
}

static int listen_metrics(struct daemon *d, uv_loop_t *l, struct err *e)
{
	const char *address = d->config->metrics_addr;
	if (!*address) {
		return 0;
	}
	d->metrics = http_server_new(l, api_handle_metrics, d->api);
	if (http_server_listen_tcp(d->metrics, address, e) < 0) {
		return err_wrap(e, "metrics-addr");
	}
	log_info("daemon", "metrics", "address", address, NULL);
	return 0;
}

static int listen_peers(struct daemon *d, uv_loop_t *l, struct err *e)
{
	const char *address = d->config->peers_listen;
	if (!*address) {
		return 0;
	}
	d->peers = http_server_new(l, api_handle_peers, d->api);
	http_server_limit(d->peers, PEER_CONNS_MAX, PEER_IDLE_MS);
	if (http_server_listen_tcp(d->peers, address, e) < 0) {
		return err_wrap(e, "image-peers-listen");
	}
	log_info("daemon", "layers_for_peers", "address", address, NULL);
	return 0;
}

/* "box.local": what the device is called in its network. The caller's. */
static char *home_of(const struct daemon *d)
{
	return xasprintf("%s.local", ingress_settings_of(d->ingress)->name);
}

/* What nginx connects to. Without its group there is no nginx of Debian's, and root alone may. */
static int make_doors(struct daemon *d, uv_loop_t *l, struct err *e)
{
	const struct config *c = d->config;
	const struct group *g = getgrnam(NGINX_GROUP);
	const gid_t gid = g ? g->gr_gid : 0;
	scoped(free) char *socket = xasprintf("%s/ingress/door.sock", c->exec_root);
	scoped(free) char *home = home_of(d);
	const struct door_deps door = {.loop = l,
		.home = home,
		.users = d->users,
		.sessions = d->sessions,
		.passwords = d->passwords};
	d->remote = api_remote_new(l, d->api, d->users, c->exec_root, gid, e);
	d->door = d->remote ? door_new(&door) : NULL;
	if (!d->door || door_listen(d->door, socket, gid, e) < 0) {
		return -1;
	}
	d->hosts = make_hosts(d, l);
	d->wiring = wiring_new(d->ingress, d->users, d->hosts, c->data_root);
	return 0;
}

static int make_api(struct daemon *d, uv_loop_t *l, struct err *e)
{
	const struct api_deps deps = {
		.loop = l,
		.bus = d->bus,
		.images = d->images,
		.containers = d->containers,
		.networks = d->networks,
		.volumes = d->volumes,
		.devices = d->devices,
		.projects = d->projects,
		.users = d->users,
		.sessions = d->sessions,
		.passwords = d->passwords,
		.ingress = d->ingress,
		.builder = d->builder,
		.gateway = d->gateway,
		.jobs = d->jobs,
		.data_root = d->config->data_root,
		.config = d->config->merged,
		.cgroups = &d->cgroups,
	};
	d->api = api_new(&deps);
	d->http = http_server_new(l, api_handle, d->api);
	return make_doors(d, l, e) < 0 || listen_all(d, e) < 0 || listen_metrics(d, l, e) < 0
		       ? -1
		       : listen_peers(d, l, e);
}

struct daemon *daemon_new(uv_loop_t *l, const struct config *c, struct err *e)
{
	struct daemon *d = xnew(struct daemon);
	d->config = c;
	d->bridge_lock_fd = -1;
	int r = cgroup_prepare();
	if (r < 0) {
		log_warning("daemon", "cgroups_not_ready", "reason", strerror(-r), NULL);
	}
	cgroup_features_read(CGROUP_ROOT, cgroup_is_v2(), &d->cgroups);
	if (find_programs(d, e) < 0 || find_seccomp(d, e) < 0 || make_directories(c, e) < 0 ||
		make_stores(d, l, e) < 0 || make_engine(d, l, e) < 0 || make_api(d, l, e) < 0) {
		daemon_free(d);
		return NULL;
	}
	d->marked = true;
	if (unclean_begin(c->data_root)) {
		log_warning("daemon", "power-was-lost", NULL);
		image_verify_gently(d->images);
	}
	return d;
}

void daemon_reloaded(struct daemon *d)
{
	struct err e;
	json_t *attributes = config_reload_attributes(d->config);
	if (ingress_set_settings(d->ingress, json_object_get(d->config->merged, "ingress"), &e) <
		0) {
		log_error("daemon", "ingress_not_reloaded", "reason", e.msg, NULL);
	}
	scoped(free) char *home = home_of(d);
	door_set_home(d->door, home);
	struct utsname u;
	uname(&u);
	json_put_str(attributes, "name", u.nodename);
	event_publish(d->bus, "daemon", "reload", api_engine_id(d->api), attributes);
}

void daemon_stop_containers(struct daemon *d, void (*done)(void *owner), void *owner)
{
	container_set_stop_all(d->containers, done, owner);
}

/* Disks that were mounted for containers (worker/storage.h), when no daemon is left to let go of
 * them. Lazily: what still uses one keeps it. */
static void purge_storage(const struct config *c)
{
	scoped(free) char *root = xasprintf("%s/storage", c->exec_root);
	if (umount2(root, MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
		rmdir(root);
	}
}

int daemon_purge_network(uv_loop_t *l, const struct config *c, struct err *e)
{
	struct daemon *d = xnew(struct daemon);
	d->config = c;
	d->bridge_lock_fd = -1;
	int r = make_directories(c, e) < 0 || make_stores(d, l, e) < 0 || make_networks(d, l, e) < 0
			? -1
			: 0;
	if (r == 0) {
		network_set_purge(d->networks);
		purge_storage(c);
	}
	daemon_free(d);
	return r;
}

void daemon_free(struct daemon *d)
{
	if (!d) {
		return;
	}
	if (d->http) {
		http_server_free(d->http);
	}
	http_server_free(d->metrics);
	http_server_free(d->peers);
	door_free(d->door);
	api_remote_free(d->remote);
	ingress_end(d->ingress);
	wiring_free(d->wiring);
	api_free(d->api);
	device_monitor_free(d->device_monitor);
	if (d->jobs) {
		job_pool_free(d->jobs); /* first: their done calls still reach builder and images */
	}
	gateway_free(d->gateway);
	ingress_free(d->ingress);
	hosts_free(d->hosts);
	if (d->builder) {
		builder_free(d->builder);
	}
	if (d->containers) {
		container_set_free(d->containers);
	}
	device_set_free(d->devices);
	if (d->networks) {
		network_set_free(d->networks);
	}
	password_desk_free(d->passwords);
	session_set_free(d->sessions);
	user_set_free(d->users);
	project_store_free(d->projects);
	volume_set_free(d->volumes);
	if (d->images) {
		image_store_free(d->images);
	}
	if (d->bus) {
		event_bus_free(d->bus);
	}
	store_close(d->store);
	if (d->marked) {
		unclean_end(d->config->data_root);
	}
	scoped_close(&d->bridge_lock_fd);
	free(d->shim_path);
	free(d->worker_path);
	free(d->crun_path);
	free(d->seccomp_path);
	free(d);
}
