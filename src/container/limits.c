/* Memory, CPU, pids, block I/O and ulimits of HostConfig as the OCI runtime takes them
 * (config-linux.md). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/json.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/scoped.h"
#include "container/internal.h"

static void put_number(json_t *o, const char *key, const json_t *h, const char *from)
{
	if (json_i64(h, from, 0) > 0) {
		json_put(o, key, json_integer(json_i64(h, from, 0)));
	}
}

static json_t *memory_part(const json_t *h)
{
	json_t *o = json_object();
	int64_t limit = json_i64(h, "Memory", 0);
	int64_t swap = json_i64(h, "MemorySwap", 0);
	put_number(o, "limit", h, "Memory");
	if (swap == 0 && limit > 0) { /* Docker: as much swap as memory */
		swap = limit > INT64_MAX / 2 ? -1 : limit * 2;
	}
	if (swap > 0 || (swap == -1 && limit > 0)) {
		json_put(o, "swap", json_integer(swap));
	}
	put_number(o, "reservation", h, "MemoryReservation");
	if (json_is_integer(json_object_get(h, "MemorySwappiness"))) {
		json_put(o, "swappiness", json_incref(json_object_get(h, "MemorySwappiness")));
	}
	if (json_bool(h, "OomKillDisable")) {
		json_put(o, "disableOOMKiller", json_true());
	}
	return o;
}

static int cpu_part(const json_t *h, json_t **ret, struct err *e)
{
	int64_t nano = json_i64(h, "NanoCpus", 0);
	int64_t period = json_i64(h, "CpuPeriod", 0);
	int64_t quota = json_i64(h, "CpuQuota", 0);
	if (nano > 0) {
		period = 100000;
		quota = nano / 10000;
	}
	if (json_i64(h, "CpuShares", 0) < 0) {
		return err_set(e, ERR_SYSTEM, "shares: invalid argument");
	}
	const struct {
		const char *name;
		int64_t value;
	} numbers[] = {{"shares", json_i64(h, "CpuShares", 0)}, {"period", period},
		{"quota", quota < 0 ? 0 : quota}}; /* none, which crun would write as 2^64 - 1 */
	json_t *o = json_object();
	for (size_t i = 0; i < 3; i++) {
		if (numbers[i].value != 0) {
			json_put(o, numbers[i].name, json_integer(numbers[i].value));
		}
	}
	if (*json_str(h, "CpusetCpus")) {
		json_put_str(o, "cpus", json_str(h, "CpusetCpus"));
	}
	if (*json_str(h, "CpusetMems")) {
		json_put_str(o, "mems", json_str(h, "CpusetMems"));
	}
	*ret = o;
	return 0;
}

/* [{"Path", VALUE}] as [{"major", "minor", value}]. */
static int device_part(json_t *o, const char *key, const char *value, const json_t *list,
	const char *from, struct err *e)
{
	size_t i;
	json_t *item;
	if (json_array_size(list) == 0) {
		return 0;
	}
	json_t *out = json_array();
	json_put(o, key, out);
	json_array_foreach (list, i, item) {
		struct stat st;
		const char *path = json_str(item, "Path");
		if (stat(path, &st) < 0) {
			return err_sys(e, errno, "stat %.200s", path);
		}
		json_array_append_new(
			out, json_pack("{sI sI sI}", "major", (json_int_t)major(st.st_rdev),
				     "minor", (json_int_t)minor(st.st_rdev), value,
				     (json_int_t)json_i64(item, from, 0)));
	}
	return 0;
}

static int io_part(const json_t *h, json_t **ret, struct err *e)
{
	static const char *const throttles[][2] = {{"throttleReadBpsDevice", "BlkioDeviceReadBps"},
		{"throttleWriteBpsDevice", "BlkioDeviceWriteBps"},
		{"throttleReadIOPSDevice", "BlkioDeviceReadIOps"},
		{"throttleWriteIOPSDevice", "BlkioDeviceWriteIOps"}};
	scoped(json) json_t *o = json_object();
	put_number(o, "weight", h, "BlkioWeight");
	if (device_part(o, "weightDevice", "weight", json_object_get(h, "BlkioWeightDevice"),
		    "Weight", e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < sizeof(throttles) / sizeof(*throttles); i++) {
		if (device_part(o, throttles[i][0], "rate", json_object_get(h, throttles[i][1]),
			    "Rate", e) < 0) {
			return -1;
		}
	}
	*ret = TAKE(o);
	return 0;
}

static void put_part(json_t *o, const char *key, json_t *take_part)
{
	if (json_object_size(take_part) > 0) {
		json_put(o, key, take_part);
	} else {
		json_decref(take_part);
	}
}

int limits_resources(const json_t *host, json_t **ret, struct err *e)
{
	scoped(json) json_t *o = json_object();
	json_t *part;
	put_part(o, "memory", memory_part(host));
	if (cpu_part(host, &part, e) < 0) {
		return -1;
	}
	put_part(o, "cpu", part);
	if (io_part(host, &part, e) < 0) {
		return -1;
	}
	put_part(o, "blockIO", part);
	if (json_i64(host, "PidsLimit", 0) > 0) {
		json_put(o, "pids",
			json_pack("{sI}", "limit", (json_int_t)json_i64(host, "PidsLimit", 0)));
	}
	*ret = TAKE(o);
	return 0;
}

static const struct {
	const char *name, *oci;
	__rlimit_resource_t number;
} rlimit_names[] = {
	{"as", "RLIMIT_AS", RLIMIT_AS},
	{"core", "RLIMIT_CORE", RLIMIT_CORE},
	{"cpu", "RLIMIT_CPU", RLIMIT_CPU},
	{"data", "RLIMIT_DATA", RLIMIT_DATA},
	{"fsize", "RLIMIT_FSIZE", RLIMIT_FSIZE},
	{"locks", "RLIMIT_LOCKS", RLIMIT_LOCKS},
	{"memlock", "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
	{"msgqueue", "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
	{"nice", "RLIMIT_NICE", RLIMIT_NICE},
	{"nofile", "RLIMIT_NOFILE", RLIMIT_NOFILE},
	{"nproc", "RLIMIT_NPROC", RLIMIT_NPROC},
	{"rss", "RLIMIT_RSS", RLIMIT_RSS},
	{"rtprio", "RLIMIT_RTPRIO", RLIMIT_RTPRIO},
	{"rttime", "RLIMIT_RTTIME", RLIMIT_RTTIME},
	{"sigpending", "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
	{"stack", "RLIMIT_STACK", RLIMIT_STACK},
};

/* Without CAP_SYS_RESOURCE no limit can be raised: it is cut to ours, as Docker does in rootless
 * mode. */
static uint64_t allowed(__rlimit_resource_t number, int64_t wanted)
{
	struct rlimit own;
	uint64_t value = wanted < 0 ? RLIM_INFINITY : (uint64_t)wanted;
	if (prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE) == 1 || getrlimit(number, &own) < 0) {
		return value;
	}
	return value > own.rlim_max ? own.rlim_max : value;
}

static int add_rlimit(json_t *list, const json_t *u, struct err *e)
{
	const char *name = json_str(u, "Name");
	int64_t soft = json_i64(u, "Soft", 0);
	int64_t hard = json_i64(u, "Hard", 0);
	for (size_t i = 0; i < sizeof(rlimit_names) / sizeof(*rlimit_names); i++) {
		if (strcmp(rlimit_names[i].name, name) != 0) {
			continue;
		}
		if (hard >= 0 && (soft < 0 || soft > hard)) {
			return err_set(e, ERR_INVALID,
				"ulimit %s: the soft limit must be less than or equal to the hard limit: %lld > %lld",
				name, (long long)soft, (long long)hard);
		}
		/* 64 bits do not fit a JSON integer of jansson: the largest that does means the
		 * same */
		uint64_t s = allowed(rlimit_names[i].number, soft);
		uint64_t h = allowed(rlimit_names[i].number, hard);
		json_array_append_new(
			list, json_pack("{ss sI sI}", "type", rlimit_names[i].oci, "soft",
				      s > INT64_MAX ? (json_int_t)INT64_MAX : (json_int_t)s, "hard",
				      h > INT64_MAX ? (json_int_t)INT64_MAX : (json_int_t)h));
		return 0;
	}
	return err_set(e, ERR_INVALID, "invalid ulimit type: %.32s", name);
}

int limits_rlimits(const json_t *host, json_t **ret, struct err *e)
{
	scoped(json) json_t *list = json_array();
	size_t i;
	json_t *u;
	json_array_foreach (json_object_get(host, "Ulimits"), i, u) {
		if (add_rlimit(list, u, e) < 0) {
			return -1;
		}
	}
	*ret = json_array_size(list) > 0 ? TAKE(list) : NULL;
	return 0;
}

/* proc(5): without CAP_SYS_RESOURCE it only goes up. Kubernetes asks for -998 for every pod, also
 * where the daemon is itself in a container. */
int limits_oom_score(const json_t *host)
{
	int wanted = (int)json_i64(host, "OomScoreAdj", 0);
	scoped(buf) struct buf text = BUF_INIT;
	int own;
	if (wanted >= 0 || prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE) == 1 ||
		path_read(AT_FDCWD, "/proc/self/oom_score_adj", 16, &text) < 0 || text.len == 0) {
		return wanted;
	}
	text.data[strcspn(buf_str(&text), "\n")] = '\0';
	return parse_int(text.data, -1000, 1000, &own) == 0 && own > wanted ? own : wanted;
}
