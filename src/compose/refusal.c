#include "compose/refusal.h"

#include <string.h>

#include "compose/request_parts.h"

static int check_files(const struct service *s, const struct file_use *uses, size_t n,
	const char *kind, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		const struct file_use *u = &uses[i];
		if (u->external) {
			return node_err(e, u->node, "unsupported external %s %s", kind, u->key);
		}
		if (!u->path && !u->content) {
			return node_err(e, u->node,
				"service \"%s\": the variable of the environment that %s \"%s\" comes from is not set",
				s->name, kind, u->key);
		}
	}
	return 0;
}

static int check_devices(const struct service *s, struct err *e)
{
	if (s->n_device_requests > 0) {
		return node_err(e, s->device_requests[0].node,
			"service \"%s\": device requests (gpus, reservations.devices) are not supported by this engine; name the nodes in devices",
			s->name);
	}
	for (size_t i = 0; i < s->n_devices; i++) {
		if (request_is_cdi(&s->devices[i])) {
			return node_err(e, s->devices[i].node,
				"service \"%s\": CDI devices (%s) are not supported by this engine; name the nodes in devices",
				s->name, s->devices[i].source);
		}
	}
	return 0;
}

int service_check_startable(const struct service *s, bool own_engine, struct err *e)
{
	if (s->provider) {
		return node_err(e, s->provider,
			"service \"%s\": provider is not supported, programs of others are not run",
			s->name);
	}
	if (s->n_models > 0) {
		return node_err(e, s->models[0].node,
			"service \"%s\": models are not supported, there is no model runner",
			s->name);
	}
	if (s->credential_spec) {
		return node_err(e, s->credential_spec,
			"service \"%s\": credential_spec is for Windows containers", s->name);
	}
	if (s->isolation && *s->isolation && strcmp(s->isolation, "default") != 0) {
		return node_err(e, node_get(s->node, "isolation"),
			"service \"%s\": isolation \"%s\" is for Windows containers", s->name,
			s->isolation);
	}
	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct mount *m = &s->mounts[i];
		if (m->type == MOUNT_NPIPE || m->type == MOUNT_CLUSTER) {
			return node_err(e, m->node, "service \"%s\": a mount of type %s is %s",
				s->name, m->type == MOUNT_NPIPE ? "npipe" : "cluster",
				m->type == MOUNT_NPIPE ? "for Windows containers" : "Swarm's");
		}
	}
	if (check_files(s, s->configs, s->n_configs, "config", e) < 0 ||
		check_files(s, s->secrets, s->n_secrets, "secret", e) < 0) {
		return -1;
	}
	return own_engine ? check_devices(s, e) : 0;
}

bool file_use_is_copied(const struct service *s, const struct file_use *u)
{
	bool owned = u->uid != UNSET || u->gid != UNSET || u->mode != UNSET;
	return u->path ? owned && !s->read_only : u->content != NULL;
}

bool service_asks_for_devices(const struct service *s)
{
	struct err ignored;
	return check_devices(s, &ignored) < 0;
}
