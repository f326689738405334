/* --device, --gpus and the block device flags */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/text.h"
#include "device/spec.h"
#include "wherry/specs.h"

/* "vendor.com/class=name", of the Container Device Interface. */
static bool is_cdi_name(const char *text)
{
	size_t vendor = strcspn(text, "/=");
	size_t kind = vendor + strcspn(text + vendor, "=");
	return vendor > 0 && text[vendor] == '/' && kind > vendor + 1 && text[kind] == '=' &&
	       text[kind + 1] != '\0';
}

json_t *spec_device(const char *text, struct err *e)
{
	scoped(strv) struct strv parts = STRV_INIT;
	device_spec_split(text, &parts);
	if (parts.n < 1 || parts.n > 3) {
		err_set(e, ERR_INVALID, "invalid device specification: %s", text);
		return NULL;
	}
	if (parts.n == 3 && !device_is_permissions(parts.v[2])) {
		err_set(e, ERR_INVALID, "bad mode specified: %s", parts.v[2]);
		return NULL;
	}
	const char *inner = parts.v[0];
	const char *permissions = parts.n == 3 ? parts.v[2] : "rwm";
	if (parts.n == 2 && device_is_permissions(parts.v[1])) {
		permissions = parts.v[1];
	} else if (parts.n >= 2 && *parts.v[1]) {
		inner = parts.v[1];
	}
	if (is_cdi_name(text)) {
		err_set(e, ERR_INVALID,
			"CDI devices are not supported: %s; name the device's node, or use a label wherry.device.NAME",
			text);
		return NULL;
	}
	if (*inner != '/') {
		err_set(e, ERR_INVALID, "%s is not an absolute path", inner);
		return NULL;
	}
	return json_pack("{ss ss ss}", "PathOnHost", parts.v[0], "PathInContainer", inner,
		"CgroupPermissions", permissions);
}

/* The device before the last colon, checked; *ret_value: what follows. The caller's, or NULL. */
static char *split_device(const char *text, const char **ret_value, struct err *e)
{
	const char *colon = strrchr(text, ':');
	if (!colon || colon == text) {
		err_set(e, ERR_INVALID, "bad format: %s", text);
		return NULL;
	}
	if (!text_starts(text, "/dev/")) {
		err_set(e, ERR_INVALID, "bad format for device path: %s", text);
		return NULL;
	}
	*ret_value = colon + 1;
	return xstrndup(text, (size_t)(colon - text));
}

json_t *spec_bytes_rate(const char *text, struct err *e)
{
	const char *value;
	int64_t rate;
	scoped(free) char *device = split_device(text, &value, e);
	if (!device) {
		return NULL;
	}
	if (parse_size(value, &rate) < 0 || rate < 0) {
		err_set(e, ERR_INVALID,
			"invalid rate for device: %s. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb",
			text);
		return NULL;
	}
	return json_pack("{ss sI}", "Path", device, "Rate", (json_int_t)rate);
}

json_t *spec_iops_rate(const char *text, struct err *e)
{
	const char *value;
	int64_t rate;
	scoped(free) char *device = split_device(text, &value, e);
	if (!device) {
		return NULL;
	}
	if (parse_i64(value, 0, INT64_MAX, &rate) < 0) {
		err_set(e, ERR_INVALID,
			"invalid rate for device: %s. The correct format is <device-path>:<number>. Number must be a positive integer",
			text);
		return NULL;
	}
	return json_pack("{ss sI}", "Path", device, "Rate", (json_int_t)rate);
}

json_t *spec_weight(const char *text, struct err *e)
{
	const char *value;
	int weight;
	scoped(free) char *device = split_device(text, &value, e);
	if (!device) {
		return NULL;
	}
	bool right = parse_int(value, 0, 1000, &weight) == 0 && (weight == 0 || weight >= 10);
	if (!right) {
		err_set(e, ERR_INVALID, "invalid weight for device: %s", text);
		return NULL;
	}
	return json_pack("{ss si}", "Path", device, "Weight", weight);
}

/* "all" is -1. */
static int parse_count(const char *text, int *ret, struct err *e)
{
	*ret = -1;
	if (strcmp(text, "all") == 0 || parse_int(text, -1, INT32_MAX, ret) == 0) {
		return 0;
	}
	return err_set(e, ERR_INVALID,
		"invalid count (%s): value must be either \"all\" or an integer: invalid syntax",
		text);
}

static void put_words(json_t *list, const char *text)
{
	scoped(strv) struct strv words = STRV_INIT;
	strv_split(&words, text, ',');
	for (size_t i = 0; i < words.n; i++) {
		json_array_append_new(list, json_string(words.v[i]));
	}
}

/* One "key=value" of --gpus. */
static int set_gpu_field(json_t *request, json_t *capabilities, const char *field, struct err *e)
{
	const char *value = strchr(field, '=');
	scoped(free) char *key = xstrndup(field, value ? (size_t)(value - field) : strlen(field));
	int count;
	if (!value) {
		if (parse_count(field, &count, e) < 0) {
			return -1;
		}
		json_put(request, "Count", json_integer(count));
		return 0;
	}
	value++;
	if (strcmp(key, "driver") == 0) {
		json_put_str(request, "Driver", value);
	} else if (strcmp(key, "count") == 0) {
		if (parse_count(value, &count, e) < 0) {
			return -1;
		}
		json_put(request, "Count", json_integer(count));
	} else if (strcmp(key, "device") == 0) {
		put_words(json_object_get(request, "DeviceIDs"), value);
	} else if (strcmp(key, "capabilities") == 0) {
		put_words(capabilities, value);
	} else if (strcmp(key, "options") == 0) {
		return spec_label(value, json_object_get(request, "Options"), e);
	} else {
		return err_set(e, ERR_INVALID, "unexpected key '%s' in '%s'", key, field);
	}
	return 0;
}

json_t *spec_gpus(const char *text, struct err *e)
{
	scoped(strv) struct strv fields = STRV_INIT;
	json_t *capabilities = json_array();
	scoped(json) json_t *request = json_pack("{ss si s[] s[o] s{}}", "Driver", "", "Count", 0,
		"DeviceIDs", "Capabilities", capabilities, "Options");
	if (spec_csv(text, &fields, e) < 0) {
		return NULL;
	}
	for (size_t i = 0; i < fields.n; i++) {
		if (set_gpu_field(request, capabilities, fields.v[i], e) < 0) {
			return NULL;
		}
	}
	bool one_each = json_i64(request, "Count", 0) == 0 &&
			json_array_size(json_object_get(request, "DeviceIDs")) == 0;
	if (one_each) {
		json_put(request, "Count", json_integer(1));
	}
	json_array_insert_new(capabilities, 0, json_string("gpu"));
	return json_incref(request);
}
