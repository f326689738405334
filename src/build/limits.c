#include "build/limits.h"

#include "base/json.h"
#include "base/parse.h"
#include "base/scoped.h"
#include "container/container.h"

/* As keys of HostConfig. */
static int read_attrs(const json_t *attrs, json_t *host, struct err *e)
{
	static const struct {
		const char *attr, *key;
		bool text;
	} names[] = {
		{"wherry.memory", "Memory", false},
		{"wherry.memory-swap", "MemorySwap", false},
		{"wherry.cpu-shares", "CpuShares", false},
		{"wherry.cpu-period", "CpuPeriod", false},
		{"wherry.cpu-quota", "CpuQuota", false},
		{"wherry.cpuset-cpus", "CpusetCpus", true},
		{"wherry.cpuset-mems", "CpusetMems", true},
	};
	for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++) {
		const char *value = json_str(attrs, names[k].attr);
		int64_t number;
		if (*value && names[k].text) {
			json_put_str(host, names[k].key, value);
		} else if (*value && parse_i64(value, INT64_MIN, INT64_MAX, &number) < 0) {
			return err_set(e, ERR_INVALID, "invalid %s: %.64s is not a number",
				names[k].attr, value);
		} else if (*value && number != 0) {
			json_put(host, names[k].key, json_integer(number));
		}
	}
	return 0;
}

int build_limits_read(json_t *options, const struct cgroup_features *f, struct err *e)
{
	scoped(json) json_t *host = json_object();
	json_t *resources, *rlimits;
	if (json_object_get(options, "resources")) {
		return 0;
	}
	if (read_attrs(json_object_get(options, "attrs"), host, e) < 0) {
		return -1;
	}
	if (json_object_size(host) == 0) {
		return 0;
	}
	if (container_limits(host, f, &resources, &rlimits, e) < 0) {
		return -1;
	}
	json_put(options, "resources", resources);
	json_decref(rlimits); /* of "ulimit", which the call has in another form */
	return 0;
}
