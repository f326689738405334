#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "image/store.h"
#include "store/store.h"

#define SHORT_ID_LEN 12

/* --- life --- */

static int make_dirs(struct image_store *s, struct err *e)
{
	scoped(free) char *tmp = xasprintf("%s/tmp", s->layers_dir);
	scoped(free) char *empty = xasprintf("%s/empty", s->layers_dir);
	int r = path_mkdirs(tmp, 0700);
	r = r < 0 ? r : path_mkdirs(empty, 0755);
	if (r < 0) {
		return err_sys(e, -r, "cannot make %s", s->layers_dir);
	}
	s->layers_fd = open(s->layers_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->layers_fd < 0) {
		return err_sys(e, errno, "cannot open %s", s->layers_dir);
	}
	return 0;
}

struct image_store *image_store_new(uv_loop_t *l, struct store *s, struct job_pool *jobs,
	struct event_bus *bus, const char *data_root, json_t *take_registry_config, struct err *e)
{
	struct image_store *is = xnew(struct image_store);
	is->loop = l;
	is->store = s;
	is->jobs = jobs;
	is->bus = bus;
	is->registry_config = take_registry_config;
	is->layers_dir = xasprintf("%s/layers", data_root);
	is->layers_fd = -1;
	is->images = map_new();
	is->refs = map_new();
	is->layers = map_new();
	is->claims = map_new();
	list_init(&is->works);
	if (make_dirs(is, e) < 0 || image_records_load(is, e) < 0) {
		image_store_free(is);
		return NULL;
	}
	return is;
}

void image_store_free(struct image_store *s)
{
	if (!s) {
		return;
	}
	image_records_free(s);
	map_free(s->claims);
	if (s->layers_fd >= 0) {
		close(s->layers_fd);
	}
	json_decref(s->registry_config);
	free(s->layers_dir);
	free(s);
}

void image_set_pins(struct image_store *s, image_pin_fn *fn, void *owner)
{
	s->pins = fn;
	s->pins_owner = owner;
}

/* --- look-up --- */

static bool all_hex(const char *text)
{
	for (; *text; text++) {
		if (!strchr("0123456789abcdef", *text)) {
			return false;
		}
	}
	return true;
}

/* By id or the beginning of one. NULL with e->kind ERR_NOT_FOUND or, when several match,
 * ERR_INVALID. */
static struct image *find_by_id(struct image_store *s, const char *name, struct err *e)
{
	const char *hex = text_starts(name, "sha256:") ? name + strlen("sha256:") : name;
	size_t n = strlen(hex);
	struct image *found = NULL;
	if (n > 0 && n <= 64 && all_hex(hex)) {
		map_each (s->images, struct image, i) {
			if (strncmp(i->id + strlen("sha256:"), hex, n) != 0) {
				continue;
			}
			if (found) {
				(void)err_set(e, ERR_INVALID,
					"multiple IDs found with provided prefix: %s", name);
				return NULL;
			}
			found = i;
		}
	}
	if (!found) {
		(void)err_set(e, ERR_NOT_FOUND, "No such image: %.300s", name);
	}
	return found;
}

static struct image *find_by_ref(const struct image_store *s, const struct ref *typed)
{
	struct ref r = *typed;
	char canonical[REF_TEXT_MAX];
	ref_default_tag(&r);
	if (*r.digest) {
		*r.tag = '\0'; /* the digest says it all */
	}
	return map_get(s->refs, ref_canonical(&r, canonical));
}

/* ret_by_id: the name was an id rather than a reference. */
static struct image *find(struct image_store *s, const char *name, bool *ret_by_id, struct err *e)
{
	struct ref r;
	*ret_by_id = true;
	if (text_is_hex(name, 64) || ref_is_digest(name)) {
		return find_by_id(s, name, e);
	}
	if (ref_parse(name, &r, e) < 0) {
		return NULL;
	}
	struct image *i = find_by_ref(s, &r);
	if (i) {
		*ret_by_id = false;
		return i;
	}
	i = find_by_id(s, name, e);
	if (!i && e->kind == ERR_NOT_FOUND) {
		char familiar[REF_TEXT_MAX];
		ref_default_tag(&r);
		(void)err_set(e, ERR_NOT_FOUND, "No such image: %s", ref_familiar(&r, familiar));
	}
	return i;
}

struct image *image_find(struct image_store *s, const char *name, struct err *e)
{
	bool by_id;
	return find(s, name, &by_id, e);
}

struct image *image_next(const struct image_store *s, size_t *pos)
{
	return map_next(s->images, pos, NULL);
}

/* --- removal --- */

static void add_change(json_t *changes, const char *what, const char *name)
{
	json_array_append_new(changes, json_pack("{ss}", what, name));
}

static int untag(struct image_store *s, struct image *i, const char *canonical, json_t *changes,
	struct err *e)
{
	struct ref r;
	char familiar[REF_TEXT_MAX];
	if (ref_parse(canonical, &r, e) < 0 || image_ref_drop(s, canonical, e) < 0) {
		return -1;
	}
	ref_familiar(&r, familiar);
	add_change(changes, "Untagged", familiar);
	image_event(s, "untag", i->id, i, i->id);
	return 0;
}

static int untag_all(struct image_store *s, struct image *i, json_t *changes, struct err *e)
{
	scoped(strv) struct strv refs = STRV_INIT;
	image_refs_of(s, i, &refs);
	for (size_t k = 0; k < refs.n; k++) {
		if (untag(s, i, refs.v[k], changes, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* At most one tag, and everything in one repository: then an id may stand for all references (moby
 * isSingleReference). */
static bool is_single_reference(const struct image_store *s, const struct image *i)
{
	scoped(strv) struct strv refs = STRV_INIT;
	char first[REF_TEXT_MAX] = "";
	image_refs_of(s, i, &refs);
	for (size_t k = 0; k < refs.n; k++) {
		struct ref r;
		struct err ignored;
		char name[REF_TEXT_MAX];
		if (ref_parse(refs.v[k], &r, &ignored) < 0) {
			return false;
		}
		ref_name(&r, name);
		if (k == 0) {
			memcpy(first, name, sizeof(first));
		} else if (strcmp(first, name) != 0) {
			return false;
		}
	}
	return i->tags.n <= 1;
}

/* Why an image must stay: Docker's words (moby daemon/images/image_delete.go). */
static int check_use(
	const struct image *i, bool force, image_use_fn *in_use, void *owner, struct err *e)
{
	char container[SHORT_ID_LEN + 1] = "";
	const char *state = in_use ? in_use(owner, i->id, container) : NULL;
	const char *short_id = i->id + strlen("sha256:");
	if (state && strcmp(state, "running") == 0) {
		return err_set(e, ERR_CONFLICT,
			"conflict: unable to delete %.12s (cannot be forced) - image is being used by running container %s",
			short_id, container);
	}
	if (state && !force) {
		return err_set(e, ERR_CONFLICT,
			"conflict: unable to delete %.12s (must be forced) - image is being used by stopped container %s",
			short_id, container);
	}
	return 0;
}

static int delete_image(
	struct image_store *s, struct image *i, json_t *changes, int64_t *ret_bytes, struct err *e)
{
	scoped(strv) struct strv layers = STRV_INIT;
	int64_t bytes;
	char id[DIGEST_LEN + 1];
	image_own_layers(s, i, &layers, &bytes);
	memcpy(id, i->id, sizeof(id));
	image_event(s, "delete", id, i, id);
	if (image_forget(s, i, e) < 0) {
		return -1;
	}
	add_change(changes, "Deleted", id);
	for (size_t k = 0; k < layers.n; k++) {
		add_change(changes, "Deleted", layers.v[k]);
	}
	*ret_bytes = bytes;
	return 0;
}

/* Digests of a repository whose last tag went mean nothing to a user any more. */
static int drop_lone_digests(struct image_store *s, struct image *i, json_t *changes, struct err *e)
{
	return i->tags.n == 0 ? untag_all(s, i, changes, e) : 0;
}

static int remove_by_tag(struct image_store *s, struct image *i, const char *typed, bool force,
	image_use_fn *in_use, void *owner, json_t *changes, bool *ret_over, struct err *e)
{
	struct ref r;
	char canonical[REF_TEXT_MAX], container[SHORT_ID_LEN + 1] = "";
	if (ref_parse(typed, &r, e) < 0) {
		return -1;
	}
	ref_default_tag(&r);
	if (*r.digest) {
		*r.tag = '\0';
	}
	if (!force && is_single_reference(s, i) && in_use && in_use(owner, i->id, container)) {
		return err_set(e, ERR_CONFLICT,
			"conflict: unable to remove repository reference \"%.200s\" (must force) - container %s is using "
			"its referenced image %.12s",
			typed, container, i->id + strlen("sha256:"));
	}
	if (untag(s, i, ref_canonical(&r, canonical), changes, e) < 0 ||
		drop_lone_digests(s, i, changes, e) < 0) {
		return -1;
	}
	*ret_over = i->tags.n + i->digests.n > 0;
	return 0;
}

static int remove_by_id(struct image_store *s, struct image *i, bool force, image_use_fn *in_use,
	void *owner, json_t *changes, struct err *e)
{
	if (check_use(i, force, in_use, owner, e) < 0) {
		return -1;
	}
	if (!force && !is_single_reference(s, i)) {
		return err_set(e, ERR_CONFLICT,
			"conflict: unable to delete %.12s (must be forced) - image is referenced in multiple repositories",
			i->id + strlen("sha256:"));
	}
	return untag_all(s, i, changes, e);
}

int image_remove(struct image_store *s, const char *name, bool force, image_use_fn *in_use,
	void *owner, json_t **ret_changes, struct err *e)
{
	bool by_id, over = false;
	int64_t bytes;
	struct image *i = find(s, name, &by_id, e);
	if (!i) {
		return -1;
	}
	scoped(json) json_t *changes = json_array();
	int r = by_id ? remove_by_id(s, i, force, in_use, owner, changes, e)
		      : remove_by_tag(s, i, name, force, in_use, owner, changes, &over, e);
	if (r < 0) {
		return -1;
	}
	struct err why;
	/* after a tag went, an image in use stays without a name, as in Docker */
	bool stays = over || check_use(i, force, in_use, owner, &why) < 0;
	if (!stays && delete_image(s, i, changes, &bytes, e) < 0) {
		return -1;
	}
	if (!stays) {
		image_collect(s);
	}
	*ret_changes = TAKE(changes);
	return 0;
}

static bool is_prunable(const struct image_prune_query *q, const struct image *i)
{
	char container[SHORT_ID_LEN + 1];
	return (q->all || i->tags.n == 0) && (!q->wanted || q->wanted(q->wanted_owner, i)) &&
	       !(q->in_use && q->in_use(q->use_owner, i->id, container));
}

int image_prune(struct image_store *s, const struct image_prune_query *q, json_t **ret_changes,
	int64_t *ret_bytes, struct err *e)
{
	scoped(strv) struct strv ids = STRV_INIT;
	map_each (s->images, struct image, i) {
		if (is_prunable(q, i)) {
			strv_add(&ids, i->id);
		}
	}
	scoped(json) json_t *changes = json_array();
	int64_t total = 0;
	for (size_t k = 0; k < ids.n; k++) {
		struct image *i = map_get(s->images, ids.v[k]);
		int64_t bytes = 0;
		if (untag_all(s, i, changes, e) < 0 || delete_image(s, i, changes, &bytes, e) < 0) {
			return -1;
		}
		total += bytes;
	}
	image_collect(s);
	*ret_changes = TAKE(changes);
	*ret_bytes = total;
	return 0;
}
