/* compose/model.h - a loaded project, typed: what the planner and the requests are made from.
 *
 * Everything is borrowed from project->tree and lives until project_free. Absent strings are NULL;
 * absent numbers are UNSET.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strv.h"
#include "compose/tree.h"

#define UNSET INT64_MIN

enum truth { TRUTH_UNSET, TRUTH_FALSE, TRUTH_TRUE };

struct words {
	const char **v;
	size_t n;
	bool set; /* the key was written: an empty list differs from none */
};

struct pair {
	const char *name;
	const char *value; /* NULL: a name without a value */
};

struct pairs {
	struct pair *v;
	size_t n;
};

struct port {
	const char *host_ip;   /* "" or NULL: every address */
	const char *published; /* "8080", "8000-8010", NULL: any free port */
	int target;
	const char *protocol; /* "tcp", "udp", "sctp" */
};

enum mount_type { MOUNT_BIND, MOUNT_VOLUME, MOUNT_TMPFS };

struct mount {
	enum mount_type type;
	const char
		*source; /* absolute path, or key of a top-level volume; NULL: anonymous volume */
	const char *target;
	bool read_only, create_host_path, nocopy;
	const char *propagation, *selinux, *subpath;
	int64_t tmpfs_size_bytes, tmpfs_mode;
};

struct endpoint {
	const char *network; /* key of a top-level network */
	struct words aliases, link_local_ips;
	const char *ipv4_address, *ipv6_address, *mac_address;
	int64_t priority, gw_priority;
	struct pairs driver_opts;
};

enum condition { CONDITION_STARTED, CONDITION_HEALTHY, CONDITION_COMPLETED };

struct dependency {
	const char *service;
	enum condition condition;
	bool restart, required;
};

struct health {
	struct words test;
	int64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns, retries;
	bool disable;
};

struct device {
	const char *source, *target, *permissions;
};

struct ulimit {
	const char *name;
	int64_t soft, hard;
};

/* A config or a secret as a service uses it. */
struct file_use {
	const char *key;     /* of the top-level configs or secrets */
	const char *target;  /* absolute path in the container */
	const char *path;    /* file on this machine, or NULL */
	const char *content; /* when path is NULL */
	int64_t uid, gid, mode;
};

struct build {
	const char *context; /* absolute path, or a URL */
	const char *dockerfile, *dockerfile_inline, *target, *network;
	struct pairs args, labels;
	struct pairs ssh;      /* id -> socket, or NULL */
	struct pairs contexts; /* name -> absolute path, URL, docker-image://x or service:x */
	struct words cache_from, cache_to, extra_hosts, tags, platforms, no_cache_filter,
		entitlements;
	struct ulimit *ulimits;
	struct file_use *secrets;
	size_t n_ulimits, n_secrets;
	int64_t shm_size_bytes;
	bool no_cache, pull;
};

struct service {
	const char *name;
	struct node *node; /* its canonical form: `config` and the hash */
	const char *image; /* as written, or PROJECT-SERVICE for one that is only built */
	struct build *build;
	struct words command, entrypoint;
	struct pairs environment, labels, annotations, sysctls, log_options, storage_opt;
	struct port *ports;
	size_t n_ports;
	struct words expose;
	struct mount *mounts;
	size_t n_mounts;
	struct endpoint *endpoints; /* the primary network first */
	size_t n_endpoints;
	const char *network_mode, *pid, *ipc, *uts, *userns_mode, *cgroup, *cgroup_parent, *runtime;
	struct dependency *dependencies; /* implied ones included */
	size_t n_dependencies;
	const char *restart, *user, *working_dir, *hostname, *domainname, *container_name,
		*stop_signal, *platform, *pull_policy, *mac_address, *log_driver, *cpuset;
	struct health *health;
	int64_t stop_grace_ns;
	bool init, privileged, read_only, tty, stdin_open, oom_kill_disable;
	enum truth init_set, attach;
	struct words cap_add, cap_drop, device_cgroup_rules, dns, dns_search, dns_opt, extra_hosts,
		tmpfs, security_opt, group_add, profiles, volumes_from, links;
	struct device *devices;
	size_t n_devices;
	struct ulimit *ulimits;
	size_t n_ulimits;
	int64_t mem_limit, mem_reservation, memswap_limit, mem_swappiness, nano_cpus, cpu_shares,
		cpu_quota, cpu_period, pids_limit, shm_size, oom_score_adj;
	struct file_use *configs, *secrets;
	size_t n_configs, n_secrets;
	int replicas;
};

struct ipam_pool {
	const char *subnet, *ip_range, *gateway;
	struct pairs aux_addresses;
};

struct network {
	const char *key;
	const char *name; /* as the engine knows it */
	struct node *node;
	bool external, internal, attachable;
	enum truth enable_ipv4, enable_ipv6;
	const char *driver, *ipam_driver;
	struct pairs driver_opts, ipam_options, labels;
	struct ipam_pool *pools;
	size_t n_pools;
};

struct volume {
	const char *key;
	const char *name;
	struct node *node;
	bool external;
	const char *driver;
	struct pairs driver_opts, labels;
};

struct project {
	struct tree *tree;
	struct node *root; /* canonical, normalised: what `config` prints */
	const char *name;
	const char *working_dir;
	struct words files;       /* absolute; "-" for standard input */
	struct words env_files;   /* given with --env-file */
	struct service *services; /* active ones, dependencies before their dependents */
	size_t n_services;
	struct words disabled; /* services of profiles that are not active */
	struct network *networks;
	size_t n_networks;
	struct volume *volumes;
	size_t n_volumes;
	struct strv warnings;
};

void project_free(struct project *p);
SCOPED(struct project *, project_free)

struct service *project_service(
	const struct project *p, const char *name); /* NULL when there is none */
struct network *project_network(const struct project *p, const char *key);
struct volume *project_volume(const struct project *p, const char *key);
