/* How crun, or the runtime that daemon.json names, is run for a container: which program, in which
 * control group, with which mount sources held. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "container/internal.h"
#include "image/image.h"
#include "container/mount_rules.h"

#define RUNTIME_DEFAULT "crun"
#define RUNTIME_ARGS_MAX 30 /* SHIM_RUNTIME_ARGS_MAX, less ours */

/* "a-b.slice" is "/a.slice/a-b.slice": systemd.slice(5). */
static void add_slices(struct buf *path, const char *slice)
{
	size_t n = strlen(slice) - strlen(".slice");
	for (size_t i = 1; i <= n; i++) {
		if (i == n || slice[i] == '-') {
			buf_printf(path, "/%.*s.slice", (int)i, slice);
		}
	}
}

static bool is_slice(const char *name)
{
	return !strchr(name, '/') && text_ends(name, ".slice") && *name != '-' && *name != '.' &&
	       !strstr(name, "--") && !strstr(name, "-.slice");
}

char *runtime_cgroup(const char *parent, const char *id)
{
	scoped(buf) struct buf path = BUF_INIT;
	if (is_slice(parent)) {
		add_slices(&path, parent);
	} else {
		buf_printf(&path, "/%s", parent);
	}
	buf_printf(&path, "/%s", id);
	/* ".." cannot lead out of the top; groups are named without the first '/' */
	scoped(free) char *clean = path_clean(buf_str(&path));
	return xstrdup(clean + 1);
}

void container_place(struct container *c)
{
	const char *wanted = json_str(c->host_config, "CgroupParent");
	free(c->cgroup);
	c->cgroup = runtime_cgroup(*wanted ? wanted : c->set->d.cgroup_parent, c->id);
}

const char *runtime_default(const struct container_set *s)
{
	const char *name = json_str(s->d.settings, "default-runtime");
	return *name ? name : RUNTIME_DEFAULT;
}

/* crun stands in for what a client may ask for by Docker's names. */
static bool is_crun(const char *name)
{
	return strcmp(name, RUNTIME_DEFAULT) == 0 || strcmp(name, "runc") == 0 ||
	       strcmp(name, "io.containerd.runc.v2") == 0;
}

static const json_t *configured(const struct container_set *s, const char *name)
{
	return json_object_get(json_object_get(s->d.settings, "runtimes"), name);
}

int runtime_check(const struct container_set *s, json_t *host, struct err *e)
{
	const char *name = json_str(host, "Runtime");
	if (!*name) {
		json_put_str(host, "Runtime", runtime_default(s));
		name = json_str(host, "Runtime");
	}
	return is_crun(name) || configured(s, name)
		       ? 0
		       : err_set(e, ERR_INVALID, "unknown or invalid runtime name: %.64s", name);
}

bool runtime_is_own(const struct container *c)
{
	const char *name = json_str(c->host_config, "Runtime");
	return !*name || (is_crun(name) && !configured(c->set, name));
}

const char *runtime_path(const struct container *c)
{
	const json_t *o = configured(c->set, json_str(c->host_config, "Runtime"));
	const char *path = json_str(o, "path");
	return runtime_is_own(c) || !*path ? c->set->d.crun_path : path;
}

void runtime_shim_args(const struct container *c, struct strv *args)
{
	const json_t *o = configured(c->set, json_str(c->host_config, "Runtime"));
	size_t i;
	json_t *arg;
	strv_addf(args, "--crun-root=%s/crun", c->set->d.exec_root);
	strv_addf(args, "--crun=%s", runtime_path(c));
	if (runtime_is_own(c) || !*json_str(o, "path")) {
		strv_add(args, "--runtime-arg=--cgroup-manager=cgroupfs");
		return;
	}
	json_array_foreach (json_object_get(o, "runtimeArgs"), i, arg) {
		if (i < RUNTIME_ARGS_MAX && json_is_string(arg)) {
			strv_addf(args, "--runtime-arg=%s", json_string_value(arg));
		}
	}
}

/* --- pins: shim/pins.c --- */

bool mount_is_pinned(const struct mount_point *m)
{
	return m->kind == MOUNT_IMAGE || m->subpath || mount_propagation_is_shared(m->propagation);
}

char *mount_pin_path(const struct container *c, size_t i)
{
	return xasprintf("%s/pins/%zu", c->run_dir, i);
}

/* Of sources that bundle_write has found to be there. */
void mounts_shim_args(const struct container *c, struct strv *args)
{
	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct mount_point *m = &c->mounts.v[i];
		struct err ignored;
		if (m->kind == MOUNT_TMPFS || !mount_is_pinned(m) ||
			optional_mount_is_missing(c, m)) {
			continue;
		}
		strv_addf(args, "--pin=%zu", i);
		if (m->kind == MOUNT_IMAGE) {
			scoped(free) char *lower = image_lowerdir(c->set->d.images, &m->layers);
			strv_addf(args, "--pin-lower=%s", lower);
		} else {
			scoped(free) char *source = mount_source(c, m, &ignored);
			strv_addf(args, "--pin-root=%s", source ? source : "");
		}
		strv_addf(args, "--pin-path=%s", m->subpath ? m->subpath : "");
	}
	const struct container *donor = container_of_mode(c, "IpcMode");
	if (donor) {
		strv_add(args, "--pin=shm");
		strv_addf(args, "--pin-pid=%d", (int)donor->pid);
		strv_add(args, "--pin-path=/dev/shm");
	}
}
