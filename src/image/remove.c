/* DELETE /images/x and POST /images/prune: names go first, then the image, then what only it
 * needed. moby daemon/images/image_delete.go. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "event/event.h"
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

/* An image that was committed from it is here: its history would hang in the air. */
static bool has_children(const struct image_store *s, const struct image *i)
{
	map_each (s->images, struct image, other) {
		if (strcmp(json_str(other->config, "parent"), i->id) == 0) {
			return true;
		}
	}
	return false;
}

bool image_is_intermediate(const struct image_store *s, const struct image *i)
{
	return i->tags.n + i->digests.n == 0 && (has_children(s, i) || image_is_beside(s, i));
}

/* Who asks for a removal, and what may stand in its way. */
struct removal {
	struct image_store *s;
	bool force, no_prune;
	image_use_fn *in_use;
	void *owner;
	json_t *changes;
};

static const char *use_of(
	const struct removal *r, const struct image *i, char ret_container[static SHORT_ID_LEN + 1])
{
	scoped(strv) struct strv others = STRV_INIT;
	const char *used = r->in_use ? r->in_use(r->owner, i->id, ret_container) : NULL;
	image_index_companions(r->s, i, &others);
	for (size_t k = 0; r->in_use && !used && k < others.n; k++) {
		used = r->in_use(r->owner, others.v[k], ret_container);
	}
	return used;
}

/* Why an image must stay: Docker's words and order (checkImageDeleteConflict). many: whether
 * references stand in the way. */
static int check_conflict(
	const struct removal *r, const struct image *i, bool many, bool *ret_used, struct err *e)
{
	char container[SHORT_ID_LEN + 1] = "";
	const char *state = use_of(r, i, container);
	const char *short_id = i->id + strlen("sha256:");
	*ret_used = true;
	if (has_children(r->s, i)) {
		*ret_used = false;
		return err_set(e, ERR_CONFLICT,
			"conflict: unable to delete %.12s (cannot be forced) - image has dependent "
			"child images",
			short_id);
	}
	if (state && strcmp(state, "running") == 0) {
		return err_set(e, ERR_CONFLICT,
			"conflict: unable to delete %.12s (cannot be forced) - image is being used "
			"by running container %s",
			short_id, container);
	}
	if (!r->force && many) {
		*ret_used = false;
		return err_set(e, ERR_CONFLICT,
			"conflict: unable to delete %.12s (must be forced) - image is referenced in "
			"multiple repositories",
			short_id);
	}
	if (!r->force && state) {
		return err_set(e, ERR_CONFLICT,
			"conflict: unable to delete %.12s (must be forced) - image is being used by "
			"stopped container %s",
			short_id, container);
	}
	return 0;
}

static int delete_one(struct removal *r, struct image *i, int64_t *ret_bytes, struct err *e)
{
	scoped(strv) struct strv chains = STRV_INIT;
	int64_t bytes;
	char id[DIGEST_LEN + 1];
	image_own_chains(r->s, i, &chains, &bytes);
	memcpy(id, i->id, sizeof(id));
	if (image_forget(r->s, i, e) < 0) {
		return -1;
	}
	event_publish(r->s->bus, "image", "delete", id, json_pack("{ss}", "name", id));
	add_change(r->changes, "Deleted", id);
	for (size_t k = 0; k < chains.n; k++) {
		add_change(r->changes, "Deleted", chains.v[k]);
	}
	*ret_bytes += bytes;
	return 0;
}

/* Images of other platforms whose index is gone: those that nothing else needs. */
static int delete_companions(
	struct removal *r, const struct strv *ids, int64_t *ret_bytes, struct err *e)
{
	char container[SHORT_ID_LEN + 1];
	for (size_t k = 0; k < ids->n; k++) {
		struct image *i = map_get(r->s->images, ids->v[k]);
		if (!i || i->tags.n + i->digests.n > 0 || image_is_beside(r->s, i) ||
			has_children(r->s, i) || use_of(r, i, container)) {
			continue;
		}
		if (delete_one(r, i, ret_bytes, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* With what only its indexes lead to. */
static int delete_image(struct removal *r, struct image *i, int64_t *ret_bytes, struct err *e)
{
	scoped(strv) struct strv others = STRV_INIT;
	image_index_companions(r->s, i, &others);
	return delete_one(r, i, ret_bytes, e) < 0 ? -1
						  : delete_companions(r, &others, ret_bytes, e);
}

/* The image goes with all its names, and after it what it was committed from, where that has no
 * name either. quiet: only a tag was to go, and it went; an image that must stay is no error then.
 */
static int remove_with_parents(
	struct removal *r, struct image *i, bool quiet, int64_t *ret_bytes, struct err *e)
{
	while (i) {
		bool used;
		bool named = i->tags.n + i->digests.n > 0;
		if (check_conflict(r, i, named, &used, e) < 0) {
			bool dangling = !named && !has_children(r->s, i);
			return quiet && (!dangling || used) ? 0 : -1;
		}
		struct err ignored;
		scoped(free) char *parent = xstrdup(json_str(i->config, "parent"));
		if (untag_all(r->s, i, r->changes, e) < 0 || delete_image(r, i, ret_bytes, e) < 0) {
			return -1;
		}
		i = r->no_prune || !ref_is_digest(parent) ? NULL
							  : image_find(r->s, parent, &ignored);
		if (i && i->tags.n + i->digests.n > 0) {
			return 0;
		}
		r->force = false;
		quiet = true;
	}
	return 0;
}

/* The last tag of a repository takes the digests of it along: they mean nothing to a user alone. */
static int drop_lone_digests(
	struct removal *r, struct image *i, const struct ref *gone, struct err *e)
{
	scoped(strv) struct strv refs = STRV_INIT;
	scoped(strv) struct strv digests = STRV_INIT;
	char name[REF_TEXT_MAX], other[REF_TEXT_MAX];
	if (*gone->digest) {
		return 0;
	}
	ref_name(gone, name);
	image_refs_of(r->s, i, &refs);
	for (size_t k = 0; k < refs.n; k++) {
		struct ref one;
		struct err ignored;
		if (ref_parse(refs.v[k], &one, &ignored) < 0 ||
			strcmp(ref_name(&one, other), name) != 0) {
			continue;
		}
		if (!*one.digest) {
			return 0;
		}
		strv_add(&digests, refs.v[k]);
	}
	for (size_t k = 0; k < digests.n; k++) {
		if (untag(r->s, i, digests.v[k], r->changes, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int remove_by_name(
	struct removal *r, struct image *i, const char *typed, int64_t *ret_bytes, struct err *e)
{
	struct ref ref;
	scoped(strv) struct strv others = STRV_INIT;
	char canonical[REF_TEXT_MAX], container[SHORT_ID_LEN + 1] = "";
	if (ref_parse(typed, &ref, e) < 0) {
		return -1;
	}
	ref_default_tag(&ref);
	if (*ref.digest) {
		*ref.tag = '\0';
	}
	if (!r->force && is_single_reference(r->s, i) && use_of(r, i, container)) {
		return err_set(e, ERR_CONFLICT,
			"conflict: unable to remove repository reference \"%.200s\" (must force) - "
			"container %s is using its referenced image %.12s",
			typed, container, i->id + strlen("sha256:"));
	}
	image_index_companions(r->s, i, &others);
	if (untag(r->s, i, ref_canonical(&ref, canonical), r->changes, e) < 0 ||
		drop_lone_digests(r, i, &ref, e) < 0) {
		return -1;
	}
	return i->tags.n + i->digests.n > 0 ? delete_companions(r, &others, ret_bytes, e)
					    : remove_with_parents(r, i, true, ret_bytes, e);
}

static int remove_by_id(struct removal *r, struct image *i, int64_t *ret_bytes, struct err *e)
{
	bool used;
	if (is_single_reference(r->s, i) && (check_conflict(r, i, false, &used, e) < 0 ||
						    untag_all(r->s, i, r->changes, e) < 0)) {
		return -1;
	}
	return remove_with_parents(r, i, false, ret_bytes, e);
}

int image_remove(struct image_store *s, const char *name, const struct image_remove_query *q,
	json_t **ret_changes, struct err *e)
{
	bool by_id;
	int64_t bytes = 0;
	struct image *i = image_find_named(s, name, &by_id, e);
	if (!i) {
		return -1;
	}
	scoped(json) json_t *changes = json_array();
	struct removal r = {s, q->force, q->no_prune, q->in_use, q->use_owner, changes};
	int failed =
		by_id ? remove_by_id(&r, i, &bytes, e) : remove_by_name(&r, i, name, &bytes, e);
	image_collect(s);
	if (failed < 0) {
		return -1;
	}
	*ret_changes = TAKE(changes);
	return 0;
}

static bool is_prunable(
	const struct removal *r, const struct image_prune_query *q, const struct image *i)
{
	char container[SHORT_ID_LEN + 1];
	return !image_is_intermediate(r->s, i) && (q->all || i->tags.n == 0) &&
	       (!q->wanted || q->wanted(q->wanted_owner, i)) && !use_of(r, i, container);
}

/* How many went, or -1. */
static int prune_childless(
	struct removal *r, const struct strv *ids, int64_t *ret_bytes, struct err *e)
{
	int n = 0;
	for (size_t k = 0; k < ids->n; k++) {
		struct image *i = map_get(r->s->images, ids->v[k]);
		if (!i || has_children(r->s, i)) {
			continue;
		}
		if (untag_all(r->s, i, r->changes, e) < 0 ||
			remove_with_parents(r, i, false, ret_bytes, e) < 0) {
			return -1;
		}
		n++;
	}
	return n;
}

int image_prune(struct image_store *s, const struct image_prune_query *q, json_t **ret_changes,
	int64_t *ret_bytes, struct err *e)
{
	scoped(strv) struct strv ids = STRV_INIT;
	scoped(json) json_t *changes = json_array();
	struct removal r = {s, false, false, q->in_use, q->use_owner, changes};
	map_each (s->images, struct image, i) {
		if (is_prunable(&r, q, i)) {
			strv_add(&ids, i->id);
		}
	}
	int64_t total = 0;
	int n;
	do { /* one from which others were committed goes after them, or stays with them */
		n = prune_childless(&r, &ids, &total, e);
	} while (n > 0);
	if (n < 0) {
		return -1;
	}
	total += image_discard_partials(s) + image_spare_none(s);
	image_collect(s);
	*ret_changes = TAKE(changes);
	*ret_bytes = total;
	return 0;
}
