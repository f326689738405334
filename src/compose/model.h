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
	const char *name, *mode, *app_protocol; /* mode: "ingress" or "host" */
	const char *host_ip;                    /* "" or NULL: every address */
	const char *published;                  /* "8080", "8000-8010", NULL: any free port */
	int target;
	const char *protocol; /* "tcp", "udp", "sctp" */
};

enum mount_type { MOUNT_BIND, MOUNT_VOLUME, MOUNT_TMPFS, MOUNT_IMAGE, MOUNT_NPIPE, MOUNT_CLUSTER };

struct mount {
	enum mount_type type;
	const struct node *node; /* where it was written */
	/* absolute path, key of a top-level volume, or an image; NULL: anonymous volume */
	const char *source;
	const char *target;
	bool read_only, create_host_path, nocopy;
	bool optional; /* x-required: false */
	const char *propagation, *selinux, *consistency;
	const char *recursive; /* "enabled", "disabled", "writable", "readonly" */
	const char *subpath;   /* of a volume or an image */
	struct pairs labels;   /* of an anonymous volume */
	int64_t tmpfs_size_bytes, tmpfs_mode;
};

struct endpoint {
	const char *network; /* key of a top-level network */
	struct words aliases, link_local_ips;
	const char *ipv4_address, *ipv6_address, *mac_address, *interface_name;
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
	bool optional; /* x-required: false */
	const struct node *node;
};

/* gpus and deploy.resources.reservations.devices, in this order. */
struct device_request {
	struct words capabilities, device_ids;
	const char *driver;
	struct pairs options;
	int64_t count; /* -1: all; UNSET: device_ids decide */
	bool gpu;      /* of `gpus`: that is another capability */
	const struct node *node;
};

/* A command inside a running container: post_start, pre_stop, the exec of a watch. */
struct hook {
	struct words command;
	const char *user, *working_dir;
	bool privileged;
	struct pairs environment;
	const struct node *node;
};

enum watch_action { WATCH_SYNC, WATCH_REBUILD, WATCH_RESTART, WATCH_SYNC_RESTART, WATCH_SYNC_EXEC };

struct watch {
	const char *path, *target; /* path: absolute, on this machine */
	enum watch_action action;
	struct words include, ignore;
	struct hook exec; /* of WATCH_SYNC_EXEC */
	bool initial_sync;
	const struct node *node;
};

struct device_weight {
	const char *path;
	int64_t weight;
};

struct device_rate {
	const char *path;
	int64_t rate; /* bytes or operations a second */
};

struct device_rates {
	struct device_rate *v;
	size_t n;
};

struct blkio {
	int64_t weight;
	struct device_weight *weights;
	size_t n_weights;
	struct device_rates read_bps, write_bps, read_iops, write_iops;
};

enum failure_action { FAILURE_PAUSE, FAILURE_CONTINUE, FAILURE_ROLLBACK };

/* deploy.update_config and deploy.rollback_config. */
struct update_config {
	int64_t parallelism; /* 0: all at once; UNSET: one */
	int64_t delay_ns, monitor_ns;
	enum failure_action failure_action;
	double max_failure_ratio;
	bool start_first;
};

struct restart_policy {
	const char *condition; /* "none", "on-failure", "any", NULL */
	int64_t delay_ns, max_attempts, window_ns;
};

/* What a service asks of a top-level model. */
struct model_use {
	const char *key;
	const char *endpoint_var, *model_var; /* NULL */
	const struct node *node;
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
	bool external;       /* neither: the engine is expected to have it */
	int64_t uid, gid, mode;
	const struct node *node;
};

struct build {
	const char *context; /* absolute path, or a URL */
	const char *dockerfile, *dockerfile_inline, *target, *network, *isolation;
	const char *provenance, *sbom; /* "true", "false", or attributes; NULL */
	struct pairs args, labels;
	struct pairs ssh;      /* id -> socket, or NULL */
	struct pairs contexts; /* name -> absolute path, URL, docker-image://x or service:x */
	struct words cache_from, cache_to, extra_hosts, tags, platforms, no_cache_filter,
		entitlements;
	struct ulimit *ulimits;
	struct file_use *secrets;
	size_t n_ulimits, n_secrets;
	int64_t shm_size_bytes;
	bool no_cache, pull, privileged;
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
		*stop_signal, *platform, *pull_policy, *mac_address, *log_driver, *cpuset,
		*isolation, *volume_driver;
	struct health *health;
	int64_t stop_grace_ns;
	bool init, privileged, read_only, tty, stdin_open, oom_kill_disable, use_api_socket;
	enum truth init_set, attach;
	struct words cap_add, cap_drop, device_cgroup_rules, dns, dns_search, dns_opt, extra_hosts,
		tmpfs, security_opt, group_add, profiles, volumes_from, links, external_links;
	struct device *devices;
	size_t n_devices;
	struct device_request *device_requests;
	size_t n_device_requests;
	struct ulimit *ulimits;
	size_t n_ulimits;
	int64_t mem_limit, mem_reservation, memswap_limit, mem_swappiness, nano_cpus, cpu_shares,
		cpu_quota, cpu_period, cpu_rt_runtime, cpu_rt_period, cpu_count, cpu_percent,
		pids_limit, shm_size, oom_score_adj;
	struct blkio *blkio; /* NULL */
	struct file_use *configs, *secrets;
	size_t n_configs, n_secrets;
	struct hook *post_start, *pre_stop;
	size_t n_post_start, n_pre_stop;
	struct watch *watches;
	size_t n_watches;
	struct model_use *models;
	size_t n_models;
	const struct node *provider, *credential_spec; /* NULL */
	/* deploy; `restart`, `replicas` and the limits above already follow it */
	const char *deploy_mode; /* "replicated", "global", ...; NULL */
	struct pairs deploy_labels;
	struct update_config *update, *rollback; /* NULL */
	struct restart_policy *restart_policy;   /* NULL */
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
	const char *credentials; /* x-wherry: a secret's key, or NULL */
};

/* A top-level config or secret. */
struct file_object {
	const char *key, *name;
	const char *file, *content, *environment; /* which variable; its value is content then */
	const char *driver, *template_driver;
	struct node *node;
	bool external;
};

/* A top-level model. */
struct model {
	const char *key, *name, *model;
	int64_t context_size;
	struct words runtime_flags;
	struct node *node;
};

struct project {
	struct tree *tree;
	struct node *root; /* canonical, normalised: what `config` prints */
	const char *name;
	bool underscores; /* COMPOSE_COMPATIBILITY: containers are PROJECT_SERVICE_N */
	const char *working_dir;
	struct words files;       /* absolute; "-" for standard input */
	struct words env_files;   /* given with --env-file */
	struct service *services; /* active ones, dependencies before their dependents */
	size_t n_services;
	struct words profiles; /* of all services, each once */
	struct words disabled; /* services of profiles that are not active */
	struct network *networks;
	size_t n_networks;
	struct volume *volumes;
	size_t n_volumes;
	struct file_object *configs, *secrets;
	size_t n_configs, n_secrets;
	struct model *models;
	size_t n_models;
	struct pairs environment; /* what the files' variables came from, sorted by name */
	struct strv warnings;
};

void project_free(struct project *p);
SCOPED(struct project *, project_free)

static inline const char *project_separator(const struct project *p)
{
	return p->underscores ? "_" : "-";
}
struct service *project_service(
	const struct project *p, const char *name); /* NULL when there is none */
struct network *project_network(const struct project *p, const char *key);
struct volume *project_volume(const struct project *p, const char *key);
