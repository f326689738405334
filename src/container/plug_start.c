/* A container's devices before it starts, and what a new daemon makes of those it finds. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "container/plug.h"
#include "device/rule.h"
#include "device/set.h"
#include "job/job.h"
#include "sys/udev_data.h"

#define UDEV_INSIDE "/run/udev"
#define SCAN_PATIENCE_MS 10000
#define FILE_MAX (1u << 20)

/* A look at all devices may fail: what is plain to see is given to it all the same. */
static void scan_is_overdue(void *owner)
{
	struct container *c = owner;
	c->plug->patience = NULL;
	c->plug->awaits_scan = false;
	c->plug->scan_overdue = true;
	container_launch(c);
}

bool plug_hold(struct container *c)
{
	struct plug *p = c->plug;
	if (!p || !c->set->d.devices || p->scan_overdue || device_set_ready(c->set->d.devices)) {
		return false;
	}
	delay_cancel(p->patience);
	p->awaits_scan = true;
	p->patience = delay_start(c->set->d.loop, SCAN_PATIENCE_MS, scan_is_overdue, c);
	return true;
}

/* --- what it lacks --- */

static bool is_matched(const struct container *c, const struct wanted *w)
{
	struct plugged_list found = {0};
	plug_wish_one(c, w, &found);
	bool any = found.n > 0;
	plugged_deinit(&found);
	return any;
}

static bool is_there(const struct container *c, const struct wanted *w)
{
	return (!w->rule && !waiting_is_absent(w->host)) || is_matched(c, w);
}

const struct wanted *plug_missing(const struct container *c)
{
	for (size_t i = 0; c->plug && i < c->plug->wanted.n; i++) {
		const struct wanted *w = &c->plug->wanted.v[i];
		if (w->required && !is_there(c, w)) {
			return w;
		}
	}
	return NULL;
}

void plug_note_missing(const struct container *c, json_t *paths)
{
	for (size_t i = 0; c->plug && i < c->plug->wanted.n; i++) {
		const struct wanted *w = &c->plug->wanted.v[i];
		if (!w->required && !is_there(c, w)) {
			const char *place = w->rule ? w->rule->as : w->inside;
			json_array_append_new(paths, json_string(place ? place : w->key));
		}
	}
}

/* --- its nodes at the start --- */

/* Which of the host's it is; what cannot be recognised stays as long as the container runs. */
static void add_node(struct container *c, const struct wanted *w, const struct oci_device *o)
{
	struct plugged one = {
		.key = w->key,
		.path = (char *)o->path,
		.node = w->host,
		.type = o->type,
		.major = o->major,
		.minor = o->minor,
		.mode = o->mode,
		.uid = o->uid,
		.gid = o->gid,
	};
	snprintf(one.access, sizeof(one.access), "%s", o->access);
	const struct device *d = plug_recognise(c, w, &one);
	one.node = d ? d->node : one.node;
	one.stays = !d;
	(void)plugged_add(&c->plug->held, &one);
}

/* The device that was there before comes first, whatever it is called now. Else what is there. */
static int add_plain(struct container *c, const struct wanted *w, struct err *e)
{
	struct plugged_list *held = &c->plug->held;
	size_t before = held->n;
	if (*plug_identity(c->plug, w)) {
		plug_wish_one(c, w, held);
	}
	if (held->n == before && !(waiting_is_absent(w->host) && !w->required)) {
		scoped(json) json_t *device = json_pack("[{ss ss ss}]", "PathOnHost", w->host,
			"PathInContainer", w->inside, "CgroupPermissions", w->access);
		scoped(free) struct device_list *list = xnew(struct device_list);
		int r = devices_read(NULL, device, list, e);
		for (size_t i = 0; r == 0 && i < list->n; i++) {
			add_node(c, w, &list->v[i]);
		}
		strv_deinit(&list->paths);
		if (r < 0) {
			return -1;
		}
	}
	plug_wish_one(c, w, held); /* links that are in a directory */
	return 0;
}

static int add_labelled(struct container *c, const struct wanted *w, struct err *e)
{
	size_t before = c->plug->held.n;
	plug_wish_one(c, w, &c->plug->held);
	if (w->required && c->plug->held.n == before) {
		return err_set(e, ERR_SYSTEM,
			"error gathering device information: device \"%.64s\" is not there",
			w->key);
	}
	return 0;
}

/* --- /run/udev --- */

/* What the user has mounted there is his. */
static bool is_free_inside(const struct container *c)
{
	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct mount_point *m = &c->mounts.v[i];
		size_t n = strlen(m->target);
		bool above = strncmp(m->target, UDEV_INSIDE, n) == 0 &&
			     (UDEV_INSIDE[n] == '/' || UDEV_INSIDE[n] == '\0');
		bool inside = text_starts(m->target, UDEV_INSIDE "/");
		if (inside || (above && (m->kind != MOUNT_TMPFS || m->read_only))) {
			return false;
		}
	}
	return true;
}

/* Devices that never go, as /dev/fuse, are none of udev's listeners' business. */
static bool may_change(const struct plug *p)
{
	for (size_t i = 0; i < p->held.n; i++) {
		if (!p->held.v[i].stays) {
			return true;
		}
	}
	for (size_t i = 0; i < p->wanted.n; i++) {
		if (p->wanted.v[i].rule || !p->wanted.v[i].required) {
			return true;
		}
	}
	return false;
}

static void make_udev(struct container *c)
{
	struct plug *p = c->plug;
	scoped(free) char *dir = xasprintf("%s/udev", c->run_dir);
	scoped(strv) struct strv names = STRV_INIT;
	free(TAKE(p->udev_dir));
	if (!c->set->d.devices || !may_change(p) || !is_free_inside(c)) {
		return;
	}
	plug_udev_names(&p->held, &names);
	int r = udev_data_make(dir);
	r = r < 0 ? r : udev_data_copy(dir, &names);
	if (r < 0) {
		log_warning("container", "no_udev_data", "id", c->id, "reason", strerror(-r), NULL);
		return;
	}
	p->udev_dir = TAKE(dir);
}

const char *plug_udev_dir(const struct container *c)
{
	return c->plug ? c->plug->udev_dir : NULL;
}

/* The runtime makes nodes alone. Links follow with the first job. */
static void drop_links(struct plugged_list *l)
{
	for (size_t i = l->n; i-- > 0;) {
		if (plugged_is_link(&l->v[i])) {
			plugged_remove(l, l->v[i].path);
		}
	}
}

int plug_prepare(struct container *c, struct device_list *ret, struct err *e)
{
	struct plug *p = c->plug;
	bool privileged = json_bool(c->host_config, "Privileged");
	if ((!p || privileged) && devices_read(c->host_config, NULL, ret, e) < 0) {
		return -1;
	}
	if (!p) {
		return 0;
	}
	plugged_deinit(&p->held);
	plugged_deinit(&p->refused);
	for (size_t i = 0; i < p->wanted.n; i++) {
		const struct wanted *w = &p->wanted.v[i];
		if ((w->rule ? add_labelled(c, w, e) : add_plain(c, w, e)) < 0) {
			return -1;
		}
	}
	make_udev(c);
	drop_links(&p->held);
	plug_list_rules(c, &p->held, ret);
	plug_put_file(c);
	return 0;
}

/* --- it runs, and it has ended --- */

static json_t *read_file(const struct container *c, const char *name)
{
	struct err ignored;
	scoped(free) char *path = xasprintf("%s/%s", c->run_dir, name);
	scoped(buf) struct buf text = BUF_INIT;
	int r = path_read(AT_FDCWD, path, FILE_MAX, &text);
	return r < 0 ? NULL : json_parse(text.data, text.len, path, &ignored);
}

static bool is_within(const char *path, const char *place)
{
	size_t n = strlen(place);
	return strncmp(path, place, n) == 0 && strchr("/", path[n]);
}

/* Whose --device made this node of linux.devices. */
static const struct wanted *find_asker(const struct plug *p, const char *path)
{
	for (size_t i = 0; i < p->wanted.n; i++) {
		const struct wanted *w = &p->wanted.v[i];
		if (!w->rule && is_within(path, w->inside)) {
			return w;
		}
	}
	return NULL;
}

/* What the runtime was told to make, by a daemon that noted nothing. Each stays until its device is
 * recognised (learn in plug.c). */
static bool restore_config(struct container *c)
{
	size_t i;
	json_t *o;
	scoped(json) json_t *config = read_file(c, "config.json");
	const json_t *list = json_object_get(json_object_get(config, "linux"), "devices");
	json_array_foreach (list, i, o) {
		const struct wanted *w = find_asker(c->plug, json_str(o, "path"));
		if (!w) {
			continue;
		}
		struct plugged one = {
			.key = w->key,
			.path = (char *)json_str(o, "path"),
			.node = w->host,
			.type = *json_str(o, "type"),
			.major = (unsigned)json_i64(o, "major", 0),
			.minor = (unsigned)json_i64(o, "minor", 0),
			.mode = (mode_t)json_i64(o, "fileMode", 0600),
			.uid = (uid_t)json_i64(o, "uid", 0),
			.gid = (gid_t)json_i64(o, "gid", 0),
			.stays = true,
		};
		snprintf(one.access, sizeof(one.access), "%s", w->access);
		(void)plugged_add(&c->plug->held, &one);
	}
	return config != NULL;
}

/* What an earlier daemon noted. Where nothing says what it has, nothing is changed in this run. */
static bool restore(struct container *c)
{
	struct plug *p = c->plug;
	scoped(free) char *udev = xasprintf("%s/udev", c->run_dir);
	scoped(json) json_t *record = read_file(c, "devices.json");
	plugged_deinit(&p->held);
	if (!record) {
		return restore_config(c);
	}
	plugged_restore(record, &p->held);
	if (access(udev, F_OK) == 0) {
		free(p->udev_dir);
		p->udev_dir = TAKE(udev);
	}
	p->unsure = true;
	return json_is_array(record);
}

void plug_started(struct container *c, bool fresh)
{
	if (c->plug) {
		c->plug->is_blind = !fresh && !restore(c);
		plug_look(c);
	}
}

void plug_ended(struct container *c)
{
	struct plug *p = c->plug;
	if (!p) {
		return;
	}
	plug_forget_job(p);
	delay_cancel(p->retry);
	p->retry = NULL;
	plugged_deinit(&p->held);
	plugged_deinit(&p->refused);
	json_array_clear(p->messages);
	free(TAKE(p->udev_dir));
	p->failures = 0;
	p->unsure = p->rules_stale = p->awaits_scan = p->scan_overdue = false;
}
