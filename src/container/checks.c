/* What create can know of a request: words, ranges and what goes together; the values that dockerd
 * shows for what was left out. moby daemon/container.go verifyContainerSettings,
 * adaptContainerSettings.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <limits.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/scoped.h"
#include "container/bundle.h"
#include "oci/spec.h"
#include "sys/cgroup.h"

#define SHM_DEFAULT (INT64_C(64) << 20)

/* What this engine does not do is said now, not ignored. */
static int check_unsupported(const json_t *host, struct err *e)
{
	const char *isolation = json_str(host, "Isolation");
	if (*isolation && strcmp(isolation, "default") != 0) {
		return err_set(e, ERR_INVALID,
			"Invalid isolation: \"%.64s\" - linux only supports 'default'", isolation);
	}
	const json_t *request = json_array_get(json_object_get(host, "DeviceRequests"), 0);
	if (request && strcmp(json_str(request, "Driver"), "cdi") == 0) {
		const char *name =
			json_string_value(json_array_get(json_object_get(request, "DeviceIDs"), 0));
		return err_set(e, ERR_INVALID,
			"CDI devices are not supported: \"%.100s\"; name the device's node, or use a label wherry.device.NAME",
			name ? name : "");
	}
	if (request) {
		return err_set(e, ERR_INVALID,
			"could not select device driver \"%.64s\": device requests (--gpus) are not supported",
			json_str(request, "Driver"));
	}
	if (json_object_size(json_object_get(host, "StorageOpt")) > 0) {
		return err_set(e, ERR_INVALID,
			"--storage-opt is not supported for overlay without project quotas");
	}
	return 0;
}

static int check_numbers(const json_t *host, struct err *e)
{
	int64_t score = json_i64(host, "OomScoreAdj", 0);
	if (json_i64(host, "ShmSize", 0) < 0) {
		return err_set(e, ERR_INVALID, "SHM size can not be less than 0");
	}
	if (score < -1000 || score > 1000) {
		return err_set(e, ERR_INVALID,
			"Invalid value %lld, range for oom score adj is [-1000, 1000]",
			(long long)score);
	}
	return 0;
}

static bool is_address(const char *text)
{
	struct in6_addr any;
	size_t n = strlen(text);
	/* [::1] as well, in brackets: opts.ValidateExtraHost */
	scoped(free) char *bare =
		*text == '[' && text[n - 1] == ']' ? xstrndup(text + 1, n - 2) : xstrdup(text);
	return inet_pton(AF_INET, bare, &any) == 1 || inet_pton(AF_INET6, bare, &any) == 1;
}

static int check_names(const json_t *host, struct err *e)
{
	size_t i;
	json_t *item;
	json_array_foreach (json_object_get(host, "ExtraHosts"), i, item) {
		char *name;
		const char *address;
		if (etc_split_host(json_string_value(item), &name, &address, e) < 0) {
			return -1;
		}
		free(name);
		if (strcmp(address, "host-gateway") != 0 && !is_address(address)) {
			return err_set(e, ERR_INVALID, "invalid IP address in add-host: \"%.64s\"",
				address);
		}
	}
	json_array_foreach (json_object_get(host, "Dns"), i, item) {
		if (!is_address(json_string_value(item))) {
			return err_set(e, ERR_INVALID, "bad nameserver address %.64s",
				json_string_value(item));
		}
	}
	return json_object_get(json_object_get(host, "Annotations"), "")
		       ? err_set(e, ERR_INVALID,
				 "invalid Annotations: the empty string is not permitted as an annotation key")
		       : 0;
}

/* Links name containers that exist; "name", "name:alias". */
static int check_links(const struct container_set *s, const json_t *host, struct err *e)
{
	size_t i;
	json_t *item;
	json_array_foreach (json_object_get(host, "Links"), i, item) {
		const char *link = json_string_value(item);
		scoped(free) char *name = xstrndup(link, strcspn(link, ":"));
		if (!container_find((struct container_set *)s, name, e)) {
			e->kind = ERR_INVALID;
			return err_wrap(e, "could not get container for %.64s", name);
		}
	}
	return 0;
}

static int check_restart(struct container *c, struct err *e)
{
	json_t *p = json_object_get(c->host_config, "RestartPolicy");
	const char *name;
	int64_t count;
	if (json_get_str(p, "Name", &name, e) < 0 ||
		json_get_i64(p, "MaximumRetryCount", 0, &count, e) < 0 ||
		restart_policy_parse(name ? name : "", count, &c->policy, e) < 0) {
		return -1;
	}
	if (c->policy.kind != RESTART_NO && json_bool(c->host_config, "AutoRemove")) {
		return err_set(
			e, ERR_INVALID, "can't create 'AutoRemove' container with restart policy");
	}
	json_put_str(p, "Name", name && *name ? name : "no");
	json_put(p, "MaximumRetryCount", json_integer(count));
	return 0;
}

static int check_config(struct container *c, struct err *e)
{
	int signal;
	const char *stop = json_str(c->config, "StopSignal");
	const char *workdir = json_str(c->config, "WorkingDir");
	if (*stop && parse_signal(stop, &signal) < 0) {
		return err_set(e, ERR_INVALID, "invalid signal: %.64s", stop);
	}
	if (*workdir) {
		if (*workdir != '/') {
			return err_set(e, ERR_INVALID,
				"the working directory '%.200s' is invalid, it needs to be an absolute path",
				workdir);
		}
		if (strlen(workdir) >= PATH_MAX) {
			return err_set(e, ERR_INVALID,
				"the working directory is longer than %d bytes", PATH_MAX - 1);
		}
		scoped(free) char *clean = path_clean(workdir);
		json_put_str(c->config, "WorkingDir", clean);
	}
	if (strlen(json_str(c->config, "Hostname")) > 64) { /* sethostname(2) */
		return err_set(e, ERR_INVALID,
			"invalid hostname '%.80s': it may have at most 64 characters",
			json_str(c->config, "Hostname"));
	}
	return health_check_config(c->config, e);
}

static int check_resources(struct container *c, struct err *e)
{
	json_t *rlimits = NULL;
	if (limits_check(c->host_config, c->set->d.cgroups, false, c->warnings, e) < 0 ||
		limits_rlimits(c->host_config, &rlimits, e) < 0) {
		return -1;
	}
	json_decref(rlimits);
	limits_put_defaults(c->host_config);
	return 0;
}

static void put_if_empty(json_t *host, const char *key, const char *value)
{
	if (!*json_str(host, key)) {
		json_put_str(host, key, value);
	}
}

/* What was left out, as it is from here on: for inspect, and so that a later default does not
 * change it. */
static void put_defaults(json_t *host)
{
	bool privileged = json_bool(host, "Privileged");
	put_if_empty(host, "IpcMode", "private");
	put_if_empty(host, "CgroupnsMode", cgroup_is_v2() ? "private" : "host");
	if (json_i64(host, "ShmSize", 0) == 0) {
		json_put(host, "ShmSize", json_integer(SHM_DEFAULT));
	}
	if (!json_is_boolean(json_object_get(host, "OomKillDisable"))) {
		json_put(host, "OomKillDisable", json_false());
	}
	if (!privileged && json_is_null(json_object_get(host, "MaskedPaths"))) {
		json_put(host, "MaskedPaths", oci_default_masked_paths());
	}
	if (!privileged && json_is_null(json_object_get(host, "ReadonlyPaths"))) {
		json_put(host, "ReadonlyPaths", oci_default_readonly_paths());
	}
}

static void warn(const struct container *c)
{
	int wanted = (int)json_i64(c->host_config, "OomScoreAdj", 0);
	int allowed = limits_oom_score(c->host_config);
	if (allowed != wanted) {
		scoped(free) char *text = xasprintf(
			"OomScoreAdj %d needs CAP_SYS_RESOURCE, which the daemon does not have. %d is used.",
			wanted, allowed);
		json_array_append_new(c->warnings, json_string(text));
	}
	if (strcmp(container_network_mode(c), "host") == 0 &&
		json_object_size(json_object_get(c->host_config, "PortBindings")) > 0) {
		json_array_append_new(c->warnings,
			json_string("Published ports are discarded when using host network mode"));
	}
}

int checks_run(struct container *c, struct err *e)
{
	json_t *host = c->host_config;
	c->warnings = json_array();
	if (check_config(c, e) < 0 || check_unsupported(host, e) < 0 || check_restart(c, e) < 0 ||
		check_numbers(host, e) < 0 || check_names(host, e) < 0 ||
		modes_resolve(c->set, host, e) < 0 || check_links(c->set, host, e) < 0 ||
		runtime_check(c->set, host, e) < 0 || check_resources(c, e) < 0 ||
		bundle_check(c->config, host, e) < 0) {
		return -1;
	}
	put_defaults(host);
	warn(c);
	return 0;
}
