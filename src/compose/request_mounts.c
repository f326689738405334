/* Volumes, binds, tmpfs, configs and secrets as the engine wants them. */
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "compose/request_parts.h"

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
	if (m->propagation) {
		buf_printf(&b, ",%s", m->propagation);
	}
	buf_puts(&b, m->nocopy ? ",nocopy" : "");
	return buf_take_str(&b);
}

static bool is_bind_text(const struct mount *m)
{
	/* a colon cannot be written in "source:target:mode" */
	if (!m->source || m->subpath || strchr(m->source, ':') || strchr(m->target, ':')) {
		return false;
	}
	return m->type == MOUNT_VOLUME || (m->type == MOUNT_BIND && m->create_host_path);
}

static json_t *mount_json(const struct project *p, const struct mount *m)
{
	static const char *const types[] = {
		[MOUNT_BIND] = "bind", [MOUNT_VOLUME] = "volume", [MOUNT_TMPFS] = "tmpfs"};
	const struct volume *volume =
		m->type == MOUNT_VOLUME && m->source ? project_volume(p, m->source) : NULL;
	json_t *o = json_pack("{s:s,s:s}", "Type", types[m->type], "Target", m->target);
	request_put_text(o, "Source",
		volume                  ? volume->name
		: m->type == MOUNT_BIND ? m->source
					: NULL);
	request_put_true(o, "ReadOnly", m->read_only);
	if (m->type == MOUNT_BIND && (m->propagation || m->create_host_path)) {
		json_t *options = json_object();
		request_put_text(options, "Propagation", m->propagation);
		request_put_true(options, "CreateMountpoint", m->create_host_path);
		json_put(o, "BindOptions", options);
	}
	if (m->type == MOUNT_VOLUME && (m->nocopy || m->subpath)) {
		json_t *options = json_object();
		request_put_true(options, "NoCopy", m->nocopy);
		request_put_text(options, "Subpath", m->subpath);
		json_put(o, "VolumeOptions", options);
	}
	if (m->type == MOUNT_TMPFS && (m->tmpfs_size_bytes != UNSET || m->tmpfs_mode != UNSET)) {
		json_t *options = json_object();
		request_put_number(options, "SizeBytes", m->tmpfs_size_bytes);
		request_put_number(options, "Mode", m->tmpfs_mode);
		json_put(o, "TmpfsOptions", options);
	}
	return o;
}

static void add_file_mounts(json_t *mounts, const struct file_use *uses, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (uses[i].path) {
			json_array_append_new(mounts,
				json_pack("{s:s,s:s,s:s,s:b}", "Type", "bind", "Source",
					uses[i].path, "Target", uses[i].target, "ReadOnly", 1));
		}
	}
}

void request_put_mounts(json_t *host, const struct project *p, const struct service *s)
{
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
	add_file_mounts(mounts, s->configs, s->n_configs);
	add_file_mounts(mounts, s->secrets, s->n_secrets);
	json_put(host, "Binds", binds);
	json_put(host, "Mounts", mounts);
	json_t *tmpfs = json_object();
	for (size_t i = 0; i < s->tmpfs.n; i++) {
		size_t n = strcspn(s->tmpfs.v[i], ":");
		scoped(free) char *target = xstrndup(s->tmpfs.v[i], n);
		json_put_str(tmpfs, target, s->tmpfs.v[i][n] ? s->tmpfs.v[i] + n + 1 : "");
	}
	json_put(host, "Tmpfs", tmpfs);
}
