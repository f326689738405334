/* What a start needs from outside and is not there: a device that is not plugged, a disk that is
 * not mounted. Under a restart policy the container waits for it, as "restarting", and says what
 * for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "container/internal.h"
#include "container/optional.h"

bool waiting_is_absent(const char *path)
{
	struct stat st;
	return stat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ENXIO);
}

char *waiting_for(const struct container *c)
{
	size_t i;
	json_t *device;
	for (i = 0; i < c->mounts.n; i++) {
		const struct mount_point *m = &c->mounts.v[i];
		if (m->kind == MOUNT_BIND && waiting_is_absent(m->source) &&
			!optional_names(c->config, m->target)) {
			return xasprintf("mount source %s", m->source);
		}
	}
	if (json_bool(c->host_config, "Privileged")) {
		return NULL; /* it has what there is */
	}
	json_array_foreach (json_object_get(c->host_config, "Devices"), i, device) {
		const char *path = json_str(device, "PathOnHost");
		const char *inside = json_str(device, "PathInContainer");
		if (waiting_is_absent(path) &&
			!optional_names(c->config, *inside ? inside : path)) {
			return xasprintf("device %s", path);
		}
	}
	return NULL;
}

void waiting_set(struct container *c, char *take_what)
{
	bool news = take_what && (!c->waits_for || strcmp(c->waits_for, take_what) != 0);
	free(c->waits_for);
	c->waits_for = take_what;
	if (news) {
		log_warning("container", "waiting", "id", c->id, "for", take_what, NULL);
		container_event(c, "waiting", json_pack("{ss}", "for", take_what));
	}
}

/* The cheap look before a retry: nothing is made, written or told while nothing has changed. */
bool waiting_goes_on(struct container *c)
{
	if (!c->waits_for) {
		return false;
	}
	scoped(free) char *what = waiting_for(c);
	int64_t wait_ms;
	const struct restart_facts facts = {.exit_code = c->exit_code,
		.count = c->restart_count,
		.last_wait_ms = c->last_wait_ms,
		.stopped_by_user = c->stopped_by_user,
		.waiting = true};
	if (!what || strcmp(what, c->waits_for) != 0 ||
		!restart_decide(&c->policy, &facts, &wait_ms)) {
		return false;
	}
	container_restart_later(c, wait_ms);
	return true;
}
