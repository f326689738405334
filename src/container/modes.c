/* The modes of HostConfig that share something with another container or the host: which are words,
 * which exclude each other, and whose namespaces they mean. moby runconfig/hostconfig_unix.go,
 * daemon/oci_linux.go. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "container/internal.h"

#define CONTAINER_PREFIX "container:"

/* Where c's files of /etc are, at most that many modes away: a chain that is longer is a ring. */
#define CHAIN_MAX 16

static const char *donor_name(const char *mode)
{
	return text_starts(mode, CONTAINER_PREFIX) ? mode + strlen(CONTAINER_PREFIX) : NULL;
}

const struct container *container_of_mode(const struct container *c, const char *key)
{
	struct err ignored;
	const char *name = donor_name(json_str(c->host_config, key));
	return name ? container_find(c->set, name, &ignored) : NULL;
}

const struct container *container_etc_owner(const struct container *c)
{
	const struct container *owner = c;
	for (int i = 0; i < CHAIN_MAX; i++) {
		const struct container *next = container_of_mode(owner, "NetworkMode");
		if (!next) {
			return owner;
		}
		owner = next;
	}
	return c;
}

static int check_word(const json_t *host, const char *key, const char *const *words,
	const char *what, struct err *e)
{
	const char *mode = json_str(host, key);
	for (; *words; words++) {
		const char *name = donor_name(mode);
		bool is_prefix = strcmp(*words, CONTAINER_PREFIX) == 0;
		if (is_prefix ? name && *name : strcmp(*words, mode) == 0) {
			return 0;
		}
	}
	return *mode ? err_set(e, ERR_INVALID, "invalid %s: %.64s", what, mode) : 0;
}

static int check_words(const json_t *host, struct err *e)
{
	static const char *const ipc[] = {
		"private", "shareable", "host", "none", CONTAINER_PREFIX, NULL};
	static const char *const pid[] = {"host", CONTAINER_PREFIX, NULL};
	static const char *const host_only[] = {"host", NULL};
	static const char *const cgroup[] = {"host", "private", NULL};
	const char *userns = json_str(host, "UsernsMode");
	if (*userns && strcmp(userns, "host") != 0) {
		return err_set(e, ERR_INVALID, "invalid userns mode: %.64s: only host is supported",
			userns);
	}
	return check_word(host, "IpcMode", ipc, "IPC mode", e) < 0 ||
			       check_word(host, "PidMode", pid, "PID mode", e) < 0 ||
			       check_word(host, "UTSMode", host_only, "UTS mode", e) < 0 ||
			       check_word(
				       host, "CgroupnsMode", cgroup, "cgroup namespace mode", e) < 0
		       ? -1
		       : 0;
}

/* What belongs to the network namespace, or to its owner's /etc, is not a second container's to
 * say. */
static int check_shared_network(const json_t *config, const json_t *host, struct err *e)
{
	const struct {
		bool given;
		const char *sentence;
	} conflicts[] = {
		{*json_str(config, "Hostname") != '\0', "hostname and the network mode"},
		{json_array_size(json_object_get(host, "Links")) > 0,
			"container type network can't be used with links. This would result in undefined behavior"},
		{json_array_size(json_object_get(host, "Dns")) > 0, "dns and the network mode"},
		{json_array_size(json_object_get(host, "ExtraHosts")) > 0,
			"custom host-to-IP mapping and the network mode"},
		{json_object_size(json_object_get(host, "PortBindings")) > 0 ||
				json_bool(host, "PublishAllPorts"),
			"port publishing and the container type network mode"},
		{json_object_size(json_object_get(config, "ExposedPorts")) > 0,
			"port exposing and the container type network mode"},
	};
	for (size_t i = 0; i < sizeof(conflicts) / sizeof(*conflicts); i++) {
		if (conflicts[i].given) {
			return err_set(
				e, ERR_INVALID, "conflicting options: %s", conflicts[i].sentence);
		}
	}
	return 0;
}

int modes_check(const json_t *config, const json_t *host, struct err *e)
{
	const char *network = json_str(host, "NetworkMode");
	const char *donor = donor_name(network);
	if (strcmp(network, "container") == 0 || (donor && !*donor)) {
		return err_set(e, ERR_INVALID,
			"Invalid network mode: invalid container format container:<name|id>");
	}
	if (donor && check_shared_network(config, host, e) < 0) {
		return -1;
	}
	if (strcmp(json_str(host, "UTSMode"), "host") == 0 && *json_str(config, "Hostname")) {
		return err_set(e, ERR_INVALID, "conflicting options: hostname and the UTS mode");
	}
	if (strcmp(network, "host") == 0 && json_array_size(json_object_get(host, "Links")) > 0) {
		return err_set(e, ERR_INVALID,
			"conflicting options: host type networking can't be used with links. This would result in undefined behavior");
	}
	return check_words(host, e);
}

/* The containers that IpcMode and PidMode name exist, 400 otherwise; ids stay what inspect shows: a
 * name may go to another container later. */
int modes_resolve(const struct container_set *s, json_t *host, struct err *e)
{
	static const char *const keys[] = {"IpcMode", "PidMode", "NetworkMode"};
	for (size_t i = 0; i < 3; i++) {
		const char *name = donor_name(json_str(host, keys[i]));
		const struct container *donor =
			name ? container_find((struct container_set *)s, name, e) : NULL;
		if (name && !donor && i < 2) {
			e->kind = ERR_INVALID;
			return -1;
		}
		/* one for the network is missed at start, as in dockerd: a 404 now would make
		 * docker run pull the image */
		if (donor) {
			scoped(free) char *mode = xasprintf(CONTAINER_PREFIX "%s", donor->id);
			json_put_str(host, keys[i], mode);
		}
	}
	return 0;
}

/* --- at start: namespaces to join --- */

static int check_ipc_donor(const struct container *donor, struct err *e)
{
	const char *mode = json_str(donor->host_config, "IpcMode");
	if (strcmp(mode, "shareable") != 0 && strcmp(mode, "host") != 0) {
		return err_set(e, ERR_INVALID,
			"failed to join IPC namespace: container %s: non-shareable IPC (hint: use IpcMode:shareable for the donor container)",
			donor->id);
	}
	return 0;
}

int mode_namespace(
	const struct container *c, const char *key, const char *kind, char **ret, struct err *e)
{
	const char *mode = json_str(c->host_config, key);
	bool network = strcmp(kind, "net") == 0;
	*ret = NULL;
	if (strcmp(mode, "host") == 0) {
		*ret = network ? NULL : xstrdup("host");
		return 0;
	}
	const char *name = donor_name(mode);
	if (!name) {
		return 0;
	}
	const struct container *donor = container_find(c->set, name, e);
	if (!donor) {
		return -1;
	}
	if (donor->state == CONTAINER_RESTARTING) {
		return err_set(e, ERR_CONFLICT,
			"Container %s is restarting, wait until the container is running",
			donor->id);
	}
	if (!container_is_running(donor)) {
		return network ? err_set(e, ERR_CONFLICT,
					 "cannot join network of a non running container: %s",
					 donor->id)
			       : err_set(e, strcmp(kind, "ipc") == 0 ? ERR_CONFLICT : ERR_SYSTEM,
					 "failed to join %s namespace: container %s is not running",
					 strcmp(kind, "ipc") == 0 ? "IPC" : "PID", donor->id);
	}
	if (strcmp(kind, "ipc") == 0 && check_ipc_donor(donor, e) < 0) {
		return -1;
	}
	*ret = xasprintf("/proc/%d/ns/%s", (int)donor->pid, kind);
	return 0;
}
