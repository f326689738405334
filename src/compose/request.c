#include "compose/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "compose/request_parts.h"

#define NS_PER_SECOND INT64_C(1000000000)

char *request_container_name(const struct project *p, const struct service *s, int number)
{
	return s->container_name ? xstrdup(s->container_name)
				 : xasprintf("%s-%s-%d", p->name, s->name, number);
}

/* ---- labels ---- */

static char *join_words(const struct words *w)
{
	struct buf b = BUF_INIT;
	for (size_t i = 0; i < w->n; i++) {
		buf_printf(&b, "%s%s", i ? "," : "", w->v[i]);
	}
	return buf_take_str(&b);
}

/* "db:service_healthy:false,cache:service_started:true": the last field is `restart`. */
static char *depends_label(const struct service *s)
{
	static const char *const conditions[] = {
		[CONDITION_STARTED] = "service_started",
		[CONDITION_HEALTHY] = "service_healthy",
		[CONDITION_COMPLETED] = "service_completed_successfully",
	};
	struct buf b = BUF_INIT;
	for (size_t i = 0; i < s->n_dependencies; i++) {
		const struct dependency *d = &s->dependencies[i];
		buf_printf(&b, "%s%s:%s:%s", i ? "," : "", d->service, conditions[d->condition],
			d->restart ? "true" : "false");
	}
	return buf_take_str(&b);
}

static json_t *container_labels(const struct project *p, const struct request_container *r)
{
	json_t *labels = request_pairs(&r->service->labels);
	scoped(free) char *files = join_words(&p->files);
	scoped(free) char *env_files = join_words(&p->env_files);
	scoped(free) char *depends = depends_label(r->service);
	json_put_str(labels, LABEL "project", p->name);
	json_put_str(labels, LABEL "service", r->service->name);
	json_put_str(labels, LABEL "oneoff", r->one_off ? "True" : "False");
	json_put_str(labels, LABEL "config-hash", r->hash);
	json_put_str(labels, LABEL "image", r->image_id);
	json_put_str(labels, LABEL "depends_on", depends);
	json_put_str(labels, LABEL "version", COMPOSE_VERSION);
	json_put_str(labels, LABEL "project.working_dir", p->working_dir);
	json_put_str(labels, LABEL "project.config_files", files);
	if (*env_files) {
		json_put_str(labels, LABEL "project.environment_file", env_files);
	}
	if (r->replaces) {
		json_put_str(labels, LABEL "replace", r->replaces);
	}
	if (r->one_off) {
		json_put_str(labels, LABEL "slug", r->one_off);
	} else {
		char number[16];
		snprintf(number, sizeof(number), "%d", r->number);
		json_put_str(labels, LABEL "container-number", number);
	}
	return labels;
}

/* ---- container configuration ---- */

static json_t *environment_json(const struct service *s)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->environment.n; i++) {
		const struct pair *pair = &s->environment.v[i];
		if (pair->value) {
			scoped(free) char *text = xasprintf("%s=%s", pair->name, pair->value);
			json_array_append_new(list, json_string(text));
		}
	}
	return list;
}

static json_t *health_json(const struct health *h)
{
	json_t *o = json_object();
	if (h->disable) {
		json_put(o, "Test", json_pack("[s]", "NONE"));
		return o;
	}
	request_put_words(o, "Test", &h->test);
	request_put_number(o, "Interval", h->interval_ns);
	request_put_number(o, "Timeout", h->timeout_ns);
	request_put_number(o, "StartPeriod", h->start_period_ns);
	request_put_number(o, "StartInterval", h->start_interval_ns);
	request_put_number(o, "Retries", h->retries);
	return o;
}

/* "80/tcp" of expose and ports; ranges in expose name every port. */
static json_t *exposed_json(const struct service *s)
{
	json_t *map = json_object();
	for (size_t i = 0; i < s->expose.n; i++) {
		scoped(free) char *text = xstrdup(s->expose.v[i]);
		char *slash = strchr(text, '/');
		const char *protocol = slash ? slash + 1 : "tcp";
		if (slash) {
			*slash = '\0';
		}
		char *dash = strchr(text, '-');
		int first = (int)strtol(text, NULL, 10);
		int last = dash ? (int)strtol(dash + 1, NULL, 10) : first;
		for (int port = first; port <= last && port <= 65535; port++) {
			char key[32];
			snprintf(key, sizeof(key), "%d/%.8s", port, protocol);
			json_put(map, key, json_object());
		}
	}
	for (size_t i = 0; i < s->n_ports; i++) {
		char key[32];
		snprintf(key, sizeof(key), "%d/%.8s", s->ports[i].target, s->ports[i].protocol);
		json_put(map, key, json_object());
	}
	return map;
}

static json_t *port_bindings(const struct service *s)
{
	json_t *map = json_object();
	for (size_t i = 0; i < s->n_ports; i++) {
		const struct port *port = &s->ports[i];
		char key[32];
		snprintf(key, sizeof(key), "%d/%.8s", port->target, port->protocol);
		json_t *list = json_object_get(map, key);
		if (!list) {
			list = json_array();
			json_put(map, key, list);
		}
		json_array_append_new(
			list, json_pack("{s:s,s:s}", "HostIp", port->host_ip ? port->host_ip : "",
				      "HostPort", port->published ? port->published : ""));
	}
	return map;
}

/* ---- host configuration ---- */

static void put_resources(json_t *host, const struct service *s)
{
	request_put_number(host, "Memory", s->mem_limit);
	request_put_number(host, "MemoryReservation", s->mem_reservation);
	request_put_number(host, "MemorySwap", s->memswap_limit);
	request_put_number(host, "MemorySwappiness", s->mem_swappiness);
	request_put_number(host, "NanoCpus", s->nano_cpus);
	request_put_number(host, "CpuShares", s->cpu_shares);
	request_put_number(host, "CpuQuota", s->cpu_quota);
	request_put_number(host, "CpuPeriod", s->cpu_period);
	request_put_text(host, "CpusetCpus", s->cpuset);
	request_put_number(host, "PidsLimit", s->pids_limit);
	request_put_number(host, "ShmSize", s->shm_size);
	request_put_number(host, "OomScoreAdj", s->oom_score_adj);
	request_put_true(host, "OomKillDisable", s->oom_kill_disable);
	request_put_text(host, "CgroupParent", s->cgroup_parent);
	json_t *limits = json_array();
	for (size_t i = 0; i < s->n_ulimits; i++) {
		const struct ulimit *u = &s->ulimits[i];
		json_array_append_new(
			limits, json_pack("{s:s,s:I,s:I}", "Name", u->name, "Soft",
					(json_int_t)u->soft, "Hard", (json_int_t)u->hard));
	}
	json_put(host, "Ulimits", limits);
	json_t *devices = json_array();
	for (size_t i = 0; i < s->n_devices; i++) {
		const struct device *d = &s->devices[i];
		json_array_append_new(devices,
			json_pack("{s:s,s:s,s:s}", "PathOnHost", d->source, "PathInContainer",
				d->target, "CgroupPermissions", d->permissions));
	}
	json_put(host, "Devices", devices);
}

static void put_security(json_t *host, const struct service *s)
{
	request_put_true(host, "Privileged", s->privileged);
	request_put_true(host, "ReadonlyRootfs", s->read_only);
	request_put_words(host, "CapAdd", &s->cap_add);
	request_put_words(host, "CapDrop", &s->cap_drop);
	request_put_words(host, "DeviceCgroupRules", &s->device_cgroup_rules);
	request_put_words(host, "GroupAdd", &s->group_add);
	json_t *options = json_array();
	for (size_t i = 0; i < s->security_opt.n; i++) {
		/* compose accepts "no-new-privileges:true" as the engine does; both spellings pass
		 * through */
		json_array_append_new(options, json_string(s->security_opt.v[i]));
	}
	json_put(host, "SecurityOpt", options);
	if (s->sysctls.n > 0) {
		json_put(host, "Sysctls", request_pairs(&s->sysctls));
	}
	if (s->annotations.n > 0) {
		json_put(host, "Annotations", request_pairs(&s->annotations));
	}
}

static void put_dns(json_t *host, const struct service *s)
{
	request_put_words(host, "Dns", &s->dns);
	request_put_words(host, "DnsSearch", &s->dns_search);
	request_put_words(host, "DnsOptions", &s->dns_opt);
	request_put_words(host, "ExtraHosts", &s->extra_hosts);
}

static json_t *restart_json(const struct service *s)
{
	const char *policy = s->restart ? s->restart : "";
	const char *colon = strchr(policy, ':');
	scoped(free) char *name =
		xstrndup(policy, colon ? (size_t)(colon - policy) : strlen(policy));
	return json_pack("{s:s,s:i}", "Name", *name ? name : "no", "MaximumRetryCount",
		colon ? (int)strtol(colon + 1, NULL, 10) : 0);
}

static json_t *log_json(const struct service *s)
{
	return json_pack("{s:s,s:o}", "Type", s->log_driver ? s->log_driver : "", "Config",
		request_pairs(&s->log_options));
}

/* "service:web" as "container:ID". Puts nothing for NULL. */
static int put_namespace(json_t *host, const char *key, const char *mode,
	const struct request_container *r, struct err *e)
{
	if (!mode || !text_starts(mode, "service:")) {
		request_put_text(host, key, mode);
		return 0;
	}
	const char *id =
		r->container_of ? r->container_of(r->owner, mode + strlen("service:")) : NULL;
	if (!id) {
		return err_set(e, ERR_INVALID,
			"service \"%s\" shares a namespace with \"%s\", which has no container",
			r->service->name, mode + strlen("service:"));
	}
	scoped(free) char *text = xasprintf("container:%s", id);
	json_put_str(host, key, text);
	return 0;
}

static int put_volumes_from(json_t *host, const struct request_container *r, struct err *e)
{
	json_t *list = json_array();
	json_put(host, "VolumesFrom", list);
	for (size_t i = 0; i < r->service->volumes_from.n; i++) {
		const char *from = r->service->volumes_from.v[i];
		if (text_starts(from, "container:")) {
			json_array_append_new(list, json_string(from + strlen("container:")));
			continue;
		}
		scoped(free) char *name = xstrndup(from, strcspn(from, ":"));
		const char *id = r->container_of ? r->container_of(r->owner, name) : NULL;
		if (!id) {
			return err_set(e, ERR_INVALID,
				"volumes_from: service \"%s\" has no container", name);
		}
		scoped(free) char *text = xasprintf("%s%s", id, from + strlen(name));
		json_array_append_new(list, json_string(text));
	}
	return 0;
}

/* "db:database": service db is also called database in this container. */
static int put_links(
	json_t *host, const struct project *p, const struct request_container *r, struct err *e)
{
	json_t *list = json_array();
	json_put(host, "Links", list);
	for (size_t i = 0; i < r->service->links.n; i++) {
		const char *link = r->service->links.v[i];
		scoped(free) char *name = xstrndup(link, strcspn(link, ":"));
		const char *alias = link[strlen(name)] ? link + strlen(name) + 1 : name;
		const char *id = r->container_of ? r->container_of(r->owner, name) : NULL;
		if (!id) {
			return err_set(
				e, ERR_INVALID, "links: service \"%s\" has no container", name);
		}
		scoped(free) char *text = xasprintf("%s:%s", id, alias);
		json_array_append_new(list, json_string(text));
	}
	return 0;
}

static json_t *host_json(const struct project *p, const struct request_container *r, struct err *e)
{
	const struct service *s = r->service;
	scoped(json) json_t *host = json_object();
	request_put_mounts(host, p, s);
	put_resources(host, s);
	put_security(host, s);
	put_dns(host, s);
	json_put(host, "PortBindings", port_bindings(s));
	json_put(host, "RestartPolicy", restart_json(s));
	json_put(host, "LogConfig", log_json(s));
	if (s->init_set != TRUTH_UNSET) {
		json_put(host, "Init", json_boolean(s->init));
	}
	request_put_text(host, "Runtime", s->runtime);
	request_put_text(host, "UTSMode", s->uts);
	request_put_text(host, "UsernsMode", s->userns_mode);
	request_put_text(host, "CgroupnsMode", s->cgroup);
	if (put_namespace(host, "PidMode", s->pid, r, e) < 0 ||
		put_namespace(host, "IpcMode", s->ipc, r, e) < 0 ||
		put_namespace(host, "NetworkMode", s->network_mode, r, e) < 0 ||
		put_volumes_from(host, r, e) < 0 || put_links(host, p, r, e) < 0) {
		return NULL;
	}
	if (s->n_endpoints > 0) {
		const struct network *primary = project_network(p, s->endpoints[0].network);
		json_put_str(
			host, "NetworkMode", primary ? primary->name : s->endpoints[0].network);
	}
	return TAKE(host);
}

json_t *request_endpoint(
	const struct service *s, const struct endpoint *endpoint, const char *container_name)
{
	json_t *o = json_object();
	json_t *aliases = json_array();
	json_array_append_new(aliases, json_string(container_name));
	json_array_append_new(aliases, json_string(s->name));
	for (size_t i = 0; i < endpoint->aliases.n; i++) {
		json_array_append_new(aliases, json_string(endpoint->aliases.v[i]));
	}
	json_put(o, "Aliases", aliases);
	if (endpoint->ipv4_address || endpoint->ipv6_address || endpoint->link_local_ips.n > 0) {
		json_t *ipam = json_object();
		request_put_text(ipam, "IPv4Address", endpoint->ipv4_address);
		request_put_text(ipam, "IPv6Address", endpoint->ipv6_address);
		request_put_words(ipam, "LinkLocalIPs", &endpoint->link_local_ips);
		json_put(o, "IPAMConfig", ipam);
	}
	request_put_text(
		o, "MacAddress", endpoint->mac_address ? endpoint->mac_address : s->mac_address);
	if (endpoint->driver_opts.n > 0) {
		json_put(o, "DriverOpts", request_pairs(&endpoint->driver_opts));
	}
	request_put_number(o, "GwPriority", endpoint->gw_priority);
	return o;
}

/* links: on a network with names of its own dockerd reads them from the endpoint, elsewhere from
 * HostConfig. */
static json_t *endpoints_json(
	const struct project *p, const struct request_container *r, json_t *links)
{
	json_t *map = json_object();
	scoped(free) char *name =
		r->one_off ? xasprintf("%s-%s-run-%.12s", p->name, r->service->name, r->one_off)
			   : request_container_name(p, r->service, r->number);
	for (size_t i = 0; i < r->service->n_endpoints; i++) {
		const struct endpoint *endpoint = &r->service->endpoints[i];
		const struct network *network = project_network(p, endpoint->network);
		json_t *o = request_endpoint(r->service, endpoint, name);
		if (json_array_size(links) > 0) {
			json_put(o, "Links", json_deep_copy(links));
		}
		json_put(map, network ? network->name : endpoint->network, o);
	}
	return map;
}

json_t *request_container(const struct project *p, const struct request_container *r, struct err *e)
{
	const struct service *s = r->service;
	json_t *host = host_json(p, r, e);
	if (!host) {
		return NULL;
	}
	json_t *o = json_object();
	json_put_str(o, "Image", s->image);
	json_put(o, "Env", environment_json(s));
	json_put(o, "Labels", container_labels(p, r));
	json_put(o, "ExposedPorts", exposed_json(s));
	json_put(o, "Cmd", s->command.set ? request_words(&s->command) : json_null());
	json_put(o, "Entrypoint", s->entrypoint.set ? request_words(&s->entrypoint) : json_null());
	request_put_text(o, "User", s->user);
	request_put_text(o, "WorkingDir", s->working_dir);
	request_put_text(o, "Hostname", s->hostname);
	request_put_text(o, "Domainname", s->domainname);
	request_put_text(o, "StopSignal", s->stop_signal);
	json_put(o, "Tty", json_boolean(s->tty));
	json_put(o, "OpenStdin", json_boolean(s->stdin_open));
	json_put(o, "AttachStdout", json_true());
	json_put(o, "AttachStderr", json_true());
	if (s->stop_grace_ns != UNSET) {
		json_put(o, "StopTimeout",
			json_integer((s->stop_grace_ns + NS_PER_SECOND - 1) / NS_PER_SECOND));
	}
	if (s->health) {
		json_put(o, "Healthcheck", health_json(s->health));
	}
	json_put(o, "HostConfig", host);
	json_put(o, "NetworkingConfig",
		json_pack("{s:o}", "EndpointsConfig",
			endpoints_json(p, r, json_object_get(host, "Links"))));
	return o;
}
