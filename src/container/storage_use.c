/* What a container asks for by labels wherry.storage.NAME, and the mounts that its configuration
 * gets for it. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "container/mount_rules.h"
#include "container/storage.h"

void storage_free(struct storage *s)
{
	if (!s) {
		return;
	}
	for (size_t i = 0; i < s->n; i++) {
		storage_rule_free(s->uses[i].rule);
		json_decref(s->uses[i].disks);
		free(s->uses[i].key);
	}
	delay_cancel(s->patience);
	free(s->uses);
	free(s);
}

/* A volume that only the image asked for there steps back. */
static int check_places(const struct container *c, const struct storage *s, struct err *e)
{
	const json_t *of_image = json_object_get(c->config, "Volumes");
	for (size_t i = 0; i < s->n; i++) {
		const char *at = s->uses[i].rule->at;
		const struct mount_point *m = mounts_find(&c->mounts, at);
		if (m && !(m->kind == MOUNT_VOLUME && json_object_get(of_image, at))) {
			return err_set(e, ERR_INVALID, "Duplicate mount point: %.300s", at);
		}
	}
	return 0;
}

int storage_init(struct container *c, struct err *e)
{
	struct storage_rule **rules;
	size_t n;
	scoped(json) json_t *labels = container_own_labels(c, STORAGE_LABEL);
	if (storage_rules_read(labels, &rules, &n, e) < 0) {
		return -1;
	}
	if (n == 0) {
		return 0;
	}
	struct storage *s = xnew(struct storage);
	s->uses = xnew_array(struct storage_use, n);
	s->n = n;
	for (size_t i = 0; i < n; i++) {
		s->uses[i].rule = rules[i];
		s->uses[i].key = xasprintf("%.32s-%zu", c->id, i);
	}
	free(rules);
	c->storage = s;
	return check_places(c, s, e);
}

/* Also one that waits: what it waits for is looked for and mounted. */
bool storage_is_wanted(const struct container *c)
{
	bool waits = c->state == CONTAINER_RESTARTING && c->waits_for;
	return c->storage && (container_is_running(c) || c->state == CONTAINER_STARTING || waits);
}

char *storage_root(const struct container_set *s)
{
	return xasprintf("%s/storage", s->d.exec_root);
}

char *storage_place(const struct container *c, const struct storage_use *u)
{
	return xasprintf("%s/storage/place/%s", c->set->d.exec_root, u->key);
}

void storage_mounts(const struct container *c, storage_mount_fn *add, void *arg)
{
	scoped(free) char *root = storage_root(c->set);
	for (size_t i = 0; c->storage && i < c->storage->n; i++) {
		const struct storage_use *u = &c->storage->uses[i];
		const json_t *disk = json_array_get(u->disks, 0);
		add(arg, storage_place(c, u), u->rule->at, "rbind,rslave,ro,nosuid,nodev,noexec");
		if (disk && !u->rule->any) {
			add(arg, xasprintf("%s/disk/%s", root, json_str(disk, "id")), u->rule->at,
				json_bool(disk, "read_only") ? "bind,slave,nosuid,nodev,ro"
							     : "bind,slave,nosuid,nodev");
		}
	}
}

/* The place is mounted in the container without what is mounted on it: that could not be unmounted
 * from here, as what comes to the place by itself, or is mounted over it in the container, can. */
void storage_shim_args(const struct container *c, struct strv *args)
{
	for (size_t i = 0; c->storage && i < c->storage->n; i++) {
		if (!c->storage->uses[i].rule->any) {
			scoped(free) char *place = storage_place(c, &c->storage->uses[i]);
			strv_addf(args, "--let-go=%s", place);
		}
	}
}
