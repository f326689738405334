/* DELETE /images/x and POST /images/prune: names go first, then the image, then what only it
 * needed. moby daemon/images/image_delete.go. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "image/store.h"

#define SHORT_ID_LEN 12

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
	struct image *i = image_find_named(s, name, &by_id, e);
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
