/* Config and HostConfig of POST /containers/create, field by field: a wrong type is refused with
 * the field's name, a missing one gets the value that dockerd shows for it. Docker API v1.45
 * ContainerConfig, HostConfig. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "container/internal.h"

enum field_kind {
	TEXT,
	FLAG,
	NUMBER,
	NUMBER_OR_NULL,
	TEXTS,         /* null when absent */
	TEXTS_OR_TEXT, /* a single string counts as a list of one (Cmd, Entrypoint) */
	OBJECTS,
	NUMBERS,
	OBJECT, /* null when absent */
	OBJECT_OR_EMPTY,
	TEXT_MAP, /* object of strings; {} when absent */
	FLAG_OR_NULL,
};

struct field {
	const char *name;
	enum field_kind kind;
};

static const struct field config_fields[] = {{"Hostname", TEXT}, {"Domainname", TEXT},
	{"User", TEXT}, {"AttachStdin", FLAG}, {"AttachStdout", FLAG}, {"AttachStderr", FLAG},
	{"ExposedPorts", OBJECT}, {"Tty", FLAG}, {"OpenStdin", FLAG}, {"StdinOnce", FLAG},
	{"Env", TEXTS}, {"Cmd", TEXTS_OR_TEXT}, {"Healthcheck", OBJECT}, {"Image", TEXT},
	{"Volumes", OBJECT}, {"WorkingDir", TEXT}, {"Entrypoint", TEXTS_OR_TEXT},
	{"NetworkDisabled", FLAG}, {"MacAddress", TEXT}, {"OnBuild", TEXTS}, {"Labels", TEXT_MAP},
	{"StopSignal", TEXT}, {"StopTimeout", NUMBER_OR_NULL}, {"Shell", TEXTS}};

static const struct field host_fields[] = {{"Binds", TEXTS}, {"ContainerIDFile", TEXT},
	{"LogConfig", OBJECT_OR_EMPTY}, {"NetworkMode", TEXT}, {"PortBindings", OBJECT},
	{"RestartPolicy", OBJECT_OR_EMPTY}, {"AutoRemove", FLAG}, {"VolumeDriver", TEXT},
	{"VolumesFrom", TEXTS}, {"ConsoleSize", NUMBERS}, {"Annotations", OBJECT},
	{"CapAdd", TEXTS}, {"CapDrop", TEXTS}, {"CgroupnsMode", TEXT}, {"Dns", TEXTS},
	{"DnsOptions", TEXTS}, {"DnsSearch", TEXTS}, {"ExtraHosts", TEXTS}, {"GroupAdd", TEXTS},
	{"IpcMode", TEXT}, {"Cgroup", TEXT}, {"Links", TEXTS}, {"OomScoreAdj", NUMBER},
	{"PidMode", TEXT}, {"Privileged", FLAG}, {"PublishAllPorts", FLAG},
	{"ReadonlyRootfs", FLAG}, {"SecurityOpt", TEXTS}, {"StorageOpt", OBJECT}, {"Tmpfs", OBJECT},
	{"UTSMode", TEXT}, {"UsernsMode", TEXT}, {"ShmSize", NUMBER}, {"Sysctls", OBJECT},
	{"Runtime", TEXT}, {"Isolation", TEXT}, {"CpuShares", NUMBER}, {"Memory", NUMBER},
	{"NanoCpus", NUMBER}, {"CgroupParent", TEXT}, {"BlkioWeight", NUMBER},
	{"BlkioWeightDevice", OBJECTS}, {"BlkioDeviceReadBps", OBJECTS},
	{"BlkioDeviceWriteBps", OBJECTS}, {"BlkioDeviceReadIOps", OBJECTS},
	{"BlkioDeviceWriteIOps", OBJECTS}, {"CpuPeriod", NUMBER}, {"CpuQuota", NUMBER},
	{"CpuRealtimePeriod", NUMBER}, {"CpuRealtimeRuntime", NUMBER}, {"CpusetCpus", TEXT},
	{"CpusetMems", TEXT}, {"Devices", OBJECTS}, {"DeviceCgroupRules", TEXTS},
	{"DeviceRequests", OBJECTS}, {"MemoryReservation", NUMBER}, {"MemorySwap", NUMBER},
	{"MemorySwappiness", NUMBER_OR_NULL}, {"OomKillDisable", FLAG_OR_NULL},
	{"PidsLimit", NUMBER_OR_NULL}, {"Ulimits", OBJECTS}, {"Mounts", OBJECTS},
	{"MaskedPaths", TEXTS}, {"ReadonlyPaths", TEXTS}, {"Init", FLAG_OR_NULL}};

static int wrong_type(const char *name, const char *expected, struct err *e)
{
	return err_set(e, ERR_INVALID, "%s must be %s", name, expected);
}

static int read_list(const struct field *f, const json_t *v, json_t **ret, struct err *e)
{
	size_t i;
	json_t *item;
	if (f->kind == TEXTS_OR_TEXT && json_is_string(v)) {
		*ret = json_pack("[O]", v);
		return 0;
	}
	if (!json_is_array(v)) {
		return wrong_type(f->name, "a list", e);
	}
	json_array_foreach (v, i, item) {
		bool texts = f->kind == TEXTS || f->kind == TEXTS_OR_TEXT;
		if (texts && !json_is_string(item)) {
			return wrong_type(f->name, "a list of strings", e);
		}
		if (f->kind == OBJECTS && !json_is_object(item)) {
			return wrong_type(f->name, "a list of objects", e);
		}
		if (f->kind == NUMBERS && !json_is_integer(item)) {
			return wrong_type(f->name, "a list of whole numbers", e);
		}
	}
	*ret = json_deep_copy(v);
	return 0;
}

static int read_map(const struct field *f, const json_t *v, json_t **ret, struct err *e)
{
	const char *key;
	json_t *item;
	if (!json_is_object(v)) {
		return wrong_type(f->name, "an object", e);
	}
	json_object_foreach ((json_t *)v, key, item) {
		if (f->kind == TEXT_MAP && !json_is_string(item)) {
			return wrong_type(f->name, "an object whose values are strings", e);
		}
	}
	*ret = json_deep_copy(v);
	return 0;
}

static json_t *missing(enum field_kind kind)
{
	switch (kind) {
	case TEXT:
		return json_string("");
	case FLAG:
		return json_false();
	case NUMBER:
		return json_integer(0);
	case OBJECT_OR_EMPTY:
	case TEXT_MAP:
		return json_object();
	default:
		return json_null();
	}
}

static int read_field(const json_t *body, const struct field *f, json_t **ret, struct err *e)
{
	const json_t *v = json_object_get(body, f->name);
	int64_t number;
	bool flag;
	if (!v || json_is_null(v)) {
		*ret = missing(f->kind);
		return 0;
	}
	switch (f->kind) {
	case TEXT:
		if (!json_is_string(v)) {
			return wrong_type(f->name, "a string", e);
		}
		*ret = json_incref((json_t *)v);
		return 0;
	case FLAG:
	case FLAG_OR_NULL:
		if (json_get_bool(body, f->name, false, &flag, e) < 0) {
			return -1;
		}
		*ret = json_boolean(flag);
		return 0;
	case NUMBER:
	case NUMBER_OR_NULL:
		if (json_get_i64(body, f->name, 0, &number, e) < 0) {
			return -1;
		}
		*ret = json_integer(number);
		return 0;
	case TEXTS:
	case TEXTS_OR_TEXT:
	case OBJECTS:
	case NUMBERS:
		return read_list(f, v, ret, e);
	default:
		return read_map(f, v, ret, e);
	}
}

static json_t *read_fields(const json_t *body, const struct field *fields, size_t n, struct err *e)
{
	scoped(json) json_t *out = json_object();
	for (size_t i = 0; i < n; i++) {
		json_t *value;
		if (read_field(body, &fields[i], &value, e) < 0) {
			return NULL;
		}
		json_put(out, fields[i].name, value);
	}
	return TAKE(out);
}

json_t *container_fields_config(const json_t *body, struct err *e)
{
	return read_fields(body, config_fields, sizeof(config_fields) / sizeof(*config_fields), e);
}

json_t *container_fields_host(const json_t *host, struct err *e)
{
	return read_fields(host, host_fields, sizeof(host_fields) / sizeof(*host_fields), e);
}
