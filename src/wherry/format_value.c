#include "wherry/format_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

#define NAMED(list, key) is_in(list, sizeof(list) / sizeof(*(list)), key)

/* Members that are maps, pointers and texts in Docker's Go structures (moby api/types); a null
 * elsewhere is a list. */
static const char *const maps[] = {"Annotations", "Attributes", "AuxiliaryAddresses", "Containers",
	"Data", "DriverOpts", "ExposedPorts", "IndexConfigs", "Labels", "Networks", "Options",
	"PortBindings", "Ports", "Runtimes", "StorageOpt", "Sysctls", "Tmpfs", "Volumes"};
static const char *const pointers[] = {"ContainerdCommit", "GraphDriver", "Health", "Healthcheck",
	"IPAMConfig", "Init", "MemorySwappiness", "OomKillDisable", "PidsLimit", "Platform",
	"SizeRootFs", "SizeRw", "StopTimeout", "UsageData", "ClusterVolume",
	"ImageManifestDescriptor", "Descriptor", "BindOptions", "VolumeOptions", "TmpfsOptions",
	"ImageOptions", "Server"};
static const char *const texts[] = {"Comment", "StopSignal", "MacAddress", "CreatedAt", "Runtime",
	"CgroupnsMode", "Isolation", "DockerVersion", "Author", "Variant", "OsVersion",
	"ContainerIDFile", "Name", "Driver"};
/* and the members that engines leave out when they are empty */
static const char *const optional[] = {"Annotations", "BindOptions", "CgroupnsMode", "Comment",
	"ClientErrors", "CreatedAt", "DefaultAddressPools", "Descriptor", "Driver", "ExposedPorts",
	"GraphDriver", "Health", "Healthcheck", "ImageManifestDescriptor", "Init", "Isolation",
	"MacAddress", "Mounts", "Name", "OnBuild", "Runtime", "ServerErrors", "Shell", "SizeRootFs",
	"SizeRw", "StopSignal", "StopTimeout", "StorageOpt", "Sysctls", "Tmpfs", "TmpfsOptions",
	"UsageData", "Variant", "VolumeOptions"};

static bool is_in(const char *const *list, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i], key) == 0) {
			return true;
		}
	}
	return false;
}

bool value_is_optional(const char *key)
{
	return NAMED(optional, key);
}

struct value value_of(const json_t *v)
{
	return (struct value){.json = v};
}

struct value value_member(const char *key, const json_t *v)
{
	return (struct value){.json = v,
		.nil = NAMED(maps, key)       ? NIL_MAP
		       : NAMED(pointers, key) ? NIL_POINTER
		       : NAMED(texts, key)    ? NIL_TEXT
					      : NIL_LIST,
		.is_map = json_is_object(v) && NAMED(maps, key)};
}

bool value_is_nil(struct value v)
{
	return !v.json || json_is_null(v.json);
}

bool value_truth(struct value v)
{
	switch (json_typeof(v.json ? v.json : json_null())) {
	case JSON_OBJECT:
		return !v.is_map || json_object_size(v.json) > 0; /* a struct is never empty */
	case JSON_ARRAY:
		return json_array_size(v.json) > 0;
	case JSON_STRING:
		return json_string_length(v.json) > 0;
	case JSON_INTEGER:
	case JSON_REAL:
		return json_number_value(v.json) != 0;
	default:
		return json_is_true(v.json);
	}
}

const char *value_type(struct value v)
{
	switch (json_typeof(v.json ? v.json : json_null())) {
	case JSON_OBJECT:
		return "map[string]interface {}";
	case JSON_ARRAY:
		return "[]interface {}";
	case JSON_STRING:
		return "string";
	case JSON_INTEGER:
		return "int";
	case JSON_REAL:
		return "float64";
	case JSON_TRUE:
	case JSON_FALSE:
		return "bool";
	default:
		return "<nil>";
	}
}

static int by_key(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void value_sorted_keys(const json_t *object, const char **ret_keys)
{
	size_t n = 0;
	const char *key;
	json_t *item;
	json_object_foreach ((json_t *)object, key, item) {
		ret_keys[n++] = key;
	}
	qsort(ret_keys, n, sizeof(*ret_keys), by_key);
}

/* The shortest text that reads back as the number. */
static void put_real(double n, struct buf *ret)
{
	char text[40];
	for (int precision = 1; precision <= 17; precision++) {
		snprintf(text, sizeof(text), "%.*g", precision, n);
		if (strtod(text, NULL) == n) {
			break;
		}
	}
	buf_puts(ret, text);
}

static void put_map(const json_t *v, struct buf *ret)
{
	size_t n = json_object_size(v);
	scoped(free) const char **keys = xnew_array(const char *, n + 1);
	value_sorted_keys(v, keys);
	bool lists = false; /* map[80/tcp:[{0.0.0.0 80}] 81/tcp:[]]: a null among lists is an empty
			       one */
	for (size_t i = 0; i < n; i++) {
		lists = lists || json_is_array(json_object_get(v, keys[i]));
	}
	buf_puts(ret, "map[");
	for (size_t i = 0; i < n; i++) {
		buf_printf(ret, "%s%s:", i ? " " : "", keys[i]);
		struct value item = value_of(json_object_get(v, keys[i]));
		item.nil = lists ? NIL_LIST : NIL_NO_VALUE;
		value_put(item, ret);
	}
	buf_putc(ret, ']');
}

/* A structure: its values in the order that the engine gave, which is that of the Go type. */
static void put_struct(const json_t *v, struct buf *ret)
{
	const char *key;
	json_t *item;
	bool first = true;
	buf_putc(ret, '{');
	json_object_foreach ((json_t *)v, key, item) {
		buf_puts(ret, first ? "" : " ");
		struct value member = value_member(key, item);
		member.is_map =
			member.is_map || (json_is_object(item) && strcmp(key, "Config") == 0 &&
						 json_object_get(v, "Type")); /* of LogConfig */
		value_put(member, ret);
		first = false;
	}
	buf_putc(ret, '}');
}

static void put_list(const json_t *v, struct buf *ret)
{
	buf_putc(ret, '[');
	for (size_t i = 0; i < json_array_size(v); i++) {
		buf_puts(ret, i ? " " : "");
		value_put(value_of(json_array_get(v, i)), ret);
	}
	buf_putc(ret, ']');
}

void value_put(struct value v, struct buf *ret)
{
	static const char *const nils[] = {[NIL_NO_VALUE] = "<no value>",
		[NIL_POINTER] = "<nil>",
		[NIL_LIST] = "[]",
		[NIL_MAP] = "map[]",
		[NIL_TEXT] = ""};
	switch (json_typeof(v.json ? v.json : json_null())) {
	case JSON_OBJECT:
		(v.is_map ? put_map : put_struct)(v.json, ret);
		break;
	case JSON_ARRAY:
		put_list(v.json, ret);
		break;
	case JSON_STRING:
		buf_append(ret, json_string_value(v.json), json_string_length(v.json));
		break;
	case JSON_INTEGER:
		buf_printf(ret, "%lld", (long long)json_integer_value(v.json));
		break;
	case JSON_REAL:
		put_real(json_real_value(v.json), ret);
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		buf_puts(ret, json_is_true(v.json) ? "true" : "false");
		break;
	default:
		buf_puts(ret, nils[v.nil]);
		break;
	}
}
