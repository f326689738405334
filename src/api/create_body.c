#include "api/create_body.h"

#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"

struct creation {
	json_t *body;
	json_t *host;      /* HostConfig; an object */
	json_t *endpoints; /* NetworkingConfig.EndpointsConfig; an object */
	int version;
};

/* The member as an object; one is made when it is absent, null or something else that its reader
 * will refuse only where it matters. */
static json_t *object_in(json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);
	if (!v || json_is_null(v)) {
		json_put(o, key, json_object());
		v = json_object_get(o, key);
	}
	return json_is_object(v) ? v : NULL;
}

/* --- mounts --- */

/* What a mount of another type must not say, since 1.42; before, it was not looked at. */
static int check_mount(const struct creation *n, json_t *m, struct err *e)
{
	static const char *const options[][2] = {
		{"VolumeOptions", "volume"}, {"BindOptions", "bind"}, {"TmpfsOptions", "tmpfs"}};
	const char *type = json_str(m, "Type");
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		const json_t *v = json_object_get(m, options[i][0]);
		bool foreign = v && !json_is_null(v) && strcmp(type, options[i][1]) != 0;
		if (foreign && n->version >= 42) {
			return err_set(e, ERR_INVALID,
				"%s must not be specified on mount type \"%.32s\"", options[i][0],
				type);
		}
		if (foreign && i != 1) {
			json_object_del(m, options[i][0]);
		}
	}
	return 0;
}

static int fit_mount(const struct creation *n, json_t *m, struct err *e)
{
	json_t *bind = json_object_get(m, "BindOptions");
	const json_t *volume = json_object_get(m, "VolumeOptions");
	if (n->version < 40) {
		json_object_del(bind, "NonRecursive");
	}
	if (n->version < 42) {
		json_object_del(bind, "CreateMountpoint");
	}
	if (check_mount(n, m, e) < 0) {
		return -1;
	}
	if (n->version < 44 && strcmp(json_str(m, "Type"), "bind") == 0 &&
		json_bool(bind, "ReadOnlyForceRecursive")) {
		return err_set(e, ERR_INVALID,
			"BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer");
	}
	if (n->version < 45 && *json_str(volume, "Subpath")) {
		return err_set(e, ERR_INVALID, "VolumeOptions.Subpath needs API v1.45 or newer");
	}
	return 0;
}

static int fit_mounts(const struct creation *n, struct err *e)
{
	size_t i;
	json_t *m;
	json_array_foreach (json_object_get(n->host, "Mounts"), i, m) {
		if (json_is_object(m) && fit_mount(n, m, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* --- networks --- */

/* Several networks at once came with 1.44. */
static int check_endpoint_count(const struct creation *n, struct err *e)
{
	if (n->version >= 44 || json_object_size(n->endpoints) <= 1) {
		return 0;
	}
	scoped(buf) struct buf names = BUF_INIT;
	const char *name;
	json_t *v;
	json_object_foreach (n->endpoints, name, v) {
		buf_printf(&names, "%s%s", names.len > 0 ? ", " : "", name);
	}
	return err_set(e, ERR_INVALID,
		"Container cannot be created with multiple network endpoints: %.256s",
		buf_str(&names));
}

static bool can_have_mac(const char *mode)
{
	return strcmp(mode, "host") != 0 && strcmp(mode, "none") != 0 &&
	       strncmp(mode, "container:", 10) != 0;
}

/* The endpoint of the network that the container starts in. */
static json_t *main_endpoint(const struct creation *n, const char *mode)
{
	bool is_default = !*mode || strcmp(mode, "default") == 0 || strcmp(mode, "bridge") == 0;
	static const char *const names[] = {"default", "bridge"};
	for (size_t i = 0; is_default && i < 2; i++) {
		json_t *v = json_object_get(n->endpoints, names[i]);
		if (json_is_object(v)) {
			return v;
		}
	}
	if (json_object_size(n->endpoints) == 0) {
		return object_in(n->endpoints, *mode ? mode : "default");
	}
	json_t *v = json_object_get(n->endpoints, mode);
	return json_is_object(v) ? v : NULL;
}

/* Before 1.44 the address was the container's, and one in an endpoint was not looked at. */
static int fit_old_mac(const struct creation *n, const char *mac, const char *mode, struct err *e)
{
	const char *name;
	json_t *v;
	if (*mac && !can_have_mac(mode)) {
		return err_set(
			e, ERR_INVALID, "conflicting options: mac-address and the network mode");
	}
	if (*mac && json_object_size(n->endpoints) == 0) {
		(void)object_in(n->endpoints, *mode ? mode : "default");
	}
	json_object_foreach (n->endpoints, name, v) {
		if (*mac && json_is_null(v)) {
			v = object_in(n->endpoints, name);
		}
		if (*mac) {
			json_put_str(v, "MacAddress", mac);
		} else {
			json_object_del(v, "MacAddress");
		}
	}
	return 0;
}

/* Since 1.44 it is an endpoint's, and the container's goes there with a warning. */
static int fit_mac(const struct creation *n, json_t *warnings, struct err *e)
{
	const char *mac = json_str(n->body, "MacAddress");
	const char *mode = json_str(n->host, "NetworkMode");
	if (n->version < 44) {
		return fit_old_mac(n, mac, mode, e);
	}
	if (!*mac) {
		return 0;
	}
	if (can_have_mac(mode)) {
		json_t *endpoint = main_endpoint(n, mode);
		if (!endpoint) {
			return err_set(e, ERR_INVALID,
				"if a container-wide MAC address is supplied, HostConfig.NetworkMode must "
				"match the identity of a network in NetworkSettings.Networks");
		}
		const char *own = json_str(endpoint, "MacAddress");
		if (*own && strcmp(own, mac) != 0) {
			return err_set(e, ERR_INVALID,
				"the container-wide MAC address must match the endpoint-specific MAC "
				"address for the main network, or be left empty");
		}
		json_put_str(endpoint, "MacAddress", mac);
	}
	json_object_del(n->body, "MacAddress");
	json_array_append_new(warnings,
		json_string("The container-wide MacAddress field is now deprecated. It should be "
			    "specified in EndpointsConfig instead."));
	return 0;
}

/* --- defaults that changed, members that came --- */

static void put_default(json_t *host, const char *key, const char *value)
{
	if (!*json_str(host, key)) {
		json_put_str(host, key, value);
	}
}

static void fit_host(const struct creation *n)
{
	struct stat st;
	if (n->version < 25) { /* the client removed it */
		json_object_del(n->host, "AutoRemove");
	}
	if (n->version < 40) {
		put_default(n->host, "IpcMode", "shareable");
		json_object_del(n->host, "KernelMemoryTCP");
	}
	if (n->version < 41 && stat("/sys/fs/cgroup/cgroup.controllers", &st) < 0) {
		put_default(n->host, "CgroupnsMode", "host");
	}
	if (n->version < 42) {
		json_object_del(n->host, "ConsoleSize");
	} else {
		json_object_del(n->host, "KernelMemory");
	}
	if (n->version < 43) {
		json_object_del(n->host, "Annotations");
	}
	if (n->version < 44) {
		json_object_del(json_object_get(n->body, "Healthcheck"), "StartInterval");
		/* a read-only bind did not make the mounts below it read-only */
		json_put(n->body, "DefaultReadOnlyNonRecursive", json_true());
	}
}

json_t *create_body_current(const json_t *body, int version, json_t *warnings, struct err *e)
{
	scoped(json) json_t *copy = json_deep_copy(body);
	json_t *networking = object_in(copy, "NetworkingConfig");
	struct creation n = {
		.body = copy,
		.host = object_in(copy, "HostConfig"),
		.endpoints = networking ? object_in(networking, "EndpointsConfig") : NULL,
		.version = version,
	};
	if (!n.host || !n.endpoints) { /* of a wrong type: container_create says which */
		return TAKE(copy);
	}
	fit_host(&n);
	if (fit_mounts(&n, e) < 0 || check_endpoint_count(&n, e) < 0 ||
		fit_mac(&n, warnings, e) < 0) {
		return NULL;
	}
	return TAKE(copy);
}
