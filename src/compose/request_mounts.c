/* Volumes, binds, tmpfs, configs and secrets as the engine wants them. */
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "compose/refusal.h"
#include "compose/request_parts.h"

#define DOCKER_SOCKET "/var/run/docker.sock"

/* Named volumes and binds whose path may be made go as Binds; the engine makes the path then. */
static char *bind_text(const struct project *p, const struct mount *m)
{
	const struct volume *volume = m->type == MOUNT_VOLUME ? project_volume(p, m->source) : NULL;
	struct buf b = BUF_INIT;
	buf_printf(&b, "%s:%s:%s", volume ? volume->name : m->source, m->target,
		m->read_only ? "ro" : "rw");
	if (m->selinux) {
		buf_printf(&b, ",%s", m->selinux);
	}
	return buf_take_str(&b);
}

static bool is_bind_text(const struct mount *m)
{
	/* a colon cannot be written in "source:target:mode" */
	if (!m->source || strchr(m->source, ':') || strchr(m->target, ':')) {
		return false;
	}
	if (m->type == MOUNT_VOLUME) {
		return !m->subpath && !m->nocopy && m->labels.n == 0;
	}
	return m->type == MOUNT_BIND && m->create_host_path && !m->propagation && !m->recursive;
}

static json_t *bind_options(const struct mount *m)
{
	json_t *o = json_object();
	request_put_text(o, "Propagation", m->propagation);
	request_put_true(o, "CreateMountpoint", m->create_host_path);
	if (m->recursive) {
		request_put_true(o, "NonRecursive", strcmp(m->recursive, "disabled") == 0);
		request_put_true(o, "ReadOnlyNonRecursive", strcmp(m->recursive, "writable") == 0);
		request_put_true(
			o, "ReadOnlyForceRecursive", strcmp(m->recursive, "readonly") == 0);
	}
	return o;
}

static json_t *volume_options(const struct mount *m)
{
	json_t *o = json_object();
	request_put_true(o, "NoCopy", m->nocopy);
	request_put_text(o, "Subpath", m->subpath);
	if (m->labels.n > 0) {
		json_put(o, "Labels", request_pairs(&m->labels));
	}
	return o;
}

static json_t *tmpfs_options(const struct mount *m)
{
	json_t *o = json_object();
	request_put_number(o, "SizeBytes", m->tmpfs_size_bytes);
	request_put_number(o, "Mode", m->tmpfs_mode);
	return o;
}

static json_t *image_options(const struct mount *m)
{
	json_t *o = json_object();
	request_put_text(o, "Subpath", m->subpath);
	return o;
}

static json_t *mount_json(const struct project *p, const struct mount *m)
{
	static const struct {
		const char *word, *key;
		json_t *(*options)(const struct mount *m);
	} types[] = {
		[MOUNT_BIND] = {"bind", "BindOptions", bind_options},
		[MOUNT_VOLUME] = {"volume", "VolumeOptions", volume_options},
		[MOUNT_TMPFS] = {"tmpfs", "TmpfsOptions", tmpfs_options},
		[MOUNT_IMAGE] = {"image", "ImageOptions", image_options},
		[MOUNT_NPIPE] = {"npipe", NULL, NULL},
		[MOUNT_CLUSTER] = {"cluster", NULL, NULL},
	};
	const struct volume *volume =
		m->type == MOUNT_VOLUME && m->source ? project_volume(p, m->source) : NULL;
	json_t *o = json_pack("{s:s,s:s}", "Type", types[m->type].word, "Target", m->target);
	request_put_text(o, "Source", volume ? volume->name : m->source);
	request_put_true(o, "ReadOnly", m->read_only);
	request_put_text(o, "Consistency", m->consistency);
	scoped(json) json_t *options = types[m->type].options ? types[m->type].options(m) : NULL;
	if (json_object_size(options) > 0) {
		json_put(o, types[m->type].key, json_incref(options));
	}
	return o;
}

static void add_file_mounts(
	json_t *mounts, const struct service *s, const struct file_use *uses, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (uses[i].path && !file_use_is_copied(s, &uses[i])) {
			json_array_append_new(mounts,
				json_pack("{s:s,s:s,s:s,s:b}", "Type", "bind", "Source",
					uses[i].path, "Target", uses[i].target, "ReadOnly", 1));
		}
	}
}

void request_put_mounts(json_t *host, const struct project *p, const struct request_container *r)
{
	const struct service *s = r->service;
	json_t *binds = json_array();
	json_t *mounts = json_array();
	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct mount *m = &s->mounts[i];
		if (is_bind_text(m)) {
			scoped(free) char *text = bind_text(p, m);
			json_array_append_new(binds, json_string(text));
		} else {
			json_array_append_new(mounts, mount_json(p, m));
		}
	}
	add_file_mounts(mounts, s, s->configs, s->n_configs);
	add_file_mounts(mounts, s, s->secrets, s->n_secrets);
	if (s->use_api_socket) {
		scoped(free) char *text = xasprintf(
			"%s:" DOCKER_SOCKET ":rw", r->api_socket ? r->api_socket : DOCKER_SOCKET);
		json_array_append_new(binds, json_string(text));
	}
	if (json_array_size(binds) > 0) {
		json_put(host, "Binds", json_incref(binds));
	}
	json_decref(binds);
	json_put(host, "Mounts", mounts);
	json_t *tmpfs = json_object();
	for (size_t i = 0; i < s->tmpfs.n; i++) {
		size_t n = strcspn(s->tmpfs.v[i], ":");
		scoped(free) char *target = xstrndup(s->tmpfs.v[i], n);
		json_put_str(tmpfs, target, s->tmpfs.v[i][n] ? s->tmpfs.v[i] + n + 1 : "");
	}
	json_put(host, "Tmpfs", tmpfs);
}
