/* GET /info: the engine, its machine and what it can do. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "api/call.h"
#include "api/handlers.h"
#include "api/shapes.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "container/container.h"
#include "event/event.h"
#include "image/image.h"
#include "sys/cgroup_features.h"

struct state_counts {
	int running, paused, stopped, all;
};

static struct state_counts count_states(const struct container_set *s)
{
	struct state_counts n = {0};
	size_t pos = 0;
	for (struct container *k; (k = container_next(s, &pos)); n.all++) {
		if (container_state(k) == CONTAINER_PAUSED) {
			n.paused++;
		} else if (container_is_running(k)) {
			n.running++;
		} else {
			n.stopped++;
		}
	}
	return n;
}

static int count_images(const struct image_store *s)
{
	int n = 0;
	for (size_t pos = 0; image_next(s, &pos); n++) {
	}
	return n;
}

/* PRETTY_NAME of /etc/os-release; the caller's. */
char *shape_os_name(void)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (path_read(AT_FDCWD, "/etc/os-release", 65536, &text) == 0) {
		const char *p = strstr(buf_str(&text), "PRETTY_NAME=\"");
		if (p) {
			p += strlen("PRETTY_NAME=\"");
			return xstrndup(p, strcspn(p, "\"\n"));
		}
	}
	return xstrdup("Linux");
}

/* A list of the configuration, or NULL. */
static json_t *configured(const json_t *config, const char *key)
{
	json_t *list = json_object_get(config, key);
	return json_array_size(list) > 0 ? list : NULL;
}

static json_t *registry_config(const json_t *config)
{
	const json_t *mirrors = configured(config, "registry-mirrors");
	json_t *index = json_pack("{s{ss so sb sb}}", "docker.io", "Name", "docker.io", "Mirrors",
		mirrors ? json_deep_copy(mirrors) : json_array(), "Secure", 1, "Official", 1);
	return json_pack("{sn sn s[s] so so}", "AllowNondistributableArtifactsCIDRs",
		"AllowNondistributableArtifactsHostnames", "InsecureRegistryCIDRs", "127.0.0.0/8",
		"IndexConfigs", index, "Mirrors", mirrors ? json_deep_copy(mirrors) : json_null());
}

static const char *logging_driver(const json_t *config)
{
	return *json_str(config, "log-driver") ? json_str(config, "log-driver") : "json-file";
}

static void put_machine(json_t *o)
{
	struct utsname u;
	uname(&u);
	struct sysinfo si = {0};
	sysinfo(&si);
	scoped(free) char *os = shape_os_name();
	json_put_str(o, "KernelVersion", u.release);
	json_put_str(o, "OperatingSystem", os);
	json_put_str(o, "OSType", "linux");
	json_put_str(o, "OSVersion", "");
	json_put_str(o, "Architecture", u.machine);
	json_put_str(o, "Name", u.nodename);
	json_put(o, "NCPU", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
	json_put(o, "MemTotal", json_integer((json_int_t)si.totalram * si.mem_unit));
}

static void put_counts(json_t *o, const struct api_deps *d)
{
	struct state_counts n = count_states(d->containers);
	json_put(o, "Containers", json_integer(n.all));
	json_put(o, "ContainersRunning", json_integer(n.running));
	json_put(o, "ContainersPaused", json_integer(n.paused));
	json_put(o, "ContainersStopped", json_integer(n.stopped));
	json_put(o, "Images", json_integer(count_images(d->images)));
}

static void put_limits(json_t *o, const struct cgroup_features *f)
{
	const struct {
		const char *name;
		bool can;
	} limits[] = {{"MemoryLimit", f->memory}, {"SwapLimit", f->swap},
		{"CpuCfsPeriod", f->cpu_quota}, {"CpuCfsQuota", f->cpu_quota},
		{"CPUShares", f->cpu_shares}, {"CPUSet", f->cpuset}, {"PidsLimit", f->pids},
		{"OomKillDisable", f->oom_kill_disable}};
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		json_put(o, limits[i].name, json_boolean(limits[i].can));
	}
}

/* moby daemon/info_unix.go fillPlatformInfo; null when nothing is missing. */
static void put_warnings(json_t *o, const struct cgroup_features *f)
{
	const struct {
		bool can;
		const char *what;
	} warnings[] = {
		{f->memory, "memory limit"},
		{f->swap, "swap limit"},
		{f->v2 || f->oom_kill_disable, "oom kill disable"},
		{f->cpu_quota, "cpu cfs quota"},
		{f->cpu_quota, "cpu cfs period"},
		{f->cpu_shares, "cpu shares"},
		{f->cpuset, "cpuset"},
		{!f->v2 || f->io_weight, "io.weight"},
		{!f->v2 || f->io_weight_device, "io.weight (per device)"},
		{f->io_read_bps, f->v2 ? "io.max (rbps)" : "blkio throttle.read_bps_device"},
		{f->io_write_bps, f->v2 ? "io.max (wbps)" : "blkio throttle.write_bps_device"},
		{f->io_read_iops, f->v2 ? "io.max (riops)" : "blkio throttle.read_iops_device"},
		{f->io_write_iops, f->v2 ? "io.max (wiops)" : "blkio throttle.write_iops_device"},
	};
	json_t *list = json_array();
	for (size_t i = 0; i < sizeof(warnings) / sizeof(*warnings); i++) {
		if (!warnings[i].can) {
			scoped(free) char *text =
				xasprintf("WARNING: No %s support", warnings[i].what);
			json_array_append_new(list, json_string(text));
		}
	}
	json_put(o, "Warnings", json_array_size(list) > 0 ? json_incref(list) : json_null());
	json_decref(list);
}

/* What this engine supports, in dockerd's names. cgroup v1 in hybrid mode counts as 1, as docker
 * info says it. */
static void put_features(json_t *o, const struct cgroup_features *f)
{
	put_limits(o, f);
	json_put(o, "IPv4Forwarding", json_true());
	static const char *const off[] = {"BridgeNfIptables", "BridgeNfIp6tables", "Debug",
		"ExperimentalBuild", "LiveRestoreEnabled"};
	for (size_t i = 0; i < sizeof(off) / sizeof(*off); i++) {
		json_put(o, off[i], json_boolean(strcmp(off[i], "LiveRestoreEnabled") == 0));
	}
	json_put_str(o, "CgroupDriver", "cgroupfs");
	json_put_str(o, "CgroupVersion", f->v2 ? "2" : "1");
	json_put_str(o, "DefaultRuntime", "crun");
	json_put(o, "Runtimes", json_pack("{s{ss}}", "crun", "path", "crun"));
	json_put(o, "SecurityOptions", json_pack("[s]", "name=seccomp,profile=builtin"));
	json_put(o, "CDISpecDirs", json_array());
	json_put(o, "Swarm",
		json_pack("{ss ss ss sb ss sn}", "NodeID", "", "NodeAddr", "", "LocalNodeState",
			"inactive", "ControlAvailable", 0, "Error", "", "RemoteManagers"));
	json_put(o, "Plugins",
		json_pack("{s[s] s[sssss] sn s[sss]}", "Volume", "local", "Network", "bridge",
			"host", "ipvlan", "macvlan", "null", "Authorization", "Log", "journald",
			"json-file", "local"));
}

/* Programs of dockerd that are none here; the CLI prints their versions. */
static void put_commits(json_t *o)
{
	static const char *const names[] = {"ContainerdCommit", "RuncCommit", "InitCommit"};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		json_put(o, names[i], json_pack("{ss ss}", "ID", "", "Expected", ""));
	}
}

/* Members that came or went with an API version. */
static void put_by_version(json_t *o, int version, bool cgroup_v2)
{
	if (!cgroup_v2) { /* of cgroup v1 only; dockerd 26 forgot to drop the second one */
		json_put(o, "KernelMemoryTCP", json_true());
		json_put(o, "KernelMemory", version < 42 ? json_true() : NULL);
	}
	if (version < 25) {
		json_put_str(o, "ExecutionDriver", "<not supported>");
		json_put(o, "SecurityOptions", json_pack("[s]", "seccomp"));
	}
}

void system_info(struct call *c)
{
	const struct api_deps *d = &c->api->d;
	char now[CLOCK_TEXT_MAX];
	json_t *o = json_object();
	json_put_str(o, "ID", c->api->engine_id);
	put_counts(o, d);
	json_put_str(o, "Driver", "overlay2");
	json_put(o, "DriverStatus", json_pack("[[ss]]", "Backing Filesystem", "overlayfs"));
	put_features(o, d->cgroups);
	put_machine(o);
	json_put_str(o, "DockerRootDir", d->data_root);
	json_put_str(o, "SystemTime", clock_format(clock_real_ns(), now));
	json_put_str(o, "LoggingDriver", logging_driver(d->config));
	json_put_str(o, "IndexServerAddress", "https://index.docker.io/v1/");
	json_put(o, "RegistryConfig", registry_config(d->config));
	json_put_str(o, "HttpProxy", "");
	json_put_str(o, "HttpsProxy", "");
	json_put_str(o, "NoProxy", "");
	const json_t *labels = configured(d->config, "labels");
	json_put(o, "Labels", labels ? json_deep_copy(labels) : json_array());
	json_put_str(o, "Isolation", "");
	put_commits(o);
	json_put(o, "Debug", json_boolean(json_bool(d->config, "debug")));
	json_put(o, "GenericResources", json_null());
	json_put_str(o, "ServerVersion", WHERRY_VERSION);
	json_put_str(o, "InitBinary", "docker-init");
	json_put(o, "NFd", json_integer(-1));
	json_put(o, "NGoroutines", json_integer(1));
	json_put(o, "NEventsListener", json_integer((json_int_t)event_listeners(d->bus)));
	put_warnings(o, d->cgroups);
	put_by_version(o, c->version, d->cgroups->v2);
	call_reply_json(c, 200, o);
}
