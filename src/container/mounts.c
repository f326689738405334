/* What is mounted into a container: Binds, Mounts, Tmpfs, VolumesFrom, and the volumes that the
 * image declares. moby volume/mounts/linux_parser.go; a later source of the same target in this
 * order is refused or steps back as there. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "container/internal.h"
#include "container/optional.h"
#include "container/mount_rules.h"
#include "container/patience.h"
#include "image/image.h"
#include "volume/volume.h"

static void mount_deinit(struct mount_point *m)
{
	free(m->name);
	free(m->source);
	free(m->target);
	free(m->mode);
	free(m->propagation);
	free(m->options);
	free(m->subpath);
	strv_deinit(&m->layers);
}

void mounts_deinit(struct mount_list *m)
{
	for (size_t i = 0; i < m->n; i++) {
		mount_deinit(&m->v[i]);
	}
	free(m->v);
	*m = (struct mount_list){0};
}

struct mount_point *mounts_find(const struct mount_list *list, const char *target)
{
	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(list->v[i].target, target) == 0) {
			return &list->v[i];
		}
	}
	return NULL;
}

/* A volume there would be filled from the image, which may declare it: its links would stand where
 * the runtime expects /dev/null (CVE-2025-31133), its files where it expects the kernel's
 * (CVE-2019-16884). */
static bool is_kernels_place(const char *target)
{
	return strcmp(target, "/dev") == 0 || strcmp(target, "/sys") == 0 ||
	       strcmp(target, "/proc") == 0 || text_starts(target, "/proc/");
}

/* The list owns m from here on, also when it is refused. */
static int add(struct mount_list *list, struct mount_point m, struct err *e)
{
	list->v = xrealloc(list->v, list->n + 1, sizeof(*list->v));
	bool taken = mounts_find(list, m.target) != NULL;
	list->v[list->n++] = m;
	if (taken) {
		return err_set(e, ERR_INVALID, "Duplicate mount point: %.300s", m.target);
	}
	if (m.kind == MOUNT_VOLUME && is_kernels_place(m.target)) {
		return err_set(e, ERR_INVALID, "invalid mount path: '%.200s' cannot be a volume",
			m.target);
	}
	if (list->n > CONTAINER_MOUNTS_MAX) {
		return err_set(e, ERR_INVALID, "more than %d mounts", CONTAINER_MOUNTS_MAX);
	}
	return 0;
}

static int clean_target(const char *text, char **ret, struct err *e)
{
	if (*text != '/') {
		return err_set(e, ERR_INVALID,
			"invalid mount path: '%.200s' mount path must be absolute", text);
	}
	char *clean = path_clean(text);
	if (strcmp(clean, "/") == 0) {
		free(clean);
		return err_set(e, ERR_INVALID, "invalid specification: destination can't be '/'");
	}
	*ret = clean;
	return 0;
}

struct reader {
	struct container_set *set;
	struct mount_list *list;
	struct strv *made;
	const char *driver; /* VolumeDriver, of volumes that name none; NULL: local */
	const json_t *config;
};

/* Makes the volume, or finds it; remembers it when it is new. */
static struct volume *volume_for(struct reader *r, const char *name, const char *driver,
	const json_t *labels, const json_t *options, struct err *e)
{
	struct err ignored;
	bool existed = name && *name && volume_find(r->set->d.volumes, name, &ignored);
	struct volume *v = volume_create(r->set->d.volumes, name, driver, labels, options, e);
	if (v && !existed) {
		strv_add(r->made, volume_name(v));
	}
	return v;
}

/* --- "SOURCE:TARGET:OPTIONS" --- */

static int bind_source(const struct reader *reader, const char *path, struct err *e)
{
	int r = patience_stat(reader->set->patience, path, NULL);
	if (r == 0 || r == -ETIMEDOUT) {
		return 0;
	}
	r = r == -ENOENT ? path_mkdirs(path, 0755) : r;
	return r < 0 ? err_sys(e, -r, "error while creating mount source path '%.200s'", path) : 0;
}

/* Docker's sentence for a part of -v that does not stand up. */
static int wrap_bind(const struct mount_point *m, const char *text, struct err *e)
{
	(void)err_wrap(e, "invalid mount config for type \"%s\"", mount_kind_word(m->kind));
	return err_wrap(e, "invalid volume specification: '%.100s'", text);
}

/* The parts of "SOURCE:TARGET:MODE" into m; *ret_source is borrowed from parts, or NULL. */
static int split_bind(struct mount_point *m, const struct strv *parts, const char *text,
	const char **ret_source, struct err *e)
{
	struct mount_mode mode = {0};
	size_t n = parts->n;
	if (n < 1 || n > 3 || !*parts->v[0] || !*parts->v[n - 1] ||
		(n == 2 && mount_mode_is_valid(parts->v[1]))) {
		return err_set(e, ERR_INVALID, "invalid volume specification: '%.200s'", text);
	}
	if (n == 3 && !mount_mode_parse(parts->v[2], &mode)) {
		return err_set(e, ERR_INVALID, "invalid mode: %.100s", parts->v[2]);
	}
	const char *source = n > 1 ? parts->v[0] : NULL;
	m->kind = source && *source == '/' ? MOUNT_BIND : MOUNT_VOLUME;
	if (clean_target(n > 1 ? parts->v[1] : parts->v[0], &m->target, e) < 0) {
		return wrap_bind(m, text, e);
	}
	if (m->kind == MOUNT_BIND ? mode.no_copy : mode.propagation != NULL) {
		(void)err_set(e, ERR_INVALID, "field %s must not be specified",
			m->kind == MOUNT_BIND ? "VolumeOptions" : "BindOptions");
		return wrap_bind(m, text, e);
	}
	m->read_only = mode.read_only;
	m->no_copy = mode.no_copy;
	m->propagation = mode.propagation ? xstrdup(mode.propagation) : NULL;
	m->mode = xstrdup(n == 3 ? parts->v[2] : m->kind == MOUNT_BIND ? "" : "z");
	*ret_source = source;
	return 0;
}

static int read_bind(struct reader *r, const char *text, struct err *e)
{
	scoped(strv) struct strv parts = STRV_INIT;
	struct mount_point m = {0};
	const char *source = NULL;
	strv_split(&parts, text, ':');
	int failed = split_bind(&m, &parts, text, &source, e);
	if (failed == 0 && m.kind == MOUNT_BIND) {
		m.source = path_clean(source);
		failed = bind_source(r, m.source, e);
	} else if (failed == 0) {
		const struct volume *v = volume_for(r, source, r->driver, NULL, NULL, e);
		m.name = v ? xstrdup(volume_name(v)) : NULL;
		failed = v ? 0 : -1;
	}
	if (failed < 0) {
		mount_deinit(&m);
		return -1;
	}
	return add(r->list, m, e);
}

/* --- Mounts --- */

static int mount_bind(const struct reader *r, const json_t *o, struct mount_point *m, struct err *e)
{
	const json_t *options = json_object_get(o, "BindOptions");
	const char *source = json_str(o, "Source");
	m->kind = MOUNT_BIND;
	m->source = path_clean(source);
	m->non_recursive = json_bool(options, "NonRecursive");
	m->shallow_read_only = json_bool(options, "ReadOnlyNonRecursive");
	m->forced_read_only = json_bool(options, "ReadOnlyForceRecursive");
	m->propagation = *json_str(options, "Propagation")
				 ? xstrdup(json_str(options, "Propagation"))
				 : NULL;
	if (json_bool(options, "CreateMountpoint")) {
		return bind_source(r, m->source, e);
	}
	bool optional = optional_names(r->config, m->target);
	int there = optional ? 0 : patience_stat(r->set->patience, m->source, NULL);
	if (there < 0 && there != -ETIMEDOUT) {
		return err_set(e, ERR_INVALID,
			"invalid mount config for type \"bind\": bind source path does not exist: %.300s",
			m->source);
	}
	return 0;
}

static int mount_volume(struct reader *r, const json_t *o, struct mount_point *m, struct err *e)
{
	const json_t *options = json_object_get(o, "VolumeOptions");
	const json_t *driver = json_object_get(options, "DriverConfig");
	const struct volume *v = volume_for(r, json_str(o, "Source"), json_str(driver, "Name"),
		json_object_get(options, "Labels"), json_object_get(driver, "Options"), e);
	m->kind = MOUNT_VOLUME;
	m->no_copy = json_bool(options, "NoCopy");
	m->subpath = *json_str(options, "Subpath") ? xstrdup(json_str(options, "Subpath")) : NULL;
	m->name = v ? xstrdup(volume_name(v)) : NULL;
	return v ? 0 : -1;
}

static int mount_tmpfs(const json_t *o, struct mount_point *m, struct err *e)
{
	const json_t *options = json_object_get(o, "TmpfsOptions");
	int64_t size = json_i64(options, "SizeBytes", 0);
	int64_t mode = json_i64(options, "Mode", 0);
	scoped(buf) struct buf text = BUF_INIT;
	if (size > 0) {
		buf_printf(&text, "size=%lld", (long long)size);
	}
	if (mode > 0) {
		buf_printf(&text, "%smode=%llo", text.len ? "," : "", (long long)mode & 07777);
	}
	m->kind = MOUNT_TMPFS;
	m->options = buf_take_str(&text);
	return 0;
}

/* Read-only, whatever is asked for: Docker API v1.48. Its layers stay as long as the container,
 * also when the image goes. */
static int mount_image(struct reader *r, const json_t *o, struct mount_point *m, struct err *e)
{
	const char *name = json_str(o, "Source");
	const char *subpath = json_str(json_object_get(o, "ImageOptions"), "Subpath");
	const struct image *i = image_find_for(r->set->d.images, name, "", e);
	if (!i || image_trust_check(r->set->d.images, i, name, e) < 0) {
		/* 404 would make docker's CLI pull the container's own image */
		e->kind = e->kind == ERR_NOT_FOUND ? ERR_INVALID : e->kind;
		return err_wrap(e, "invalid mount config for type \"image\"");
	}
	m->kind = MOUNT_IMAGE;
	m->read_only = true;
	m->name = xstrdup(name);
	m->source = xstrdup(i->id);
	m->subpath = *subpath ? xstrdup(subpath) : NULL;
	strv_copy(&m->layers, &i->layers);
	return 0;
}

static int read_mount(struct reader *r, const json_t *o, struct err *e)
{
	struct mount_point m = {.read_only = json_bool(o, "ReadOnly")};
	const char *type = json_str(o, "Type");
	int failed;
	if (mount_object_check(o, e) < 0) {
		return -1;
	}
	if (clean_target(json_str(o, "Target"), &m.target, e) < 0) {
		return -1;
	}
	if (strcmp(type, "bind") == 0) {
		failed = mount_bind(r, o, &m, e);
	} else if (strcmp(type, "volume") == 0) {
		failed = mount_volume(r, o, &m, e);
	} else if (strcmp(type, "image") == 0) {
		failed = mount_image(r, o, &m, e);
	} else {
		failed = mount_tmpfs(o, &m, e);
	}
	if (failed < 0) {
		mount_deinit(&m);
		return -1;
	}
	m.mode = xstrdup("");
	return add(r->list, m, e);
}

/* --- Tmpfs {"/run": "size=64m"} --- */

static int read_tmpfs(struct reader *r, const json_t *map, struct err *e)
{
	const char *target;
	json_t *options;
	json_object_foreach ((json_t *)map, target, options) {
		struct mount_point m = {.kind = MOUNT_TMPFS};
		if (!json_is_string(options)) {
			return err_set(e, ERR_INVALID,
				"the options of tmpfs %.200s must be a string", target);
		}
		scoped(free) char *checked = NULL;
		if (mount_tmpfs_options(json_string_value(options), &checked, e) < 0 ||
			clean_target(target, &m.target, e) < 0) {
			return -1;
		}
		m.options = xstrdup(json_string_value(options));
		m.mode = xstrdup("");
		if (add(r->list, m, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* --- VolumesFrom ["name:ro"] --- */

static char *copy_or_null(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

static int read_volumes_from(struct reader *r, const char *text, struct err *e)
{
	scoped(free) char *name = xstrndup(text, strcspn(text, ":"));
	const char *mode = text[strlen(name)] == ':' ? text + strlen(name) + 1 : "";
	if (!mount_mode_is_for_volumes_from(mode)) {
		return err_set(e, ERR_INVALID, "invalid mode: %.32s", mode);
	}
	const struct container *other = container_find(r->set, name, e);
	if (!other) {
		e->kind = ERR_INVALID; /* the fault is in the request: 400 as in dockerd, not 404 */
		return -1;
	}
	bool read_only =
		strcmp(mode, "ro") == 0 || text_starts(mode, "ro,") || text_ends(mode, ",ro");
	for (size_t i = 0; i < other->mounts.n; i++) {
		const struct mount_point *o = &other->mounts.v[i];
		if (mounts_find(r->list, o->target) || o->kind == MOUNT_TMPFS) {
			continue;
		}
		struct mount_point m = *o;
		m.name = copy_or_null(o->name);
		m.source = copy_or_null(o->source);
		m.target = xstrdup(o->target);
		m.mode = xstrdup(mode);
		m.propagation = copy_or_null(o->propagation);
		m.options = copy_or_null(o->options);
		m.subpath = copy_or_null(o->subpath);
		m.layers = (struct strv)STRV_INIT;
		strv_copy(&m.layers, &o->layers);
		m.read_only = o->read_only || read_only;
		if (add(r->list, m, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* Config.Volumes: anonymous ones where nothing else is mounted. */
static int read_anonymous(struct reader *r, const json_t *volumes, struct err *e)
{
	const char *target;
	json_t *ignored;
	json_object_foreach ((json_t *)volumes, target, ignored) {
		struct mount_point m = {.kind = MOUNT_VOLUME};
		if (clean_target(target, &m.target, e) < 0) {
			return -1;
		}
		if (mounts_find(r->list, m.target)) {
			mount_deinit(&m);
			continue;
		}
		const struct volume *v = volume_for(r, NULL, r->driver, NULL, NULL, e);
		if (!v) {
			mount_deinit(&m);
			return -1;
		}
		m.name = xstrdup(volume_name(v));
		m.mode = xstrdup("");
		if (add(r->list, m, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* Parents before what is mounted below them; the order of equals stays. */
static int by_depth(const void *a, const void *b)
{
	size_t n[2] = {0};
	const char *texts[2] = {
		((const struct mount_point *)a)->target, ((const struct mount_point *)b)->target};
	for (int i = 0; i < 2; i++) {
		for (const char *p = texts[i]; *p; p++) {
			n[i] += *p == '/';
		}
	}
	return n[0] < n[1] ? -1 : n[0] > n[1];
}

static bool is_within(const char *path, const char *dir)
{
	size_t n = strcmp(dir, "/") == 0 ? 0 : strlen(dir);
	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* Nothing comes from the host below a mount that is in no peer group: a runtime would refuse. */
static bool can_follow(const char *source)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (path_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text) < 0) {
		return false;
	}
	scoped(free) char *refusal = mount_propagation_refusal(buf_str(&text), source, "rslave");
	return !refusal;
}

/* A bind that has our own directory in it, or is in it, must not keep what is mounted there when
 * the host lets go of it: moby daemon/volumes_linux.go validateBindDaemonRoot. */
static int check_data_root(const struct container_set *s, struct mount_point *m, struct err *e)
{
	const char *root = s->d.data_root;
	if (m->kind != MOUNT_BIND || (!is_within(m->source, root) && !is_within(root, m->source))) {
		return 0;
	}
	if (!m->propagation) {
		m->propagation = can_follow(m->source) ? xstrdup("rslave") : NULL;
		return 0;
	}
	if (strcmp(m->propagation, "rslave") == 0 || strcmp(m->propagation, "rshared") == 0) {
		return 0;
	}
	return err_set(e, ERR_INVALID,
		"invalid mount config: must use either propagation mode \"rslave\" or \"rshared\" when mount source is within the daemon root, daemon root: \"%.100s\", bind mount source: \"%.100s\", propagation: \"%.16s\"",
		root, m->source, m->propagation);
}

int mounts_read(struct container_set *s, const json_t *config, const json_t *host, bool shallow,
	struct mount_list *ret, struct strv *ret_made, struct err *e)
{
	const char *driver = json_str(host, "VolumeDriver");
	struct reader r = {s, ret, ret_made, *driver ? driver : NULL, config};
	size_t i;
	json_t *item;
	json_array_foreach (json_object_get(host, "Binds"), i, item) {
		if (read_bind(&r, json_string_value(item), e) < 0) {
			return -1;
		}
	}
	json_array_foreach (json_object_get(host, "Mounts"), i, item) {
		if (read_mount(&r, item, e) < 0) {
			return -1;
		}
	}
	for (size_t k = 0; k < ret->n; k++) { /* those of VolumesFrom have been looked at */
		struct mount_point *m = &ret->v[k];
		m->shallow_read_only = m->shallow_read_only ||
				       (shallow && m->kind == MOUNT_BIND && !m->forced_read_only);
		if (check_data_root(s, m, e) < 0) {
			return -1;
		}
	}
	if (read_tmpfs(&r, json_object_get(host, "Tmpfs"), e) < 0) {
		return -1;
	}
	json_array_foreach (json_object_get(host, "VolumesFrom"), i, item) {
		if (read_volumes_from(&r, json_string_value(item), e) < 0) {
			return -1;
		}
	}
	if (read_anonymous(&r, json_object_get(config, "Volumes"), e) < 0) {
		return -1;
	}
	if (ret->n > 0) {
		qsort(ret->v, ret->n, sizeof(*ret->v), by_depth);
	}
	return 0;
}

char *mount_source(const struct container *c, const struct mount_point *m, struct err *e)
{
	if (m->kind == MOUNT_BIND) {
		int r = patience_stat(c->set->patience, m->source, NULL);
		if (r < 0 && r != -ETIMEDOUT) {
			(void)err_set(e, ERR_INVALID,
				"invalid mount config for type \"bind\": bind source path does not exist: %.300s",
				m->source);
			return NULL;
		}
		return xstrdup(m->source);
	}
	const struct volume *v = volume_find(c->set->d.volumes, m->name, e);
	if (!v) {
		return NULL;
	}
	const char *root = volume_mountpoint(v);
	if (!m->subpath || volume_is_watched(v)) { /* its server is not to be asked here */
		return xstrdup(root);
	}
	/* resolved inside the volume; the shim resolves it again and pins what it found, so that a
	 * link that another container puts there meanwhile leads nowhere (CVE-2021-30465) */
	scoped(close) int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	scoped(close) int fd =
		root_fd < 0 ? -errno : path_open_beneath(root_fd, m->subpath, O_PATH);
	if (fd == -ENOENT) {
		(void)err_set(e, ERR_NOT_FOUND,
			"cannot access path %s/%.100s: lstat %s/%.100s: no such file or directory",
			root, m->subpath, root, m->subpath);
		return NULL;
	}
	if (fd == -EXDEV) {
		(void)err_set(e, ERR_INVALID,
			"path concatenation escapes the base directory, base: %s, subpath: %.100s",
			root, m->subpath);
		return NULL;
	}
	if (fd < 0) {
		(void)err_sys(e, -fd, "cannot access path %s/%.100s", root, m->subpath);
		return NULL;
	}
	return xstrdup(root);
}
