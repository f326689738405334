/* Layers that nobody needs any more. A directory is first renamed into layers/tmp, which is emptied
 * at every start, and then deleted by a worker: a crash in between leaves rubbish that the next
 * start removes, never half a layer.
 *
 * A power cut may lose the last commits of the store, but not a rename that was made after them.
 * So the name in tmp tells which layer it was (gone-DIR-X), the worker deletes nothing before the
 * store's journal is on the disk, and a start that finds the layer still recorded takes it back. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "image/blobs.h"
#include "image/store.h"
#include "job/remove.h"
#include "store/store.h"
#include "tree/recipe.h"

#define SPARED_S (24 * 60 * 60)

static void remove_trees(struct image_store *s, json_t *take_names)
{
	scoped(free) char *dir = xasprintf("%s/tmp", s->layers_dir);
	job_remove_trees(s->jobs, "image", dir, take_names, NULL, NULL);
}

/* layers/FROM goes to layers/tmp/gone-NAME-X, and that name joins names. */
static void move_away(struct image_store *s, const char *from, const char *name, json_t *names)
{
	char id[ID_LEN + 1];
	id_new(id);
	scoped(free) char *gone = xasprintf("gone-%s-%.16s", name, id);
	scoped(free) char *to = xasprintf("tmp/%s", gone);
	if (renameat(s->layers_fd, from, s->layers_fd, to) == 0) {
		json_array_append_new(names, json_string(gone));
	}
}

void image_discard(struct image_store *s, const char *name, bool is_tmp)
{
	json_t *names = json_array();
	scoped(free) char *from = xasprintf("%s%s", is_tmp ? "tmp/" : "", name);
	scoped(free) char *recipe = xasprintf("%s" RECIPE_SUFFIX, from);
	move_away(s, from, "rubbish", names);
	move_away(s, recipe, "rubbish", names);
	remove_trees(s, names);
}

/* gone names below tmp, of layers: they are kept until the store says durably that they go. */
static void remove_layers(struct image_store *s, json_t *take_gone)
{
	scoped(free) char *dir = xasprintf("%s/tmp", s->layers_dir);
	scoped(free) char *journal = store_journal(s->store);
	if (*journal) {
		job_remove_trees_after(s->jobs, "image", journal, dir, take_gone, NULL, NULL);
	} else {
		job_remove_trees(s->jobs, "image", dir, take_gone, NULL, NULL);
	}
}

void image_discard_all_tmp(struct image_store *s)
{
	scoped(close) int fd = openat(s->layers_fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped(closedir) DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		return;
	}
	(void)TAKE_FD(fd);
	json_t *names = json_array();
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			json_array_append_new(names, json_string(entry->d_name));
		}
	}
	remove_trees(s, names);
}

int64_t image_partial_bytes(const struct image_store *s)
{
	scoped(close) int fd =
		openat(s->layers_fd, IMAGE_PARTIAL_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped(closedir) DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		return 0;
	}
	(void)TAKE_FD(fd);
	int64_t bytes = 0;
	struct dirent *entry;
	while ((entry = readdir(dir))) { /* a few: the worker bounds them */
		struct stat st;
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode)) {
			bytes += st.st_size;
		}
	}
	return bytes;
}

int64_t image_discard_partials(struct image_store *s)
{
	int64_t bytes = image_partial_bytes(s);
	image_discard(s, IMAGE_PARTIAL_DIR, false);
	return bytes;
}

static bool take_back(struct image_store *s, const char *name)
{
	scoped(close) int fd = openat(s->layers_fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped(closedir) DIR *tmp = fd >= 0 ? fdopendir(fd) : NULL;
	if (!tmp) {
		return false;
	}
	(void)TAKE_FD(fd);
	scoped(free) char *prefix = xasprintf("gone-%s-", name);
	struct dirent *entry;
	while ((entry = readdir(tmp)) && !text_starts(entry->d_name, prefix)) {
	}
	return entry && renameat(dirfd(tmp), entry->d_name, s->layers_fd, name) == 0;
}

bool image_take_back(struct image_store *s, const char *dir)
{
	scoped(free) char *recipe = xasprintf("%s" RECIPE_SUFFIX, dir);
	take_back(s, recipe);
	if (!take_back(s, dir)) {
		return false;
	}
	log_info("image", "layer-taken-back", "layer", dir, NULL);
	return true;
}

/* --- who needs what --- */

static void pin(void *arg, const char *diff_id)
{
	map_put(arg, diff_id, arg);
}

/* Diff ids that something other than skip names; the caller frees the map. */
static struct map *needed_layers(struct image_store *s, const struct image *skip)
{
	struct map *needed = map_new();
	map_each (s->images, struct image, i) {
		for (size_t k = 0; i != skip && k < i->layers.n; k++) {
			pin(needed, i->layers.v[k]);
		}
	}
	if (s->pins) {
		s->pins(s->pins_owner, pin, needed);
	}
	return needed;
}

/* How many of i's lowest layers another image has in the same order. */
static size_t shared_depth(const struct image_store *s, const struct image *i)
{
	size_t deepest = 0;
	map_each (s->images, struct image, other) {
		size_t n = 0;
		while (other != i && n < i->layers.n && n < other->layers.n &&
			strcmp(i->layers.v[n], other->layers.v[n]) == 0) {
			n++;
		}
		deepest = n > deepest ? n : deepest;
	}
	return deepest;
}

/* ChainID(n) is the digest of "ChainID(n - 1) DiffID(n)". */
static void chain_ids(const struct image *i, struct strv *ret)
{
	char chain[DIGEST_LEN + 1] = "";
	for (size_t k = 0; k < i->layers.n; k++) {
		if (k == 0) {
			snprintf(chain, sizeof(chain), "%s", i->layers.v[0]);
		} else {
			scoped(free) char *both = xasprintf("%s %s", chain, i->layers.v[k]);
			sha256_digest(both, strlen(both), chain);
		}
		strv_add(ret, chain);
	}
}

static int64_t own_bytes(struct image_store *s, const struct image *i, const struct map *needed)
{
	scoped(strv) struct strv counted = STRV_INIT;
	int64_t total = 0;
	for (size_t k = 0; k < i->layers.n; k++) {
		const char *diff_id = i->layers.v[k];
		int64_t bytes = 0;
		if (!map_get(needed, diff_id) && !strv_has(&counted, diff_id) &&
			image_has_layer(s, diff_id, &bytes)) {
			strv_add(&counted, diff_id);
			total += bytes;
		}
	}
	return total;
}

void image_own_chains(
	struct image_store *s, const struct image *i, struct strv *ret, int64_t *ret_bytes)
{
	scoped(strv) struct strv chains = STRV_INIT;
	struct map *pinned = map_new();
	struct map *needed = needed_layers(s, i);
	size_t shared = shared_depth(s, i);
	chain_ids(i, &chains);
	if (s->pins) {
		s->pins(s->pins_owner, pin, pinned);
	}
	for (size_t k = chains.n; k > shared && !map_get(pinned, i->layers.v[k - 1]); k--) {
		strv_add(ret, chains.v[k - 1]);
	}
	*ret_bytes = own_bytes(s, i, needed);
	map_free(needed);
	map_free(pinned);
}

/* --- layers of pulls that were interrupted --- */

static struct image_layer *layer_of(struct image_store *s, const char *diff_id)
{
	char dir[LAYER_DIR_LEN + 1];
	image_layer_dir(diff_id, dir);
	return map_get(s->layers, dir);
}

void image_spare_not(struct image_store *s, const char *diff_id)
{
	struct image_layer *l = layer_of(s, diff_id);
	if (l) {
		l->pulled_s = 0;
	}
}

void image_layers_named(struct image_store *s, const struct image *i)
{
	for (size_t k = 0; k < i->layers.n; k++) {
		image_spare_not(s, i->layers.v[k]);
	}
}

int64_t image_spare_none(struct image_store *s)
{
	int64_t bytes = 0;
	map_each (s->layers, struct image_layer, l) {
		bytes += l->pulled_s > 0 ? l->bytes : 0;
		l->pulled_s = 0;
	}
	return bytes;
}

static bool is_spared(const struct image_layer *l, int64_t now_s)
{
	return l->pulled_s > 0 && l->pulled_s <= now_s && now_s - l->pulled_s < SPARED_S;
}

void image_collect(struct image_store *s)
{
	struct map *needed = needed_layers(s, NULL);
	scoped(strv) struct strv unneeded = STRV_INIT;
	int64_t now_s = clock_real_ns() / 1000000000;
	s->collect_wanted = false;
	map_each (s->layers, struct image_layer, l) {
		if (map_get(needed, l->diff_id) || (!l->damage && is_spared(l, now_s))) {
			continue;
		}
		if (image_is_held(s, l->diff_id)) {
			s->collect_wanted = true;
		} else {
			strv_add(&unneeded, l->diff_id);
		}
	}
	map_free(needed);
	json_t *gone = json_array();
	for (size_t k = 0; k < unneeded.n; k++) {
		struct err e;
		char dir[LAYER_DIR_LEN + 1];
		image_layer_dir(unneeded.v[k], dir);
		if (store_delete(s->store, STORE_LAYERS, unneeded.v[k], &e) < 0 ||
			image_blobs_drop(s, unneeded.v[k], &e) < 0) {
			log_warning("image", "layer-stays", "layer", unneeded.v[k], "error", e.msg,
				NULL);
			continue;
		}
		image_layer_free(map_remove(s->layers, dir));
		scoped(free) char *recipe = xasprintf("%s" RECIPE_SUFFIX, dir);
		move_away(s, dir, dir, gone);
		move_away(s, recipe, recipe, gone);
	}
	remove_layers(s, gone);
	image_drop_replaced(s);
}
