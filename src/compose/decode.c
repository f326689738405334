/* The canonical document to the typed model. Shapes were checked by the schema; what is left are
 * forms within strings. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/text.h"
#include "compose/cycle.h"
#include "compose/decode_fields.h"
#include "compose/decode_parts.h"
#include "compose/loader.h"
#include "compose/port.h"

#define SERVICE(key, kind, member)                          \
	{                                                   \
		key, kind, offsetof(struct service, member) \
	}
static const struct field service_fields[] = {
	SERVICE("image", F_TEXT, image),
	SERVICE("command", F_WORDS, command),
	SERVICE("entrypoint", F_WORDS, entrypoint),
	SERVICE("environment", F_PAIRS, environment),
	SERVICE("labels", F_PAIRS, labels),
	SERVICE("annotations", F_PAIRS, annotations),
	SERVICE("sysctls", F_PAIRS, sysctls),
	SERVICE("expose", F_WORDS, expose),
	SERVICE("network_mode", F_TEXT, network_mode),
	SERVICE("pid", F_TEXT, pid),
	SERVICE("ipc", F_TEXT, ipc),
	SERVICE("uts", F_TEXT, uts),
	SERVICE("userns_mode", F_TEXT, userns_mode),
	SERVICE("cgroup", F_TEXT, cgroup),
	SERVICE("cgroup_parent", F_TEXT, cgroup_parent),
	SERVICE("runtime", F_TEXT, runtime),
	SERVICE("restart", F_TEXT, restart),
	SERVICE("user", F_TEXT, user),
	SERVICE("working_dir", F_TEXT, working_dir),
	SERVICE("hostname", F_TEXT, hostname),
	SERVICE("domainname", F_TEXT, domainname),
	SERVICE("container_name", F_TEXT, container_name),
	SERVICE("stop_signal", F_TEXT, stop_signal),
	SERVICE("platform", F_TEXT, platform),
	SERVICE("pull_policy", F_TEXT, pull_policy),
	SERVICE("mac_address", F_TEXT, mac_address),
	SERVICE("cpuset", F_TEXT, cpuset),
	SERVICE("stop_grace_period", F_DURATION, stop_grace_ns),
	SERVICE("init", F_BOOL, init),
	SERVICE("init", F_TRUTH, init_set),
	SERVICE("attach", F_TRUTH, attach),
	SERVICE("privileged", F_BOOL, privileged),
	SERVICE("read_only", F_BOOL, read_only),
	SERVICE("tty", F_BOOL, tty),
	SERVICE("stdin_open", F_BOOL, stdin_open),
	SERVICE("oom_kill_disable", F_BOOL, oom_kill_disable),
	SERVICE("cap_add", F_WORDS, cap_add),
	SERVICE("cap_drop", F_WORDS, cap_drop),
	SERVICE("device_cgroup_rules", F_WORDS, device_cgroup_rules),
	SERVICE("dns", F_WORDS, dns),
	SERVICE("dns_search", F_WORDS, dns_search),
	SERVICE("dns_opt", F_WORDS, dns_opt),
	SERVICE("tmpfs", F_WORDS, tmpfs),
	SERVICE("security_opt", F_WORDS, security_opt),
	SERVICE("group_add", F_WORDS, group_add),
	SERVICE("profiles", F_WORDS, profiles),
	SERVICE("volumes_from", F_WORDS, volumes_from),
	SERVICE("links", F_WORDS, links),
	SERVICE("mem_limit", F_SIZE, mem_limit),
	SERVICE("mem_reservation", F_SIZE, mem_reservation),
	SERVICE("memswap_limit", F_SIZE, memswap_limit),
	SERVICE("mem_swappiness", F_SIZE, mem_swappiness),
	SERVICE("cpu_shares", F_INT, cpu_shares),
	SERVICE("cpu_quota", F_INT, cpu_quota),
	SERVICE("cpu_period", F_INT, cpu_period),
	SERVICE("pids_limit", F_INT, pids_limit),
	SERVICE("shm_size", F_SIZE, shm_size),
	SERVICE("cpu_rt_runtime", F_INT, cpu_rt_runtime),
	SERVICE("cpu_rt_period", F_INT, cpu_rt_period),
	SERVICE("cpu_count", F_INT, cpu_count),
	SERVICE("cpu_percent", F_INT, cpu_percent),
	SERVICE("isolation", F_TEXT, isolation),
	SERVICE("volume_driver", F_TEXT, volume_driver),
	SERVICE("external_links", F_WORDS, external_links),
	SERVICE("storage_opt", F_PAIRS, storage_opt),
	SERVICE("use_api_socket", F_BOOL, use_api_socket),
	SERVICE("oom_score_adj", F_INT, oom_score_adj),
	{0},
};

#define HEALTH(key, kind, member)                          \
	{                                                  \
		key, kind, offsetof(struct health, member) \
	}
static const struct field health_fields[] = {
	HEALTH("test", F_WORDS, test),
	HEALTH("interval", F_DURATION, interval_ns),
	HEALTH("timeout", F_DURATION, timeout_ns),
	HEALTH("start_period", F_DURATION, start_period_ns),
	HEALTH("start_interval", F_DURATION, start_interval_ns),
	HEALTH("retries", F_INT, retries),
	HEALTH("disable", F_BOOL, disable),
	{0},
};

#define BUILD(key, kind, member)                          \
	{                                                 \
		key, kind, offsetof(struct build, member) \
	}
static const struct field build_fields[] = {
	BUILD("context", F_TEXT, context),
	BUILD("dockerfile", F_TEXT, dockerfile),
	BUILD("dockerfile_inline", F_TEXT, dockerfile_inline),
	BUILD("target", F_TEXT, target),
	BUILD("network", F_TEXT, network),
	BUILD("args", F_PAIRS, args),
	BUILD("labels", F_PAIRS, labels),
	BUILD("ssh", F_PAIRS, ssh),
	BUILD("additional_contexts", F_PAIRS, contexts),
	BUILD("cache_from", F_WORDS, cache_from),
	BUILD("cache_to", F_WORDS, cache_to),
	BUILD("no_cache_filter", F_WORDS, no_cache_filter),
	BUILD("entitlements", F_WORDS, entitlements),
	BUILD("isolation", F_TEXT, isolation),
	BUILD("provenance", F_TEXT, provenance),
	BUILD("sbom", F_TEXT, sbom),
	BUILD("privileged", F_BOOL, privileged),
	BUILD("tags", F_WORDS, tags),
	BUILD("platforms", F_WORDS, platforms),
	BUILD("shm_size", F_SIZE, shm_size_bytes),
	BUILD("no_cache", F_BOOL, no_cache),
	BUILD("pull", F_BOOL, pull),
	{0},
};

#define ENDPOINT(key, kind, member)                          \
	{                                                    \
		key, kind, offsetof(struct endpoint, member) \
	}
static const struct field endpoint_fields[] = {
	ENDPOINT("aliases", F_WORDS, aliases),
	ENDPOINT("link_local_ips", F_WORDS, link_local_ips),
	ENDPOINT("ipv4_address", F_TEXT, ipv4_address),
	ENDPOINT("ipv6_address", F_TEXT, ipv6_address),
	ENDPOINT("mac_address", F_TEXT, mac_address),
	ENDPOINT("interface_name", F_TEXT, interface_name),
	ENDPOINT("priority", F_INT, priority),
	ENDPOINT("gw_priority", F_INT, gw_priority),
	ENDPOINT("driver_opts", F_PAIRS, driver_opts),
	{0},
};

#define NETWORK(key, kind, member)                          \
	{                                                   \
		key, kind, offsetof(struct network, member) \
	}
static const struct field network_fields[] = {
	NETWORK("name", F_TEXT, name),
	NETWORK("driver", F_TEXT, driver),
	NETWORK("external", F_BOOL, external),
	NETWORK("internal", F_BOOL, internal),
	NETWORK("attachable", F_BOOL, attachable),
	NETWORK("enable_ipv4", F_TRUTH, enable_ipv4),
	NETWORK("enable_ipv6", F_TRUTH, enable_ipv6),
	NETWORK("driver_opts", F_PAIRS, driver_opts),
	NETWORK("labels", F_PAIRS, labels),
	{0},
};

#define POOL(key, kind, member)                               \
	{                                                     \
		key, kind, offsetof(struct ipam_pool, member) \
	}
static const struct field pool_fields[] = {
	POOL("subnet", F_TEXT, subnet),
	POOL("ip_range", F_TEXT, ip_range),
	POOL("gateway", F_TEXT, gateway),
	POOL("aux_addresses", F_PAIRS, aux_addresses),
	{0},
};

#define VOLUME(key, kind, member)                          \
	{                                                  \
		key, kind, offsetof(struct volume, member) \
	}
static const struct field volume_fields[] = {
	VOLUME("name", F_TEXT, name),
	VOLUME("driver", F_TEXT, driver),
	VOLUME("external", F_BOOL, external),
	VOLUME("driver_opts", F_PAIRS, driver_opts),
	VOLUME("labels", F_PAIRS, labels),
	{0},
};

static void decode_ports(struct decoder *d, const struct node *n, struct service *s)
{
	const struct node *list = node_get(n, "ports");
	s->ports = tree_new_array(d->t, struct port, decode_count(list) + 1);
	node_each (m, list) {
		s->ports[s->n_ports++] = (struct port){
			.name = node_text(m->value, "name"),
			.mode = node_text(m->value, "mode"),
			.app_protocol = node_text(m->value, "app_protocol"),
			.host_ip = node_text(m->value, "host_ip"),
			.published = node_text(m->value, "published"),
			.target = (int)strtol(node_text(m->value, "target"), NULL, 10),
			.protocol = node_text(m->value, "protocol"),
		};
	}
}

static enum mount_type mount_type(const char *type)
{
	static const char *const types[] = {[MOUNT_BIND] = "bind",
		[MOUNT_VOLUME] = "volume",
		[MOUNT_TMPFS] = "tmpfs",
		[MOUNT_IMAGE] = "image",
		[MOUNT_NPIPE] = "npipe",
		[MOUNT_CLUSTER] = "cluster"};
	size_t i = sizeof(types) / sizeof(*types);
	while (--i > 0 && strcmp(types[i], type) != 0) {
	}
	return (enum mount_type)i;
}

static void decode_mount(struct decoder *d, const struct node *n, struct mount *ret)
{
	const struct node *bind = node_get(n, "bind");
	const struct node *volume = node_get(n, "volume");
	const struct node *tmpfs = node_get(n, "tmpfs");
	const char *mode = node_text(tmpfs, "mode");
	const char *subpath = node_text(volume, "subpath");
	*ret = (struct mount){
		.type = mount_type(node_text(n, "type")),
		.node = n,
		.source = node_text(n, "source"),
		.target = node_text(n, "target"),
		.read_only = node_is_true(n, "read_only"),
		.optional = decode_is_optional(n),
		.create_host_path =
			!decode_is_optional(n) && (!bind || node_is_true(bind, "create_host_path")),
		.propagation = node_text(bind, "propagation"),
		.selinux = node_text(bind, "selinux"),
		.recursive = node_text(bind, "recursive"),
		.consistency = node_text(n, "consistency"),
		.nocopy = node_is_true(volume, "nocopy"),
		.subpath = subpath ? subpath : node_text(node_get(n, "image"), "subpath"),
		.labels = decode_pairs(d->t, node_get(volume, "labels")),
		.tmpfs_size_bytes = decode_number(node_text(tmpfs, "size"), F_SIZE),
		.tmpfs_mode = mode ? strtoll(mode, NULL, 10) : UNSET,
	};
}

static void decode_mounts(struct decoder *d, const struct node *n, struct service *s)
{
	const struct node *list = node_get(n, "volumes");
	s->mounts = tree_new_array(d->t, struct mount, decode_count(list) + 1);
	node_each (m, list) {
		decode_mount(d, m->value, &s->mounts[s->n_mounts++]);
	}
}

/* The primary network stands first: the highest priority, then the name (compose-go,
 * ServiceConfig.NetworksByPriority). */
static int compare_endpoints(const void *a, const void *b)
{
	const struct endpoint *x = a;
	const struct endpoint *y = b;
	int64_t px = x->priority == UNSET ? 0 : x->priority;
	int64_t py = y->priority == UNSET ? 0 : y->priority;
	return px != py ? (px > py ? -1 : 1) : strcmp(x->network, y->network);
}

static void decode_endpoints(struct decoder *d, const struct node *n, struct service *s)
{
	const struct node *map = node_get(n, "networks");
	s->endpoints = tree_new_array(d->t, struct endpoint, decode_count(map) + 1);
	node_each (m, map) {
		struct endpoint *endpoint = &s->endpoints[s->n_endpoints++];
		endpoint->network = m->key;
		decode_fields(d->t, m->value, endpoint_fields, endpoint);
	}
	qsort(s->endpoints, s->n_endpoints, sizeof(*s->endpoints), compare_endpoints);
}

static void decode_dependencies(struct decoder *d, const struct node *n, struct service *s)
{
	const struct node *map = node_get(n, "depends_on");
	s->dependencies = tree_new_array(d->t, struct dependency, decode_count(map) + 1);
	node_each (m, map) {
		const char *condition = node_text(m->value, "condition");
		s->dependencies[s->n_dependencies++] = (struct dependency){
			.service = m->key,
			.condition = strcmp(condition, "service_healthy") == 0 ? CONDITION_HEALTHY
				     : strcmp(condition, "service_completed_successfully") == 0
					     ? CONDITION_COMPLETED
					     : CONDITION_STARTED,
			.restart = node_is_true(m->value, "restart"),
			.required = node_is_true(m->value, "required"),
		};
	}
}

/* "0.5" or 2: billionths of a processor. */
static int decode_cpus(struct decoder *d, const struct node *map, int64_t *ret)
{
	const char *text = node_text(map, "cpus");
	if (!text) {
		return 0;
	}
	char *end;
	double cpus = strtod(text, &end);
	if (*end || !(cpus >= 0) || cpus > 100000) {
		return node_err(d->l->e, node_get(map, "cpus"),
			"cpus: a number like 0.5 is expected, not \"%s\"", text);
	}
	*ret = (int64_t)(cpus * 1e9 + 0.5);
	return 0;
}

/* deploy.restart_policy decides over `restart`. */
static int apply_restart_policy(struct decoder *d, const struct node *deploy, struct service *s)
{
	const struct restart_policy *policy = s->restart_policy;
	if (!policy) {
		return 0;
	}
	if (!policy->condition || strcmp(policy->condition, "any") == 0 ||
		strcmp(policy->condition, "always") == 0) {
		s->restart = "always";
	} else if (strcmp(policy->condition, "none") == 0 || strcmp(policy->condition, "no") == 0) {
		s->restart = "no";
	} else if (strcmp(policy->condition, "unless-stopped") == 0) {
		s->restart = "unless-stopped";
	} else if (strcmp(policy->condition, "on-failure") == 0) {
		s->restart = policy->max_attempts != UNSET
				     ? tree_printf(d->t, "on-failure:%lld",
					       (long long)policy->max_attempts)
				     : "on-failure";
	} else {
		return node_err(d->l->e, node_get(node_get(deploy, "restart_policy"), "condition"),
			"condition: one of none, on-failure, any is expected, not \"%s\"",
			policy->condition);
	}
	return 0;
}

static int decode_deploy(struct decoder *d, const struct node *n, struct service *s)
{
	const struct node *deploy = node_get(n, "deploy");
	const struct node *limits = node_get(node_get(deploy, "resources"), "limits");
	const struct node *reservations = node_get(node_get(deploy, "resources"), "reservations");
	const char *scale = node_text(n, "scale");
	const char *replicas = node_text(deploy, "replicas");
	const char *count_text = scale ? scale : replicas ? replicas : "1";
	if (parse_int(count_text, 0, 10000, &s->replicas) < 0) {
		return node_err(d->l->e,
			scale ? node_get(n, "scale") : node_get(deploy, "replicas"),
			"a number of containers from 0 to 10000 is expected, not %s", count_text);
	}
	if (s->replicas > 1 && s->container_name) {
		return node_err(d->l->e, node_get(n, "container_name"),
			"service \"%s\" has a container_name, so it cannot have %d containers",
			s->name, s->replicas);
	}
	if (node_text(limits, "memory")) {
		s->mem_limit = decode_number(node_text(limits, "memory"), F_SIZE);
	}
	if (node_text(limits, "pids")) {
		s->pids_limit = decode_number(node_text(limits, "pids"), F_INT);
	}
	if (node_text(reservations, "memory")) {
		s->mem_reservation = decode_number(node_text(reservations, "memory"), F_SIZE);
	}
	s->nano_cpus = UNSET;
	if (decode_cpus(d, n, &s->nano_cpus) < 0 || decode_cpus(d, limits, &s->nano_cpus) < 0) {
		return -1;
	}
	return decode_deploy_parts(d, deploy, s) < 0 || apply_restart_policy(d, deploy, s) < 0 ? -1
											       : 0;
}

static int check_restart(struct decoder *d, const struct node *n, const struct service *s)
{
	static const char *const words[] = {"", "no", "always", "unless-stopped", "on-failure"};
	int attempts;
	if (!s->restart) {
		return 0;
	}
	for (size_t i = 0; i < 5; i++) {
		if (strcmp(s->restart, words[i]) == 0) {
			return 0;
		}
	}
	if (text_starts(s->restart, "on-failure:") &&
		parse_int(s->restart + 11, 0, INT32_MAX, &attempts) == 0) {
		return 0;
	}
	return node_err(d->l->e, node_get(n, "restart"),
		"restart: one of no, always, unless-stopped, on-failure[:ATTEMPTS] is expected, not \"%s\"",
		s->restart);
}

static int check_words(struct decoder *d, const struct node *n, struct service *s)
{
	static const char *const policies[] = {
		"always", "never", "missing", "if_not_present", "build", "daily", "weekly"};
	int signal;
	if (s->stop_signal && parse_signal(s->stop_signal, &signal) < 0) {
		return node_err(d->l->e, node_get(n, "stop_signal"),
			"stop_signal: \"%s\" is not a signal; one like SIGTERM is expected",
			s->stop_signal);
	}
	bool known = !s->pull_policy || text_starts(s->pull_policy, "every_");
	for (size_t i = 0; !known && i < 7; i++) {
		known = strcmp(s->pull_policy, policies[i]) == 0;
	}
	if (!known) {
		return node_err(d->l->e, node_get(n, "pull_policy"),
			"pull_policy: one of always, never, missing, build is expected, not \"%s\"",
			s->pull_policy);
	}
	return check_restart(d, n, s);
}

static int decode_service(struct decoder *d, struct member *m, struct service *s)
{
	const struct node *n = m->value;
	s->name = m->key;
	s->node = m->value;
	decode_fields(d->t, n, service_fields, s);
	const struct node *logging = node_get(n, "logging");
	s->log_driver = node_text(logging, "driver");
	s->log_options = decode_pairs(d->t, node_get(logging, "options"));
	decode_ports(d, n, s);
	decode_mounts(d, n, s);
	decode_endpoints(d, n, s);
	decode_dependencies(d, n, s);
	decode_service_parts(d, n, s);
	s->extra_hosts = decode_hosts(d, node_get(n, "extra_hosts"));
	decode_ulimits(d, n, &s->ulimits, &s->n_ulimits);
	decode_file_uses(d, n, "configs", &s->configs, &s->n_configs);
	decode_file_uses(d, n, "secrets", &s->secrets, &s->n_secrets);
	if (node_get(n, "healthcheck")) {
		s->health = tree_new_array(d->t, struct health, 1);
		decode_fields(d->t, node_get(n, "healthcheck"), health_fields, s->health);
	}
	if (node_get(n, "build")) {
		s->build = tree_new_array(d->t, struct build, 1);
		const struct node *build = node_get(n, "build");
		decode_fields(d->t, build, build_fields, s->build);
		s->build->extra_hosts = decode_hosts(d, node_get(build, "extra_hosts"));
		decode_ulimits(d, build, &s->build->ulimits, &s->build->n_ulimits);
		decode_file_uses(d, build, "secrets", &s->build->secrets, &s->build->n_secrets);
	}
	if (!s->image || !*s->image) {
		s->image =
			tree_printf(d->t, "%s%s%s", d->p->name, project_separator(d->p), s->name);
	}
	return decode_deploy(d, n, s) < 0 || check_words(d, n, s) < 0 ? -1 : 0;
}

static void decode_networks(struct decoder *d)
{
	const struct node *section = node_get(d->root, "networks");
	d->p->networks = tree_new_array(d->t, struct network, decode_count(section) + 1);
	node_each (m, section) {
		struct network *network = &d->p->networks[d->p->n_networks++];
		const struct node *ipam = node_get(m->value, "ipam");
		const struct node *pools = node_get(ipam, "config");
		network->key = m->key;
		network->node = m->value;
		decode_fields(d->t, m->value, network_fields, network);
		network->ipam_driver = node_text(ipam, "driver");
		network->ipam_options = decode_pairs(d->t, node_get(ipam, "options"));
		network->pools = tree_new_array(d->t, struct ipam_pool, decode_count(pools) + 1);
		node_each (pool, pools) {
			decode_fields(d->t, pool->value, pool_fields,
				&network->pools[network->n_pools++]);
		}
	}
}

static void decode_volumes(struct decoder *d)
{
	const struct node *section = node_get(d->root, "volumes");
	d->p->volumes = tree_new_array(d->t, struct volume, decode_count(section) + 1);
	node_each (m, section) {
		struct volume *volume = &d->p->volumes[d->p->n_volumes++];
		volume->key = m->key;
		volume->node = m->value;
		decode_fields(d->t, m->value, volume_fields, volume);
		volume->credentials = node_text(node_get(m->value, "x-wherry"), "credentials");
	}
}

#define SERVICES_MAX 2000u

enum mark { UNSEEN, ON_THE_WAY, PLACED };

static int fail_cycle(struct decoder *d, const struct way *last)
{
	const struct way *first = last->before;
	while (first && strcmp(first->name, last->name) != 0) {
		first = first->before;
	}
	return cycle_err(d->l->e, "dependency", first, last);
}

/* Depth first, so that dependencies come before; p->services is filled in that order. */
static int place_service(
	struct decoder *d, struct node *services, const struct way *way, unsigned char *marks)
{
	struct member *m = node_member(services, way->name);
	unsigned char *mark = m ? &marks[m - services->members] : NULL;
	if (!mark || *mark == PLACED) {
		return 0;
	}
	if (*mark == ON_THE_WAY) {
		return fail_cycle(d, way);
	}
	*mark = ON_THE_WAY;
	const struct node *all = node_get(m->value, "depends_on");
	node_each (dependency, all) {
		struct node at = *dependency->value;
		at.file = at.file ? at.file : all->file;
		at.line = dependency->line;
		at.column = dependency->column;
		const struct way next = {way, dependency->key, &at};
		if (place_service(d, services, &next, marks) < 0) {
			return -1;
		}
	}
	*mark = PLACED;
	return decode_service(d, m, &d->p->services[d->p->n_services++]);
}

int decode_project(struct loader *l, struct project *p)
{
	struct decoder d = {l, l->t, p->root, p};
	struct node *services = node_get(p->root, "services");
	const char *compatible = env_get(l->env, "COMPOSE_COMPATIBILITY");
	p->underscores =
		compatible &&
		(strcasecmp(compatible, "y") == 0 || strcasecmp(compatible, "t") == 0 ||
			strcasecmp(compatible, "true") == 0 || strcmp(compatible, "1") == 0);
	if (services->n > SERVICES_MAX) {
		return node_err(l->e, services, "more than %u services", SERVICES_MAX);
	}
	p->services = tree_new_array(l->t, struct service, services->n + 1);
	unsigned char *marks = tree_alloc(l->t, services->n + 1);
	decode_networks(&d);
	decode_volumes(&d);
	decode_file_objects(&d);
	decode_models(&d);
	for (size_t i = 0; i < services->n; i++) {
		const struct way way = {NULL, services->members[i].key, NULL};
		if (place_service(&d, services, &way, marks) < 0) {
			return -1;
		}
	}
	return 0;
}
