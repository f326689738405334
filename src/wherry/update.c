#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/specs.h"

#define UNSET INT64_MIN

struct update {
	int64_t blkio_weight, cpu_period, cpu_quota, cpu_rt_period, cpu_rt_runtime, cpu_shares,
		cpus, memory, memory_reservation, memory_swap, pids_limit;
	const char *cpuset_cpus, *cpuset_mems, *restart;
};

static json_t *body_of(const struct update *o, struct err *e)
{
	const struct {
		const char *key;
		int64_t value;
	} numbers[] = {{"BlkioWeight", o->blkio_weight}, {"CpuPeriod", o->cpu_period},
		{"CpuQuota", o->cpu_quota}, {"CpuRealtimePeriod", o->cpu_rt_period},
		{"CpuRealtimeRuntime", o->cpu_rt_runtime}, {"CpuShares", o->cpu_shares},
		{"NanoCpus", o->cpus}, {"Memory", o->memory},
		{"MemoryReservation", o->memory_reservation}, {"MemorySwap", o->memory_swap}};
	json_t *restart = spec_restart(o->restart ? o->restart : "", e);
	if (!restart) {
		return NULL;
	}
	json_t *body = json_object();
	json_put(body, "RestartPolicy", restart);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		json_put(body, numbers[i].key,
			json_integer(numbers[i].value == UNSET ? 0 : numbers[i].value));
	}
	json_put_str(body, "CpusetCpus", o->cpuset_cpus);
	json_put_str(body, "CpusetMems", o->cpuset_mems);
	if (o->pids_limit != UNSET) {
		json_put(body, "PidsLimit", json_integer(o->pids_limit));
	}
	return body;
}

static int update_one(
	struct cli *cli, const char *name, const json_t *body, struct strv *warnings, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	scoped(json) json_t *answer = NULL;
	path_add(&path, "/containers/", name, "/update");
	if (engine_json(cli, "POST", buf_str(&path), body, &answer, e) < 0) {
		return -1;
	}
	struct err ignored;
	(void)json_get_strv(answer, "Warnings", warnings, &ignored);
	printf("%s\n", name);
	return 0;
}

static int update_all(struct cli *cli, const json_t *body, int argc, char **argv)
{
	int status = 0;
	scoped(strv) struct strv warnings = STRV_INIT;
	for (int i = 1; i < argc; i++) {
		struct err e;
		if (update_one(cli, argv[i], body, &warnings, &e) < 0) {
			status = cli_fail(&e);
		}
	}
	for (size_t i = 0; i < warnings.n; i++) {
		printf("%s\n", warnings.v[i]);
	}
	return status;
}

/* Anything but the initial values. */
static bool any_given(const struct update *o, const struct flag *flags)
{
	for (; flags->name; flags++) {
		if (flags->kind == FLAG_STRING ? *(const char **)flags->to != NULL
					       : *(int64_t *)flags->to != UNSET) {
			return true;
		}
	}
	return false;
}

int command_update(struct cli *cli, int argc, char **argv)
{
	struct update o = {UNSET, UNSET, UNSET, UNSET, UNSET, UNSET, UNSET, UNSET, UNSET, UNSET,
		UNSET, NULL, NULL, NULL};
	const struct flag flags[] = {
		{"blkio-weight", 0, FLAG_UINT16, &o.blkio_weight, NULL,
			"Block IO (relative weight), between 10 and 1000, or 0 to disable"},
		{"cpu-period", 0, FLAG_INT, &o.cpu_period, NULL,
			"Limit CPU CFS (Completely Fair Scheduler) period"},
		{"cpu-quota", 0, FLAG_INT, &o.cpu_quota, NULL,
			"Limit CPU CFS (Completely Fair Scheduler) quota"},
		{"cpu-rt-period", 0, FLAG_INT, &o.cpu_rt_period, NULL,
			"Limit the CPU real-time period in microseconds"},
		{"cpu-rt-runtime", 0, FLAG_INT, &o.cpu_rt_runtime, NULL,
			"Limit the CPU real-time runtime in microseconds"},
		{"cpu-shares", 'c', FLAG_INT, &o.cpu_shares, NULL, "CPU shares (relative weight)"},
		{"cpus", 0, FLAG_DECIMAL, &o.cpus, NULL, "Number of CPUs"},
		{"cpuset-cpus", 0, FLAG_STRING, &o.cpuset_cpus, NULL,
			"CPUs in which to allow execution (0-3, 0,1)"},
		{"cpuset-mems", 0, FLAG_STRING, &o.cpuset_mems, NULL,
			"MEMs in which to allow execution (0-3, 0,1)"},
		{"memory", 'm', FLAG_SIZE, &o.memory, NULL, "Memory limit"},
		{"memory-reservation", 0, FLAG_SIZE, &o.memory_reservation, NULL,
			"Memory soft limit"},
		{"memory-swap", 0, FLAG_SIZE, &o.memory_swap, NULL,
			"Swap limit equal to memory plus swap: -1 to enable unlimited swap"},
		{"pids-limit", 0, FLAG_INT, &o.pids_limit, NULL,
			"Tune container pids limit (set -1 for unlimited)"},
		{"restart", 0, FLAG_STRING, &o.restart, NULL,
			"Restart policy to apply when a container exits"},
		{0},
	};
	const struct syntax s = {"update", "[OPTIONS] CONTAINER [CONTAINER...]",
		"Update configuration of one or more containers", 1, -1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	if (!any_given(&o, flags)) {
		err_set(&e, ERR_INVALID,
			"you must provide one or more flags when using this command");
		return cli_fail(&e);
	}
	scoped(json) json_t *body = body_of(&o, &e);
	return body ? update_all(cli, body, argc, argv) : cli_fail(&e);
}
