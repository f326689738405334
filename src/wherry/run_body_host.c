#include <fcntl.h>
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "wherry/run_options.h"
#include "wherry/spec_check.h"
#include "wherry/specs.h"

#define PROFILE_MAX (4u << 20)

static void put_text(json_t *host, const char *key, const char *value)
{
	if (value) {
		json_put_str(host, key, value);
	}
}

static void put_number(json_t *host, const char *key, int64_t value, int64_t unset)
{
	if (value != unset) {
		json_put(host, key, json_integer(value));
	}
}

static void put_list(json_t *host, const char *key, const struct strv *list)
{
	if (list->n > 0) {
		json_put(host, key, json_strv(list));
	}
}

static int put_options(
	json_t *host, const char *key, const char *what, const struct strv *list, struct err *e)
{
	json_t *options = json_object();
	json_put(host, key, options);
	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(what, "storage option") == 0 && !strchr(list->v[i], '=')) {
			return err_set(e, ERR_INVALID, "invalid storage option");
		}
		if (spec_label(list->v[i], options, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* Modes that the CLI checks itself. */
static int check_modes(const struct run_options *o, struct err *e)
{
	const struct {
		const char *flag, *value, *words, *kind;
	} modes[] = {{"pid", o->pid, "host", "PID"}, {"uts", o->uts, "host", "UTS"},
		{"userns", o->userns, "host", "USER"},
		{"cgroupns", o->cgroupns, "host|private", "CGROUP"}};
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		const char *v = modes[i].value;
		bool of_container = v && strcmp(modes[i].flag, "pid") == 0 &&
				    text_starts(v, "container:") && v[10];
		scoped(strv) struct strv words = STRV_INIT;
		strv_split(&words, modes[i].words, '|');
		if (v && *v && !of_container && !strv_has(&words, v)) {
			return err_set(e, ERR_INVALID, "--%s: invalid %s mode", modes[i].flag,
				modes[i].kind);
		}
	}
	if (o->use_api_socket) {
		return err_set(e, ERR_INVALID,
			"--use-api-socket is not supported: bind the engine's socket with -v /run/wherry/wherry.sock:/var/run/docker.sock");
	}
	bool odd = o->memory_swappiness != RUN_UNSET && o->memory_swappiness != -1 &&
		   (o->memory_swappiness < 0 || o->memory_swappiness > 100);
	return odd ? err_set(e, ERR_INVALID,
			     "invalid value: %lld. Valid memory swappiness range is 0-100",
			     (long long)o->memory_swappiness)
		   : 0;
}

/* A list whose elements are parsed one by one. */
static int put_parsed(json_t *host, const char *key, const struct strv *list,
	json_t *(*parse)(const char *, struct err *), struct err *e)
{
	json_t *array = json_array();
	json_put(host, key, array);
	for (size_t i = 0; i < list->n; i++) {
		json_t *item = parse(list->v[i], e);
		if (!item) {
			return -1;
		}
		json_array_append_new(array, item);
	}
	return 0;
}

static void put_resources(const struct run_options *o, json_t *host)
{
	put_number(host, "Memory", o->memory, 0);
	put_number(host, "MemorySwap", o->memory_swap, 0);
	put_number(host, "MemoryReservation", o->memory_reservation, 0);
	put_number(host, "MemorySwappiness", o->memory_swappiness, RUN_UNSET);
	put_number(host, "NanoCpus", o->cpus, 0);
	put_number(host, "CpuShares", o->cpu_shares, 0);
	put_number(host, "CpuPeriod", o->cpu_period, 0);
	put_number(host, "CpuQuota", o->cpu_quota, 0);
	put_number(host, "PidsLimit", o->pids_limit, RUN_UNSET);
	put_number(host, "OomScoreAdj", o->oom_score_adj, RUN_UNSET);
	put_number(host, "BlkioWeight", o->blkio_weight, 0);
	put_number(host, "ShmSize", o->shm_size, 0);
	put_number(host, "CpuRealtimePeriod", o->cpu_rt_period, 0);
	put_number(host, "CpuRealtimeRuntime", o->cpu_rt_runtime, 0);
	put_number(host, "KernelMemory", o->kernel_memory, 0);
	put_text(host, "CpusetCpus", o->cpuset_cpus);
	put_text(host, "CpusetMems", o->cpuset_mems);
	put_text(host, "CgroupParent", o->cgroup_parent);
	if (o->oom_kill_disable) {
		json_put(host, "OomKillDisable", json_true());
	}
}

static void put_namespaces(const struct run_options *o, json_t *host)
{
	put_text(host, "PidMode", o->pid);
	put_text(host, "IpcMode", o->ipc);
	put_text(host, "UTSMode", o->uts);
	put_text(host, "UsernsMode", o->userns);
	put_text(host, "CgroupnsMode", o->cgroupns);
	put_text(host, "Runtime", o->runtime);
	put_text(host, "VolumeDriver", o->volume_driver);
	put_text(host, "Isolation", o->isolation);
}

/* "seccomp=FILE" carries the profile itself; the engine cannot read the client's files. The
 * caller's, or NULL. */
static char *load_profile(const char *path, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	int r = path_read(AT_FDCWD, path, PROFILE_MAX, &text);
	if (r < 0) {
		spec_open_failed(-r, path, e);
		err_wrap(e, "opening seccomp profile (%s) failed", path);
		return NULL;
	}
	scoped(json) json_t *profile = json_parse(buf_str(&text), text.len, path, e);
	scoped(free) char *compact = profile ? json_text(profile) : NULL;
	return compact ? xasprintf("seccomp=%s", compact) : NULL;
}

static int put_security(const struct run_options *o, json_t *host, struct err *e)
{
	json_t *list = json_array();
	json_put(host, "SecurityOpt", list);
	for (size_t i = 0; i < o->security_opts.n; i++) {
		const char *text = o->security_opts.v[i];
		const char *value = text + strcspn(text, "=:");
		if (!*value && strcmp(text, "no-new-privileges") != 0) {
			return err_set(e, ERR_INVALID, "Invalid --security-opt: \"%s\"", text);
		}
		if (strcmp(text, "systempaths=unconfined") == 0) {
			json_put(host, "MaskedPaths", json_array());
			json_put(host, "ReadonlyPaths", json_array());
			continue;
		}
		bool is_file = text_starts(text, "seccomp") && value == text + 7 &&
			       strcmp(value + 1, "unconfined") != 0 &&
			       strcmp(value + 1, "builtin") != 0;
		scoped(free) char *loaded = is_file ? load_profile(value + 1, e) : NULL;
		if (is_file && !loaded) {
			return -1;
		}
		json_array_append_new(list, json_string(loaded ? loaded : text));
	}
	return 0;
}

static int put_extra_hosts(const struct run_options *o, json_t *host, struct err *e)
{
	json_t *list = json_array();
	json_put(host, "ExtraHosts", list);
	for (size_t i = 0; i < o->add_hosts.n; i++) {
		scoped(free) char *text = spec_add_host(o->add_hosts.v[i], e);
		if (!text) {
			return -1;
		}
		json_array_append_new(list, json_string(text));
	}
	return 0;
}

static int put_restart(const struct run_options *o, json_t *host, struct err *e)
{
	json_t *policy = spec_restart(o->restart ? o->restart : "no", e);
	if (!policy) {
		return -1;
	}
	json_put(host, "RestartPolicy", policy);
	const char *name = json_str(policy, "Name");
	if (o->rm && *name && strcmp(name, "no") != 0) {
		return err_set(e, ERR_INVALID,
			"conflicting options: cannot specify both --restart and --rm");
	}
	return 0;
}

static int put_log(const struct run_options *o, json_t *host, struct err *e)
{
	json_t *log = json_object();
	json_put(host, "LogConfig", log);
	json_put_str(log, "Type", o->log_driver);
	if (o->log_driver && strcmp(o->log_driver, "none") == 0 && o->log_opts.n > 0) {
		return err_set(e, ERR_INVALID, "invalid logging opts for driver none");
	}
	return put_options(log, "Config", "logging option", &o->log_opts, e);
}

int run_body_host(const struct run_options *o, json_t *host, struct err *e)
{
	json_put(host, "AutoRemove", json_boolean(o->rm));
	json_put(host, "Privileged", json_boolean(o->privileged));
	json_put(host, "ReadonlyRootfs", json_boolean(o->read_only));
	json_put_str(host, "ContainerIDFile", o->cidfile);
	if (o->init) {
		json_put(host, "Init", json_true());
	}
	put_list(host, "CapAdd", &o->cap_add);
	put_list(host, "CapDrop", &o->cap_drop);
	put_list(host, "Dns", &o->dns);
	put_list(host, "DnsOptions", &o->dns_options);
	put_list(host, "DnsSearch", &o->dns_search);
	put_list(host, "GroupAdd", &o->group_add);
	put_list(host, "VolumesFrom", &o->volumes_from);
	put_list(host, "Links", &o->links);
	put_list(host, "DeviceCgroupRules", &o->device_rules);
	put_resources(o, host);
	put_namespaces(o, host);
	if (put_parsed(host, "Devices", &o->devices, spec_device, e) < 0 ||
		put_parsed(host, "Ulimits", &o->ulimits, spec_ulimit, e) < 0 ||
		put_parsed(host, "BlkioWeightDevice", &o->blkio_weights, spec_weight, e) < 0 ||
		put_parsed(host, "BlkioDeviceReadBps", &o->read_bps, spec_bytes_rate, e) < 0 ||
		put_parsed(host, "BlkioDeviceReadIOps", &o->read_iops, spec_iops_rate, e) < 0 ||
		put_parsed(host, "BlkioDeviceWriteBps", &o->write_bps, spec_bytes_rate, e) < 0 ||
		put_parsed(host, "BlkioDeviceWriteIOps", &o->write_iops, spec_iops_rate, e) < 0 ||
		put_parsed(host, "DeviceRequests", &o->gpus, spec_gpus, e) < 0 ||
		check_modes(o, e) < 0 ||
		put_options(host, "Sysctls", "sysctl", &o->sysctls, e) < 0 ||
		put_options(host, "StorageOpt", "storage option", &o->storage_opts, e) < 0 ||
		put_options(host, "Annotations", "annotation", &o->annotations, e) < 0) {
		return -1;
	}
	if (put_security(o, host, e) < 0 || put_extra_hosts(o, host, e) < 0 ||
		put_restart(o, host, e) < 0) {
		return -1;
	}
	return put_log(o, host, e);
}

/* --- networks --- */

static bool is_user_defined(const char *name)
{
	static const char *const modes[] = {"default", "bridge", "host", "none"};
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		if (strcmp(name, modes[i]) == 0) {
			return false;
		}
	}
	return !text_starts(name, "container:");
}

/* --ip, --network-alias and --mac-address belong to the first network. */
static void put_first_endpoint(const struct run_options *o, const char *name, json_t *endpoint)
{
	json_t *ipam = json_object_get(endpoint, "IPAMConfig");
	if ((o->ip || o->ip6 || o->link_local_ips.n) && !ipam) {
		ipam = json_object();
		json_put(endpoint, "IPAMConfig", ipam);
	}
	if (o->ip) {
		json_put_str(ipam, "IPv4Address", o->ip);
	}
	if (o->ip6) {
		json_put_str(ipam, "IPv6Address", o->ip6);
	}
	if (o->link_local_ips.n) {
		json_put(ipam, "LinkLocalIPs", json_strv(&o->link_local_ips));
	}
	if (o->mac_address) {
		json_put_str(endpoint, "MacAddress", o->mac_address);
	}
	if (o->links.n > 0 && is_user_defined(name)) {
		json_put(endpoint, "Links", json_strv(&o->links));
	}
	if (o->network_aliases.n > 0 && !json_object_get(endpoint, "Aliases")) {
		json_put(endpoint, "Aliases", json_array());
	}
	for (size_t i = 0; i < o->network_aliases.n; i++) {
		json_array_append_new(
			json_object_get(endpoint, "Aliases"), json_string(o->network_aliases.v[i]));
	}
}

int run_body_networks(const struct run_options *o, json_t *body, json_t *host, struct err *e)
{
	json_t *endpoints = json_object();
	json_put(body, "NetworkingConfig", json_pack("{so}", "EndpointsConfig", endpoints));
	json_put_str(host, "NetworkMode", "default");
	if (o->mac_address && check_mac(o->mac_address, e) < 0) {
		return -1;
	}
	size_t n = o->networks.n ? o->networks.n : 1;
	for (size_t i = 0; i < n; i++) {
		scoped(free) char *name = NULL;
		json_t *endpoint;
		if (spec_network(o->networks.n ? o->networks.v[i] : "default", &name, &endpoint,
			    e) < 0) {
			return -1;
		}
		if (i == 0) {
			json_put_str(host, "NetworkMode", name);
			put_first_endpoint(o, name, endpoint);
		}
		if (n > 1 && !is_user_defined(name)) {
			json_decref(endpoint);
			return err_set(e, ERR_INVALID,
				"conflicting options: cannot attach both user-defined and non-user-defined network-modes");
		}
		if (json_object_get(endpoints, name)) {
			json_decref(endpoint);
			return err_set(
				e, ERR_INVALID, "network \"%s\" is specified multiple times", name);
		}
		bool plain_mode = !is_user_defined(name) && json_object_size(endpoint) == 0;
		if (plain_mode) {
			json_decref(endpoint);
		} else {
			json_put(endpoints, name, endpoint);
		}
	}
	return 0;
}
