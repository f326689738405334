/* What a container may use: memory, processors, block devices, devices. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "compose/request_parts.h"

static void put_rates(json_t *host, const char *key, const struct device_rates *rates)
{
	json_t *list = json_array();
	for (size_t i = 0; i < rates->n; i++) {
		json_array_append_new(list, json_pack("{s:s,s:I}", "Path", rates->v[i].path, "Rate",
						    (json_int_t)rates->v[i].rate));
	}
	json_put(host, key, list);
}

static void put_blkio(json_t *host, const struct blkio *b)
{
	request_put_number(host, "BlkioWeight", b->weight);
	json_t *weights = json_array();
	for (size_t i = 0; i < b->n_weights; i++) {
		json_array_append_new(weights, json_pack("{s:s,s:I}", "Path", b->weights[i].path,
						       "Weight", (json_int_t)b->weights[i].weight));
	}
	json_put(host, "BlkioWeightDevice", weights);
	put_rates(host, "BlkioDeviceReadBps", &b->read_bps);
	put_rates(host, "BlkioDeviceWriteBps", &b->write_bps);
	put_rates(host, "BlkioDeviceReadIOps", &b->read_iops);
	put_rates(host, "BlkioDeviceWriteIOps", &b->write_iops);
}

bool request_is_cdi(const struct device *d)
{
	const char *slash = strchr(d->source, '/');
	const char *equal = slash ? strchr(slash, '=') : NULL;
	return *d->source != '/' && equal && equal > slash + 1 && equal[1] &&
	       strcmp(d->source, d->target) == 0;
}

static json_t *device_request_json(const struct device_request *r)
{
	json_t *o = json_object();
	request_put_text(o, "Driver", r->driver);
	request_put_number(o, "Count", r->count);
	request_put_words(o, "DeviceIDs", &r->device_ids);
	json_t *wanted = request_words(&r->capabilities);
	if (r->gpu) {
		json_array_append_new(wanted, json_string("gpu"));
	}
	json_put(o, "Capabilities", json_pack("[o]", wanted));
	json_put(o, "Options", request_pairs(&r->options));
	return o;
}

static void put_devices(json_t *host, const struct service *s)
{
	json_t *devices = json_array();
	json_t *requests = json_array();
	json_t *names = json_array();
	for (size_t i = 0; i < s->n_devices; i++) {
		const struct device *d = &s->devices[i];
		if (request_is_cdi(d)) {
			json_array_append_new(names, json_string(d->source));
			continue;
		}
		json_array_append_new(devices,
			json_pack("{s:s,s:s,s:s}", "PathOnHost", d->source, "PathInContainer",
				d->target, "CgroupPermissions", d->permissions));
	}
	if (json_array_size(names) > 0) {
		json_array_append_new(
			requests, json_pack("{s:s,s:O}", "Driver", "cdi", "DeviceIDs", names));
	}
	for (size_t i = 0; i < s->n_device_requests; i++) {
		json_array_append_new(requests, device_request_json(&s->device_requests[i]));
	}
	json_decref(names);
	json_put(host, "Devices", devices);
	json_put(host, "DeviceRequests", requests);
	request_put_words(host, "DeviceCgroupRules", &s->device_cgroup_rules);
}

void request_put_limits(json_t *host, const struct service *s)
{
	request_put_number(host, "Memory", s->mem_limit);
	request_put_number(host, "MemoryReservation", s->mem_reservation);
	request_put_number(host, "MemorySwap", s->memswap_limit);
	request_put_number(host, "MemorySwappiness", s->mem_swappiness);
	request_put_number(host, "NanoCpus", s->nano_cpus);
	request_put_number(host, "CpuShares", s->cpu_shares);
	request_put_number(host, "CpuQuota", s->cpu_quota);
	request_put_number(host, "CpuPeriod", s->cpu_period);
	request_put_number(host, "CpuRealtimePeriod", s->cpu_rt_period);
	request_put_number(host, "CpuRealtimeRuntime", s->cpu_rt_runtime);
	request_put_number(host, "CpuCount", s->cpu_count);
	request_put_number(host, "CpuPercent",
		s->cpu_percent == UNSET ? UNSET : s->cpu_percent * 100); /* as docker compose */
	request_put_text(host, "CpusetCpus", s->cpuset);
	request_put_number(host, "PidsLimit", s->pids_limit);
	request_put_number(host, "ShmSize", s->shm_size);
	request_put_number(host, "OomScoreAdj", s->oom_score_adj);
	request_put_true(host, "OomKillDisable", s->oom_kill_disable);
	request_put_text(host, "CgroupParent", s->cgroup_parent);
	if (s->blkio) {
		put_blkio(host, s->blkio);
	}
	json_t *limits = json_array();
	for (size_t i = 0; i < s->n_ulimits; i++) {
		const struct ulimit *u = &s->ulimits[i];
		json_array_append_new(
			limits, json_pack("{s:s,s:I,s:I}", "Name", u->name, "Soft",
					(json_int_t)u->soft, "Hard", (json_int_t)u->hard));
	}
	json_put(host, "Ulimits", limits);
	put_devices(host, s);
}
