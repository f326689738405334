#include "wherry/run_options.h"

#include <string.h>

#include "wherry/spec_check.h"

void run_options_init(struct run_options *o)
{
	*o = (struct run_options){.sig_proxy = true, .pull = "missing", .restart = NULL};
	int64_t *const unset[] = {
		&o->stop_timeout, &o->memory_swappiness, &o->pids_limit, &o->oom_score_adj};
	for (size_t i = 0; i < sizeof(unset) / sizeof(*unset); i++) {
		*unset[i] = RUN_UNSET;
	}
}

void run_options_deinit(struct run_options *o)
{
	struct strv *const lists[] = {&o->attach, &o->env, &o->env_files, &o->labels,
		&o->label_files, &o->expose, &o->publish, &o->volumes, &o->mounts, &o->tmpfs,
		&o->devices, &o->device_rules, &o->cap_add, &o->cap_drop, &o->ulimits,
		&o->add_hosts, &o->dns, &o->dns_search, &o->dns_options, &o->log_opts,
		&o->security_opts, &o->sysctls, &o->volumes_from, &o->group_add, &o->links,
		&o->storage_opts, &o->annotations, &o->networks, &o->network_aliases,
		&o->blkio_weights, &o->read_bps, &o->read_iops, &o->write_bps, &o->write_iops,
		&o->gpus, &o->link_local_ips, NULL};
	for (size_t i = 0; lists[i]; i++) {
		strv_deinit(lists[i]);
	}
}

static void *checked(
	struct run_options *o, struct strv *list, int (*check)(const char *, struct err *))
{
	struct flag_checked *c = &o->checked[o->n_checked++];
	*c = (struct flag_checked){list, check};
	return c;
}

void run_flags(struct run_options *o, bool with_run, struct flag ret[static RUN_FLAGS_MAX])
{
	const struct flag own[] = {
		{"detach", 'd', FLAG_BOOL, &o->detach, NULL,
			"Run container in background and print container ID"},
		{"sig-proxy", 0, FLAG_BOOL, &o->sig_proxy, NULL,
			"Proxy received signals to the process (default true)"},
		{"detach-keys", 0, FLAG_STRING, &o->detach_keys, NULL,
			"Override the key sequence for detaching a container"},
	};
	const struct flag shared[] = {
		{"add-host", 0, FLAG_CHECKED, checked(o, &o->add_hosts, check_add_host), NULL,
			"Add a custom host-to-IP mapping (host:ip)"},
		{"annotation", 0, FLAG_LIST, &o->annotations, "map",
			"Add an annotation to the container (passed through to the OCI runtime) (default map[])"},
		{"attach", 'a', FLAG_CHECKED, checked(o, &o->attach, check_attach), NULL,
			"Attach to STDIN, STDOUT or STDERR"},
		{"blkio-weight", 0, FLAG_UINT16, &o->blkio_weight, NULL,
			"Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)"},
		{"blkio-weight-device", 0, FLAG_CHECKED,
			checked(o, &o->blkio_weights, check_weight), NULL,
			"Block IO weight (relative device weight) (default [])"},
		{"cap-add", 0, FLAG_LIST, &o->cap_add, NULL, "Add Linux capabilities"},
		{"cap-drop", 0, FLAG_LIST, &o->cap_drop, NULL, "Drop Linux capabilities"},
		{"cgroup-parent", 0, FLAG_STRING, &o->cgroup_parent, NULL,
			"Optional parent cgroup for the container"},
		{"cgroupns", 0, FLAG_STRING, &o->cgroupns, NULL,
			"Cgroup namespace to use (host|private)\n"
			"'host':    Run the container in the Docker host's cgroup namespace\n"
			"'private': Run the container in its own private cgroup namespace\n"
			"'':        Use the cgroup namespace as configured by the\n"
			"           default-cgroupns-mode option on the daemon (default)"},
		{"cidfile", 0, FLAG_STRING, &o->cidfile, NULL,
			"Write the container ID to the file"},
		{"cpu-period", 0, FLAG_INT, &o->cpu_period, NULL,
			"Limit CPU CFS (Completely Fair Scheduler) period"},
		{"cpu-quota", 0, FLAG_INT, &o->cpu_quota, NULL,
			"Limit CPU CFS (Completely Fair Scheduler) quota"},
		{"cpu-rt-period", 0, FLAG_INT, &o->cpu_rt_period, NULL,
			"Limit CPU real-time period in microseconds"},
		{"cpu-rt-runtime", 0, FLAG_INT, &o->cpu_rt_runtime, NULL,
			"Limit CPU real-time runtime in microseconds"},
		{"cpu-shares", 'c', FLAG_INT, &o->cpu_shares, NULL, "CPU shares (relative weight)"},
		{"cpus", 0, FLAG_DECIMAL, &o->cpus, NULL, "Number of CPUs"},
		{"cpuset-cpus", 0, FLAG_STRING, &o->cpuset_cpus, NULL,
			"CPUs in which to allow execution (0-3, 0,1)"},
		{"cpuset-mems", 0, FLAG_STRING, &o->cpuset_mems, NULL,
			"MEMs in which to allow execution (0-3, 0,1)"},
		{"device", 0, FLAG_LIST, &o->devices, NULL, "Add a host device to the container"},
		{"device-cgroup-rule", 0, FLAG_CHECKED,
			checked(o, &o->device_rules, check_device_rule), NULL,
			"Add a rule to the cgroup allowed devices list"},
		{"device-read-bps", 0, FLAG_CHECKED, checked(o, &o->read_bps, check_bytes_rate),
			NULL, "Limit read rate (bytes per second) from a device (default [])"},
		{"device-read-iops", 0, FLAG_CHECKED, checked(o, &o->read_iops, check_iops_rate),
			NULL, "Limit read rate (IO per second) from a device (default [])"},
		{"device-write-bps", 0, FLAG_CHECKED, checked(o, &o->write_bps, check_bytes_rate),
			NULL, "Limit write rate (bytes per second) to a device (default [])"},
		{"device-write-iops", 0, FLAG_CHECKED, checked(o, &o->write_iops, check_iops_rate),
			NULL, "Limit write rate (IO per second) to a device (default [])"},
		{"disable-content-trust", 0, FLAG_BOOL, NULL, NULL,
			"Skip image verification (default true)"},
		{"dns", 0, FLAG_CHECKED, checked(o, &o->dns, check_dns), NULL,
			"Set custom DNS servers"},
		{"dns-option", 0, FLAG_LIST, &o->dns_options, NULL, "Set DNS options"},
		{"dns-opt", 0, FLAG_LIST, &o->dns_options, NULL, NULL},
		{"dns-search", 0, FLAG_CHECKED, checked(o, &o->dns_search, check_domain), NULL,
			"Set custom DNS search domains"},
		{"domainname", 0, FLAG_STRING, &o->domainname, NULL, "Container NIS domain name"},
		{"entrypoint", 0, FLAG_STRING, &o->entrypoint, NULL,
			"Overwrite the default ENTRYPOINT of the image"},
		{"env", 'e', FLAG_CHECKED, checked(o, &o->env, check_env), NULL,
			"Set environment variables"},
		{"env-file", 0, FLAG_LIST, &o->env_files, NULL,
			"Read in a file of environment variables"},
		{"expose", 0, FLAG_LIST, &o->expose, NULL, "Expose a port or a range of ports"},
		{"gpus", 0, FLAG_CHECKED, checked(o, &o->gpus, check_gpus), "gpu-request",
			"GPU devices to add to the container ('all' to pass all GPUs)"},
		{"group-add", 0, FLAG_LIST, &o->group_add, NULL, "Add additional groups to join"},
		{"health-cmd", 0, FLAG_STRING, &o->health_cmd, NULL,
			"Command to run to check health"},
		{"health-interval", 0, FLAG_DURATION, &o->health_interval, NULL,
			"Time between running the check (ms|s|m|h) (default 0s)"},
		{"health-retries", 0, FLAG_INT, &o->health_retries, NULL,
			"Consecutive failures needed to report unhealthy"},
		{"health-start-interval", 0, FLAG_DURATION, &o->health_start_interval, NULL,
			"Time between running the check during the start period (ms|s|m|h) (default 0s)"},
		{"health-start-period", 0, FLAG_DURATION, &o->health_start_period, NULL,
			"Start period for the container to initialize before starting health-retries countdown (ms|s|m|h) (default 0s)"},
		{"health-timeout", 0, FLAG_DURATION, &o->health_timeout, NULL,
			"Maximum time to allow one check to run (ms|s|m|h) (default 0s)"},
		{"help", 0, FLAG_BOOL, NULL, NULL, "Print usage"},
		{"hostname", 'h', FLAG_STRING, &o->hostname, NULL, "Container host name"},
		{"init", 0, FLAG_BOOL, &o->init, NULL,
			"Run an init inside the container that forwards signals and reaps processes"},
		{"interactive", 'i', FLAG_BOOL, &o->interactive, NULL,
			"Keep STDIN open even if not attached"},
		{"ip", 0, FLAG_STRING, &o->ip, NULL, "IPv4 address (e.g., 172.30.100.104)"},
		{"ip6", 0, FLAG_STRING, &o->ip6, NULL, "IPv6 address (e.g., 2001:db8::33)"},
		{"ipc", 0, FLAG_STRING, &o->ipc, NULL, "IPC mode to use"},
		{"isolation", 0, FLAG_STRING, &o->isolation, NULL,
			"Container isolation technology"},
		{"kernel-memory", 0, FLAG_SIZE, &o->kernel_memory, NULL, "Kernel memory limit"},
		{"label", 'l', FLAG_CHECKED, checked(o, &o->labels, check_label), NULL,
			"Set meta data on a container"},
		{"label-file", 0, FLAG_LIST, &o->label_files, NULL,
			"Read in a line delimited file of labels"},
		{"link", 0, FLAG_CHECKED, checked(o, &o->links, check_link), NULL,
			"Add link to another container"},
		{"link-local-ip", 0, FLAG_LIST, &o->link_local_ips, NULL,
			"Container IPv4/IPv6 link-local addresses"},
		{"log-driver", 0, FLAG_STRING, &o->log_driver, NULL,
			"Logging driver for the container"},
		{"log-opt", 0, FLAG_LIST, &o->log_opts, NULL, "Log driver options"},
		{"mac-address", 0, FLAG_STRING, &o->mac_address, NULL,
			"Container MAC address (e.g., 92:d0:c6:0a:29:33)"},
		{"memory", 'm', FLAG_SIZE, &o->memory, NULL, "Memory limit"},
		{"memory-reservation", 0, FLAG_SIZE, &o->memory_reservation, NULL,
			"Memory soft limit"},
		{"memory-swap", 0, FLAG_SIZE, &o->memory_swap, NULL,
			"Swap limit equal to memory plus swap: '-1' to enable unlimited swap"},
		{"memory-swappiness", 0, FLAG_INT, &o->memory_swappiness, NULL,
			"Tune container memory swappiness (0 to 100) (default -1)"},
		{"mount", 0, FLAG_CHECKED, checked(o, &o->mounts, check_mount), "mount",
			"Attach a filesystem mount to the container"},
		{"name", 0, FLAG_STRING, &o->name, NULL, "Assign a name to the container"},
		{"network", 0, FLAG_CHECKED, checked(o, &o->networks, check_network), "network",
			"Connect a container to a network"},
		{"net", 0, FLAG_CHECKED, checked(o, &o->networks, check_network), NULL, NULL},
		{"network-alias", 0, FLAG_LIST, &o->network_aliases, NULL,
			"Add network-scoped alias for the container"},
		{"net-alias", 0, FLAG_LIST, &o->network_aliases, NULL, NULL},
		{"no-healthcheck", 0, FLAG_BOOL, &o->no_healthcheck, NULL,
			"Disable any container-specified HEALTHCHECK"},
		{"oom-kill-disable", 0, FLAG_BOOL, &o->oom_kill_disable, NULL,
			"Disable OOM Killer"},
		{"oom-score-adj", 0, FLAG_INT, &o->oom_score_adj, NULL,
			"Tune host's OOM preferences (-1000 to 1000)"},
		{"pid", 0, FLAG_STRING, &o->pid, NULL, "PID namespace to use"},
		{"pids-limit", 0, FLAG_INT, &o->pids_limit, NULL,
			"Tune container pids limit (set -1 for unlimited)"},
		{"platform", 0, FLAG_STRING, &o->platform, NULL,
			"Set platform if server is multi-platform capable"},
		{"privileged", 0, FLAG_BOOL, &o->privileged, NULL,
			"Give extended privileges to this container"},
		{"publish", 'p', FLAG_LIST, &o->publish, NULL,
			"Publish a container's port(s) to the host"},
		{"publish-all", 'P', FLAG_BOOL, &o->publish_all, NULL,
			"Publish all exposed ports to random ports"},
		{"pull", 0, FLAG_STRING, &o->pull, NULL,
			with_run
				? "Pull image before running (\"always\", \"missing\", \"never\") (default \"missing\")"
				: "Pull image before creating (\"always\", \"|missing\", \"never\") (default \"missing\")"},
		{"quiet", 'q', FLAG_BOOL, &o->quiet, NULL, "Suppress the pull output"},
		{"read-only", 0, FLAG_BOOL, &o->read_only, NULL,
			"Mount the container's root filesystem as read only"},
		{"restart", 0, FLAG_STRING, &o->restart, NULL,
			"Restart policy to apply when a container exits (default \"no\")"},
		{"rm", 0, FLAG_BOOL, &o->rm, NULL,
			"Automatically remove the container and its associated anonymous volumes when it exits"},
		{"runtime", 0, FLAG_STRING, &o->runtime, NULL, "Runtime to use for this container"},
		{"security-opt", 0, FLAG_LIST, &o->security_opts, NULL, "Security Options"},
		{"shm-size", 0, FLAG_SIZE, &o->shm_size, NULL, "Size of /dev/shm"},
		{"stop-signal", 0, FLAG_STRING, &o->stop_signal, NULL,
			"Signal to stop the container"},
		{"stop-timeout", 0, FLAG_INT, &o->stop_timeout, NULL,
			"Timeout (in seconds) to stop a container"},
		{"storage-opt", 0, FLAG_LIST, &o->storage_opts, NULL,
			"Storage driver options for the container"},
		{"sysctl", 0, FLAG_CHECKED, checked(o, &o->sysctls, check_sysctl), "map",
			"Sysctl options (default map[])"},
		{"tmpfs", 0, FLAG_LIST, &o->tmpfs, NULL, "Mount a tmpfs directory"},
		{"tty", 't', FLAG_BOOL, &o->tty, NULL, "Allocate a pseudo-TTY"},
		{"ulimit", 0, FLAG_CHECKED, checked(o, &o->ulimits, check_ulimit), "ulimit",
			"Ulimit options (default [])"},
		{"use-api-socket", 0, FLAG_BOOL, &o->use_api_socket, NULL, NULL},
		{"user", 'u', FLAG_STRING, &o->user, NULL,
			"Username or UID (format: <name|uid>[:<group|gid>])"},
		{"userns", 0, FLAG_STRING, &o->userns, NULL, "User namespace to use"},
		{"uts", 0, FLAG_STRING, &o->uts, NULL, "UTS namespace to use"},
		{"volume", 'v', FLAG_LIST, &o->volumes, NULL, "Bind mount a volume"},
		{"volume-driver", 0, FLAG_STRING, &o->volume_driver, NULL,
			"Optional volume driver for the container"},
		{"volumes-from", 0, FLAG_LIST, &o->volumes_from, NULL,
			"Mount volumes from the specified container(s)"},
		{"workdir", 'w', FLAG_STRING, &o->workdir, NULL,
			"Working directory inside the container"},
	};
	enum { OWN = sizeof(own) / sizeof(*own), SHARED = sizeof(shared) / sizeof(*shared) };
	_Static_assert(OWN + SHARED < RUN_FLAGS_MAX, "room for all flags and the end");
	size_t n = 0;
	for (size_t i = 0; with_run && i < OWN; i++) {
		ret[n++] = own[i];
	}
	for (size_t i = 0; i < SHARED; i++) {
		ret[n++] = shared[i];
	}
	ret[n] = (struct flag){0};
}
