/* wherry/run_options.h - what `run` and `create` were asked to do, and the engine's JSON for it. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strv.h"
#include "wherry/flags.h"

#define RUN_FLAGS_MAX 128

struct run_options {
	/* how the command itself behaves */
	bool detach, sig_proxy, rm, quiet;
	const char *name, *pull, *platform, *cidfile, *detach_keys;
	struct strv attach;

	/* Config */
	bool interactive, tty, no_healthcheck;
	const char *hostname, *domainname, *user, *workdir, *entrypoint, *stop_signal, *mac_address,
		*health_cmd;
	int64_t stop_timeout, health_retries, health_interval, health_timeout, health_start_period,
		health_start_interval;
	struct strv env, env_files, labels, label_files, expose;

	/* HostConfig */
	bool privileged, publish_all, read_only, init, oom_kill_disable, use_api_socket;
	const char *restart, *log_driver, *pid, *ipc, *uts, *userns, *cgroupns, *cgroup_parent,
		*runtime, *volume_driver, *cpuset_cpus, *cpuset_mems, *isolation;
	int64_t memory, memory_swap, memory_reservation, memory_swappiness, shm_size, cpus,
		cpu_shares, cpu_period, cpu_quota, pids_limit, oom_score_adj, blkio_weight,
		cpu_rt_period, cpu_rt_runtime, kernel_memory;
	struct strv publish, volumes, mounts, tmpfs, devices, device_rules, cap_add, cap_drop,
		ulimits, add_hosts, dns, dns_search, dns_options, log_opts, security_opts, sysctls,
		volumes_from, group_add, links, storage_opts, annotations, blkio_weights, read_bps,
		read_iops, write_bps, write_iops, gpus;

	/* NetworkingConfig */
	const char *ip, *ip6;
	struct strv networks, network_aliases, link_local_ips;

	struct flag_checked checked[32]; /* of the flags, while they are parsed */
	size_t n_checked;
};

#define RUN_UNSET INT64_MIN

void run_options_init(struct run_options *o);
void run_options_deinit(struct run_options *o);
/* The table of flags that fills o; with_run adds -d and --sig-proxy. */
void run_flags(struct run_options *o, bool with_run, struct flag ret[static RUN_FLAGS_MAX]);

/* The body of POST /containers/create. words: image, then command; NULL-terminated. NULL with *e.
 */
json_t *run_body(const struct run_options *o, char **words, struct err *e);
/* The three parts, by file. */
int run_body_config(const struct run_options *o, char **words, json_t *body, struct err *e);
int run_body_host(const struct run_options *o, json_t *host, struct err *e);
int run_body_networks(const struct run_options *o, json_t *body, json_t *host, struct err *e);
