/* Whether the resources of a HostConfig can be had: what contradicts itself is refused, what this
 * kernel has no controller for is dropped with a warning. Order and words as moby
 * daemon/daemon_unix.go verifyPlatformContainerResources. */
#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "container/internal.h"
#include "sys/cgroup_features.h"

#define MEMORY_MIN (INT64_C(6) << 20)
#define NS_PER_CPU INT64_C(1000000000)
#define CAN_NOT "Your kernel does not support "
#define NOT_MOUNTED " or the cgroup is not mounted. "

struct check {
	json_t *host; /* changed: what is discarded goes */
	const struct cgroup_features *f;
	json_t *warnings;
	bool update;
};

static int64_t number(const struct check *c, const char *key)
{
	return json_i64(c->host, key, 0);
}

static bool is_given(const struct check *c, const char *key)
{
	const json_t *v = json_object_get(c->host, key);
	return v && !json_is_null(v);
}

static void set_number(struct check *c, const char *key, int64_t value)
{
	json_put(c->host, key, json_integer(value));
}

static void warn(struct check *c, const char *text)
{
	json_array_append_new(c->warnings, json_string(text));
}

/* --- memory --- */

static void drop_unsupported_memory(struct check *c)
{
	if (number(c, "MemorySwappiness") == -1) { /* docker's "not set" */
		json_put(c->host, "MemorySwappiness", json_null());
	}
	if (number(c, "Memory") > 0 && !c->f->memory) {
		warn(c, CAN_NOT "memory limit capabilities" NOT_MOUNTED "Limitation discarded.");
		set_number(c, "Memory", 0);
		set_number(c, "MemorySwap", -1);
	}
	if (number(c, "Memory") > 0 && number(c, "MemorySwap") != -1 && !c->f->swap) {
		warn(c, CAN_NOT "swap limit capabilities" NOT_MOUNTED
				"Memory limited without swap.");
		set_number(c, "MemorySwap", -1);
	}
}

static int check_swap(struct check *c, struct err *e)
{
	int64_t memory = number(c, "Memory");
	int64_t swap = number(c, "MemorySwap");
	if (memory > 0 && swap > 0 && swap < memory) {
		return err_set(e, ERR_INVALID,
			"Minimum memoryswap limit should be larger than memory limit, see usage");
	}
	if (memory == 0 && swap > 0 && !c->update) {
		return err_set(e, ERR_INVALID,
			"You should always set the Memory limit when using Memoryswap limit, see usage");
	}
	return 0;
}

static int check_swappiness(struct check *c, struct err *e)
{
	int64_t swappiness = number(c, "MemorySwappiness");
	if (is_given(c, "MemorySwappiness") && !c->f->swappiness) {
		warn(c, CAN_NOT "memory swappiness capabilities" NOT_MOUNTED
				"Memory swappiness discarded.");
		json_put(c->host, "MemorySwappiness", json_null());
		return 0;
	}
	if (swappiness < 0 || swappiness > 100) {
		return err_set(e, ERR_INVALID,
			"Invalid value: %" PRId64 ", valid memory swappiness range is 0-100",
			swappiness);
	}
	return 0;
}

static int check_reservation(struct check *c, struct err *e)
{
	int64_t memory = number(c, "Memory");
	if (number(c, "MemoryReservation") > 0 && !c->f->reservation) {
		warn(c, CAN_NOT "memory soft limit capabilities" NOT_MOUNTED
				"Limitation discarded.");
		set_number(c, "MemoryReservation", 0);
	}
	int64_t reservation = number(c, "MemoryReservation");
	if (reservation > 0 && reservation < MEMORY_MIN) {
		return err_set(e, ERR_INVALID, "Minimum memory reservation allowed is 6MB");
	}
	if (memory > 0 && reservation > 0 && memory < reservation) {
		return err_set(e, ERR_INVALID,
			"Minimum memory limit can not be less than memory reservation limit, see usage");
	}
	return 0;
}

static void check_oom_killer(struct check *c)
{
	bool disable = json_bool(c->host, "OomKillDisable");
	if (is_given(c, "OomKillDisable") && !c->f->oom_kill_disable) {
		if (disable) {
			warn(c, CAN_NOT "OomKillDisable. OomKillDisable discarded.");
		}
		json_put(c->host, "OomKillDisable", json_null());
	} else if (disable && number(c, "Memory") == 0) {
		warn(c, "OOM killer is disabled for the container, but no memory limit is set, "
			"this can result in the system running out of resources.");
	}
}

static int check_memory(struct check *c, struct err *e)
{
	int64_t memory = number(c, "Memory");
	if (memory != 0 && memory < MEMORY_MIN) {
		return err_set(e, ERR_INVALID, "Minimum memory limit allowed is 6MB");
	}
	drop_unsupported_memory(c);
	if (check_swap(c, e) < 0 || check_swappiness(c, e) < 0 || check_reservation(c, e) < 0) {
		return -1;
	}
	check_oom_killer(c);
	return 0;
}

static void check_pids(struct check *c)
{
	if (is_given(c, "PidsLimit") && !c->f->pids) {
		if (number(c, "PidsLimit") > 0) {
			warn(c, CAN_NOT "PIDs limit capabilities" NOT_MOUNTED
					"PIDs limit discarded.");
		}
		json_put(c->host, "PidsLimit", json_null());
	}
}

/* --- CPU --- */

static int check_nano_cpus(const struct check *c, struct err *e)
{
	int64_t nano = number(c, "NanoCpus");
	static const struct {
		const char *key, *word;
	} others[] = {{"CpuPeriod", "Period"}, {"CpuQuota", "Quota"}};
	for (size_t i = 0; i < 2; i++) {
		if (nano > 0 && number(c, others[i].key) > 0) {
			return err_set(e, ERR_INVALID,
				"Conflicting options: Nano CPUs and CPU %s cannot both be set",
				others[i].word);
		}
	}
	if (nano > 0 && !c->f->cpu_quota) {
		return err_set(e, ERR_INVALID,
			"NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted");
	}
	if (nano < 0 || nano > c->f->n_cpus * NS_PER_CPU) {
		return err_set(e, ERR_INVALID,
			"Range of CPUs is from 0.01 to %u.00, as there are only %u CPUs available",
			c->f->n_cpus, c->f->n_cpus);
	}
	return 0;
}

static int check_quota(struct check *c, struct err *e)
{
	if (number(c, "CpuShares") > 0 && !c->f->cpu_shares) {
		warn(c, CAN_NOT "CPU shares" NOT_MOUNTED "Shares discarded.");
		set_number(c, "CpuShares", 0);
	}
	if ((number(c, "CpuPeriod") != 0 || number(c, "CpuQuota") != 0) && !c->f->cpu_quota) {
		warn(c, CAN_NOT "CPU CFS scheduler. CPU period/quota discarded.");
		set_number(c, "CpuPeriod", 0);
		set_number(c, "CpuQuota", 0);
	}
	int64_t period = number(c, "CpuPeriod");
	int64_t quota = number(c, "CpuQuota");
	if (period != 0 && (period < 1000 || period > 1000000)) {
		return err_set(e, ERR_INVALID,
			"CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
	}
	if (quota > 0 && quota < 1000) {
		return err_set(
			e, ERR_INVALID, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
	}
	return 0;
}

/* The kernel gives a new group none of the real-time budget, and nobody here divides it: dockerd
 * without --cpu-rt-runtime fails at the start, with EINVAL. */
static int check_realtime(const struct check *c, struct err *e)
{
	if (number(c, "CpuRealtimePeriod") != 0 || number(c, "CpuRealtimeRuntime") != 0) {
		return err_set(e, ERR_INVALID,
			"CPU real-time scheduling is not supported: CpuRealtimePeriod and CpuRealtimeRuntime must be 0");
	}
	return 0;
}

static int check_list(const struct check *c, const char *key, const char *word, const char *nouns,
	const char *available, struct err *e)
{
	const char *wanted = json_str(c->host, key);
	int r = cgroup_list_within(wanted, available);
	if (r < 0) {
		return err_set(e, ERR_INVALID,
			"Invalid value %.64s for cpuset %s: invalid format: %.64s", wanted, word,
			wanted);
	}
	if (r == 0) {
		return err_set(e, ERR_INVALID,
			"Requested %s are not available - requested %.64s, available: %.64s", nouns,
			wanted, available);
	}
	return 0;
}

static int check_cpuset(struct check *c, struct err *e)
{
	bool given = *json_str(c->host, "CpusetCpus") || *json_str(c->host, "CpusetMems");
	if (given && !c->f->cpuset) {
		warn(c, CAN_NOT "cpuset" NOT_MOUNTED "Cpuset discarded.");
		json_put_str(c->host, "CpusetCpus", "");
		json_put_str(c->host, "CpusetMems", "");
	}
	return check_list(c, "CpusetCpus", "cpus", "CPUs", c->f->cpus, e) < 0
		       ? -1
		       : check_list(c, "CpusetMems", "mems", "memory nodes", c->f->mems, e);
}

/* --- block I/O --- */

static int check_io(struct check *c, struct err *e)
{
	const struct {
		const char *key;
		bool can;
		const char *warning;
	} lists[] = {
		{"BlkioWeightDevice", c->f->io_weight_device,
			CAN_NOT "Block I/O weight_device" NOT_MOUNTED "Weight-device discarded."},
		{"BlkioDeviceReadBps", c->f->io_read_bps,
			CAN_NOT "BPS Block I/O read limit" NOT_MOUNTED
				"Block I/O BPS read limit discarded."},
		{"BlkioDeviceWriteBps", c->f->io_write_bps,
			CAN_NOT "BPS Block I/O write limit" NOT_MOUNTED
				"Block I/O BPS write limit discarded."},
		{"BlkioDeviceReadIOps", c->f->io_read_iops,
			CAN_NOT "IOPS Block read limit" NOT_MOUNTED
				"Block I/O IOPS read limit discarded."},
		{"BlkioDeviceWriteIOps", c->f->io_write_iops,
			CAN_NOT "IOPS Block write limit" NOT_MOUNTED
				"Block I/O IOPS write limit discarded."},
	};
	int64_t weight = number(c, "BlkioWeight");
	if (weight > 0 && !c->f->io_weight) {
		warn(c, CAN_NOT "Block I/O weight" NOT_MOUNTED "Weight discarded.");
		set_number(c, "BlkioWeight", 0);
	} else if (weight != 0 && (weight < 10 || weight > 1000)) {
		return err_set(e, ERR_INVALID, "Range of blkio weight is from 10 to 1000");
	}
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		if (!lists[i].can && json_array_size(json_object_get(c->host, lists[i].key)) > 0) {
			warn(c, lists[i].warning);
			json_put(c->host, lists[i].key, json_array());
		}
	}
	return 0;
}

int limits_check(
	json_t *host, const struct cgroup_features *f, bool update, json_t *warnings, struct err *e)
{
	struct check c = {host, f, warnings, update};
	if (check_memory(&c, e) < 0) {
		return -1;
	}
	check_pids(&c);
	return check_nano_cpus(&c, e) < 0 || check_quota(&c, e) < 0 || check_realtime(&c, e) < 0 ||
			       check_cpuset(&c, e) < 0 || check_io(&c, e) < 0
		       ? -1
		       : 0;
}

void limits_put_defaults(json_t *host)
{
	int64_t memory = json_i64(host, "Memory", 0);
	if (memory > 0 && json_i64(host, "MemorySwap", 0) == 0) {
		json_put(
			host, "MemorySwap", json_integer(memory > INT64_MAX / 2 ? -1 : memory * 2));
	}
	if (json_i64(host, "PidsLimit", 0) <= 0) { /* 0 and below: none */
		json_put(host, "PidsLimit", json_null());
	}
}

int container_limits(json_t *host, const struct cgroup_features *f, json_t **ret_resources,
	json_t **ret_rlimits, struct err *e)
{
	scoped(json) json_t *warnings = json_array();
	scoped(json) json_t *resources = NULL;
	if (limits_check(host, f, false, warnings, e) < 0) {
		return -1;
	}
	limits_put_defaults(host);
	if (limits_resources(host, &resources, e) < 0 || limits_rlimits(host, ret_rlimits, e) < 0) {
		return -1;
	}
	*ret_resources = TAKE(resources);
	return 0;
}
