/* Job "storage": {"root", "places": [{"key", "rule", "frozen"}]} makes what is mounted for
 * containers as it has to be now, whatever it was: mounts of disks that are gone and of places that
 * nobody needs are taken away, disks that are mounted come to the places that want them. It gives
 *   {"mount": [{DISK, "sign", "sysfs", "devtype", "read_only", "fsck", "mounted"}] "signs": [...]
 * of all disks that somebody wants "places": {KEY: {"pending", "disks":
 * [{DISK, "name", "read_only"}]}}} with DISK as "id", "node", "label", "uuid", "fstype",
 * "comes_and_goes". mount is for job storage-disk. An attempt has a sign; the daemon names in
 * "tried" those that have ended, well or not, and while one that a place waits for has not, that is
 * pending. frozen: a shim is taking hold of it just now (container/storage.c); nothing comes to it,
 * but what is gone goes.
 *
 * Invariants
 * 1. Nothing is remembered but in the kernel's mounts: a worker that was killed, and a daemon that
 * was, leave what the next run puts right.
 * 2. Here nothing waits for a disk but blkid (storage_disks.c): file systems are mounted by
 * storage-disk, one process for each, and let go lazily.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strv.h"
#include "base/text.h"
#include "sys/mountinfo.h"
#include "worker/jobs.h"
#include "worker/storage.h"

#define MOUNTINFO_BYTES_MAX (16u << 20)
#define MANY_MAX 64 /* at one place of any */

/* Something that is mounted at a place. */
struct spot {
	char *key, *name; /* name "": the place itself */
	char *dev;
	bool read_only;
};

struct place {
	const char *key; /* borrowed */
	struct storage_rule *rule;
	bool frozen;
};

struct storage {
	char *root;
	bool there; /* the tmpfs is mounted */
	struct storage_disks disks;
	struct spot *spots;
	size_t n_spots;
	struct place *places;
	size_t n_places;
	struct strv stale; /* ids of mounted disks that are gone */
	const json_t *tried;
};

static void storage_deinit(struct storage *s)
{
	for (size_t i = 0; i < s->n_spots; i++) {
		free(s->spots[i].key);
		free(s->spots[i].name);
		free(s->spots[i].dev);
	}
	for (size_t i = 0; i < s->n_places; i++) {
		storage_rule_free(s->places[i].rule);
	}
	free(s->spots);
	free(s->places);
	free(s->root);
	strv_deinit(&s->stale);
	storage_disks_deinit(&s->disks);
}

/* --- what is so --- */

static struct storage_disk *disk_of_id(struct storage *s, const char *id)
{
	for (size_t i = 0; i < s->disks.n; i++) {
		if (strcmp(s->disks.v[i].id, id) == 0) {
			return &s->disks.v[i];
		}
	}
	return NULL;
}

static bool is_read_only(const struct mountinfo *m)
{
	return strcmp(m->flags, "ro") == 0 || text_starts(m->flags, "ro,");
}

static void note_place(struct storage *s, const char *below, const struct mountinfo *m)
{
	size_t n = strcspn(below, "/");
	s->spots = xrealloc(s->spots, s->n_spots + 1, sizeof(*s->spots));
	s->spots[s->n_spots++] = (struct spot){xstrndup(below, n),
		xstrdup(below[n] ? below + n + 1 : ""), xstrdup(m->dev), is_read_only(m)};
}

/* What the machine has mounted for itself is not for whoever takes any, unless that is a place for
 * what people plug in. */
static void note_other(struct storage *s, const struct mountinfo *m)
{
	if (text_starts(m->place, "/media/") || text_starts(m->place, "/run/media/")) {
		return;
	}
	for (size_t i = 0; i < s->disks.n; i++) {
		struct storage_disk *k = &s->disks.v[i];
		if ((k->d->major == m->major && k->d->minor == m->minor) ||
			strcmp(k->d->node, m->source) == 0) {
			k->comes_and_goes = false;
		}
	}
}

static void note_mount(struct storage *s, const struct mountinfo *m)
{
	size_t n = strlen(s->root);
	if (strncmp(m->place, s->root, n) != 0) {
		note_other(s, m);
		return;
	}
	const char *below = m->place + n;
	if (!*below) {
		s->there = true;
	} else if (text_starts(below, "/disk/")) {
		struct storage_disk *k = disk_of_id(s, below + 6);
		if (k) {
			free(k->mounted);
			k->mounted = xstrdup(m->dev);
			k->mounted_read_only = is_read_only(m);
		} else {
			strv_add(&s->stale, below + 6);
		}
	} else if (text_starts(below, "/place/")) {
		note_place(s, below + 7, m);
	}
}

static int read_mounts(struct storage *s, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	int r = path_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_BYTES_MAX, &text);
	if (r < 0) {
		return err_sys(e, -r, "cannot read /proc/self/mountinfo");
	}
	scoped(free) char *copy = xstrdup(buf_str(&text));
	struct mountinfo m;
	for (char *p = copy; mountinfo_next(&p, &m);) {
		note_mount(s, &m);
	}
	return 0;
}

static int read_places(struct storage *s, const json_t *list, struct err *e)
{
	size_t i;
	json_t *o;
	json_array_foreach (list, i, o) {
		scoped(free) char *text = json_text(json_object_get(o, "rule"));
		struct storage_rule *rule = storage_rule_parse("place", text, e);
		const char *key = json_str(o, "key");
		if (!rule) {
			return -1;
		}
		s->places = xrealloc(s->places, s->n_places + 1, sizeof(*s->places));
		s->places[s->n_places++] = (struct place){key, rule, json_bool(o, "frozen")};
		if (!path_is_component(key)) {
			return err_set(e, ERR_INVALID, "'%.80s' is no name of a place", key);
		}
	}
	return 0;
}

static const struct place *place_of(const struct storage *s, const char *key)
{
	for (size_t i = 0; i < s->n_places; i++) {
		if (strcmp(s->places[i].key, key) == 0) {
			return &s->places[i];
		}
	}
	return NULL;
}

/* The disk whose file system that is, by its number in mountinfo. */
static struct storage_disk *disk_of_dev(struct storage *s, const char *dev)
{
	for (size_t i = 0; i < s->disks.n; i++) {
		struct storage_disk *k = &s->disks.v[i];
		if (k->mounted && strcmp(k->mounted, dev) == 0) {
			return k;
		}
	}
	return NULL;
}

static bool matches(const struct place *p, const struct storage_disk *k)
{
	return storage_rule_matches(
		p->rule, k->d->label, k->d->uuid, k->d->fstype, k->comes_and_goes);
}

/* --- what must go --- */

static void drop_spot(struct storage *s, struct spot *t)
{
	scoped(free) char *path = storage_path(s->root, "place", t->key, t->name);
	storage_let_go(path);
	if (*t->name) {
		rmdir(path);
	}
	free(t->dev);
	t->dev = NULL;
}

/* What is where it no longer belongs: its disk is gone, or the place is, or is not for it. */
static void drop_spots(struct storage *s)
{
	for (size_t i = 0; i < s->n_spots; i++) {
		struct spot *t = &s->spots[i];
		const struct place *p = place_of(s, t->key);
		const struct storage_disk *k = disk_of_dev(s, t->dev);
		bool belongs = p && k && matches(p, k) && p->rule->any == (*t->name != '\0');
		/* made when the disk was read-only, which a bind stays */
		bool outdated = belongs && !p->frozen && t->read_only && !p->rule->read_only &&
				!k->mounted_read_only;
		if (!belongs || outdated) {
			drop_spot(s, t);
		}
	}
}

static void drop_places(struct storage *s)
{
	scoped(strv) struct strv keys = STRV_INIT;
	scoped(free) char *path = xasprintf("%s/place", s->root);
	scoped(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || path_list(fd, &keys) < 0) {
		return;
	}
	for (size_t i = 0; i < keys.n; i++) {
		if (!place_of(s, keys.v[i])) {
			path_remove_tree(fd, keys.v[i]);
		}
	}
}

static void drop_disks(struct storage *s)
{
	for (size_t i = 0; i < s->stale.n; i++) {
		scoped(free) char *path = storage_path(s->root, "disk", s->stale.v[i], "");
		storage_let_go(path);
		rmdir(path);
	}
	for (size_t i = 0; i < s->disks.n; i++) {
		struct storage_disk *k = &s->disks.v[i];
		if (k->mounted && !k->wanted) {
			scoped(free) char *path = storage_path(s->root, "disk", k->id, "");
			storage_let_go(path);
			rmdir(path);
		}
	}
}

/* --- what must come --- */

static void want(struct storage_disk *k, const struct storage_rule *r)
{
	k->wanted = true;
	k->wanted_writable = k->wanted_writable || !r->read_only;
	k->fsck = r->fsck > k->fsck ? r->fsck : k->fsck;
}

static const struct spot *spot_with(
	const struct storage *s, const char *key, const struct storage_disk *k)
{
	for (size_t i = 0; i < s->n_spots; i++) {
		const struct spot *t = &s->spots[i];
		if (t->dev && strcmp(t->key, key) == 0 &&
			(!k || (k->mounted && strcmp(t->dev, k->mounted) == 0))) {
			return t;
		}
	}
	return NULL;
}

/* Of several that one place could have the one that is there already, else the first that is
 * mounted, else the first. */
static struct storage_disk *choose(struct storage *s, const struct place *p)
{
	struct storage_disk *found = NULL;
	for (size_t i = 0; i < s->disks.n; i++) {
		struct storage_disk *k = &s->disks.v[i];
		if (!matches(p, k)) {
			continue;
		}
		if (spot_with(s, p->key, k)) {
			return k;
		}
		if (!found || (!found->mounted && k->mounted)) {
			found = k;
		}
	}
	return found;
}

static void find_wanted(struct storage *s)
{
	for (size_t i = 0; i < s->n_places; i++) {
		const struct place *p = &s->places[i];
		for (size_t j = 0; p->rule->any && j < s->disks.n; j++) {
			if (matches(p, &s->disks.v[j])) {
				want(&s->disks.v[j], p->rule);
			}
		}
		struct storage_disk *one = p->rule->any ? NULL : choose(s, p);
		if (one) {
			want(one, p->rule);
		}
	}
}

/* What another attempt of the same kind would be. The caller's. */
static char *sign_of(const struct storage_disk *k)
{
	return xasprintf("%s %s %s %s %d %d", k->id, k->d->fstype, k->d->uuid, k->d->label,
		k->wanted_writable, (int)k->fsck);
}

/* storage-disk has something to do with it first. */
static bool is_pending(const struct storage *s, const struct storage_disk *k)
{
	if (!k->wanted || (k->mounted && (!k->mounted_read_only || !k->wanted_writable))) {
		return false;
	}
	scoped(free) char *sign = sign_of(k);
	size_t i;
	json_t *tried;
	json_array_foreach (s->tried, i, tried) {
		if (strcmp(json_string_value(tried), sign) == 0) {
			return false;
		}
	}
	return true;
}

struct name_check {
	const struct storage *s;
	const char *key;
};

static bool is_taken(void *arg, const char *name)
{
	const struct name_check *c = arg;
	scoped(free) char *path = storage_path(c->s->root, "place", c->key, name);
	return access(path, F_OK) == 0;
}

static void add_to(struct storage *s, const struct place *p, struct storage_disk *k)
{
	char name[STORAGE_NAME_MAX] = "";
	if (p->rule->any) {
		struct name_check check = {s, p->key};
		storage_dir_name(k->d->label, k->d->uuid, strrchr(k->d->node, '/') + 1, is_taken,
			&check, name);
	}
	scoped(free) char *path = storage_path(s->root, "place", p->key, name);
	if (*name && mkdir(path, 0700) < 0) {
		return; /* both of its names are taken: it has to wait for its turn */
	}
	int r = storage_bind(s->root, k->id, path, p->rule->read_only);
	if (r < 0) {
		log_warning("storage", "not_bound", "path", path, "reason", strerror(-r), NULL);
		if (*name) {
			rmdir(path);
		}
		return;
	}
	s->spots = xrealloc(s->spots, s->n_spots + 1, sizeof(*s->spots));
	s->spots[s->n_spots++] = (struct spot){xstrdup(p->key), xstrdup(name), xstrdup(k->mounted),
		p->rule->read_only || k->mounted_read_only};
}

static size_t count_spots(const struct storage *s, const char *key)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n_spots; i++) {
		n += s->spots[i].dev && strcmp(s->spots[i].key, key) == 0;
	}
	return n;
}

static void fill(struct storage *s, const struct place *p)
{
	size_t max = p->rule->any ? MANY_MAX : 1;
	for (size_t i = 0; i < s->disks.n && !p->frozen; i++) {
		struct storage_disk *k = &s->disks.v[i];
		bool ready = k->mounted && (p->rule->read_only || !is_pending(s, k));
		if (ready && k->wanted && matches(p, k) && !spot_with(s, p->key, k) &&
			count_spots(s, p->key) < max) {
			add_to(s, p, k);
		}
	}
}

/* --- what is told --- */

static json_t *told_disk(const struct storage_disk *k)
{
	return json_pack("{ss ss ss ss ss sb}", "id", k->id, "node", k->d->node, "label",
		k->d->label, "uuid", k->d->uuid, "fstype", k->d->fstype, "comes_and_goes",
		k->comes_and_goes);
}

static json_t *told_mounts(const struct storage *s)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->disks.n; i++) {
		const struct storage_disk *k = &s->disks.v[i];
		scoped(free) char *path = storage_path(s->root, "disk", k->id, "");
		if (!is_pending(s, k) ||
			(!k->mounted && mkdir(path, 0700) < 0 && errno != EEXIST)) {
			continue;
		}
		json_t *o = told_disk(k);
		scoped(free) char *sign = sign_of(k);
		json_put_str(o, "sysfs", k->d->sysfs);
		json_put_str(o, "devtype", k->d->devtype);
		json_put(o, "mounted", json_boolean(k->mounted != NULL));
		json_put(o, "read_only", json_boolean(!k->wanted_writable));
		json_put_str(o, "fsck", storage_fsck_word(k->fsck));
		json_put_str(o, "sign", sign);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *told_signs(const struct storage *s)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->disks.n; i++) {
		if (s->disks.v[i].wanted) {
			scoped(free) char *sign = sign_of(&s->disks.v[i]);
			json_array_append_new(list, json_string(sign));
		}
	}
	return list;
}

static json_t *told_place(struct storage *s, const struct place *p)
{
	json_t *list = json_array();
	bool pending = false;
	for (size_t i = 0; i < s->n_spots; i++) {
		const struct spot *t = &s->spots[i];
		const struct storage_disk *k = t->dev ? disk_of_dev(s, t->dev) : NULL;
		if (!k || strcmp(t->key, p->key) != 0) {
			continue;
		}
		json_t *o = told_disk(k);
		json_put_str(o, "name", t->name);
		json_put(o, "read_only", json_boolean(t->read_only));
		json_array_append_new(list, o);
	}
	for (size_t i = 0; i < s->disks.n; i++) {
		pending = pending || (matches(p, &s->disks.v[i]) && is_pending(s, &s->disks.v[i]));
	}
	return json_pack("{sb so}", "pending", pending, "disks", list);
}

static json_t *told_places(struct storage *s)
{
	json_t *all = json_object();
	for (size_t i = 0; i < s->n_places; i++) {
		json_object_set_new(all, s->places[i].key, told_place(s, &s->places[i]));
	}
	return all;
}

/* --- all of it --- */

static void make_places(struct storage *s)
{
	for (size_t i = 0; i < s->n_places; i++) {
		scoped(free) char *path = storage_path(s->root, "place", s->places[i].key, "");
		mkdir(path, 0755); /* there already: fine */
	}
}

static json_t *run(struct storage *s, struct err *e)
{
	if (storage_make_root(s->root, s->there, e) < 0 ||
		storage_set_writable(s->root, true) < 0) {
		return NULL;
	}
	drop_spots(s);
	drop_places(s);
	make_places(s);
	find_wanted(s);
	drop_disks(s);
	for (size_t i = 0; i < s->n_places; i++) {
		fill(s, &s->places[i]);
	}
	json_t *mounts = told_mounts(s);
	if (storage_set_writable(s->root, false) < 0) {
		log_warning("storage", "root_left_writable", "reason", strerror(errno), NULL);
	}
	return json_pack(
		"{so so so}", "mount", mounts, "signs", told_signs(s), "places", told_places(s));
}

json_t *worker_storage(struct rpc *r, const json_t *request, struct err *e)
{
	struct storage s = {.root = storage_real_root(json_str(request, "root")),
		.tried = json_object_get(request, "tried")};
	json_t *result = NULL;
	if (read_places(&s, json_object_get(request, "places"), e) == 0 &&
		(s.n_places == 0 || storage_disks_read(&s.disks, e) == 0) &&
		read_mounts(&s, e) == 0) {
		if (s.n_places > 0) {
			result = run(&s, e);
		} else {
			if (s.there) {
				(void)storage_set_writable(s.root, true);
				drop_spots(&s);
				drop_disks(&s);
				storage_drop_root(s.root);
			}
			result = json_pack("{s[] s[] s{}}", "mount", "signs", "places");
		}
	}
	storage_deinit(&s);
	return result;
}
