/* Layers that are known to be damaged: nothing is started with them, and the next pull, load or
 * build that brings one puts it in the old one's place.
 *
 * A running container goes on with the directory it has mounted: that one is kept in
 * layers/replaced/ until no running container has a layer of that name. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "image/store.h"
#include "store/store.h"

const char *image_layer_damage(const struct image_store *s, const char *diff_id)
{
	const struct image_layer *l = image_layer_find(s, diff_id);
	return l ? l->damage : "it is missing";
}

int image_layer_save(struct image_store *s, const struct image_layer *l, struct err *e)
{
	scoped(json) json_t *doc = json_object();
	json_put(doc, "size", json_integer(l->bytes));
	if (l->pulled_s > 0) {
		json_put(doc, "pulled_s", json_integer(l->pulled_s));
	}
	if (l->damage) {
		json_put_str(doc, "damage", l->damage);
	}
	return store_put(s->store, STORE_LAYERS, l->diff_id, doc, e);
}

void image_layer_note(struct image_store *s, const char *diff_id, const char *damage)
{
	struct err e;
	struct image_layer *l = image_layer_find(s, diff_id);
	if (!l || (!l->damage && !damage) ||
		(l->damage && damage && strcmp(l->damage, damage) == 0)) {
		return;
	}
	if (damage) {
		log_error("image", "layer-damaged", "layer", diff_id, "reason", damage, NULL);
	} else {
		log_info("image", "layer-whole", "layer", diff_id, NULL);
	}
	free(l->damage);
	l->damage = damage ? xstrdup(damage) : NULL;
	if (image_layer_save(s, l, &e) < 0) {
		log_error("image", "damage-not-recorded", "layer", diff_id, "error", e.msg, NULL);
	}
}

int image_check_layers(
	const struct image_store *s, const struct strv *layers, const char *name, struct err *e)
{
	for (size_t k = 0; k < layers->n; k++) {
		const char *damage = image_layer_damage(s, layers->v[k]);
		if (damage) {
			return err_set(e, ERR_SYSTEM,
				"layer %.19s of image %.100s is damaged (%.120s): 'wherry image verify "
				"--repair %.100s' fetches it again",
				layers->v[k], name, damage, name);
		}
	}
	return 0;
}

/* --- directories that were replaced while containers ran on them --- */

void image_set_running(struct image_store *s, image_pin_fn *fn, void *owner)
{
	s->running = fn;
	s->running_owner = owner;
}

static void note_dir(void *arg, const char *diff_id)
{
	char dir[LAYER_DIR_LEN + 1];
	if (ref_is_digest(diff_id)) {
		image_layer_dir(diff_id, dir);
		map_put(arg, dir, arg);
	}
}

void image_keep_replaced(struct image_store *s, const char *from, const char *dir)
{
	char id[ID_LEN + 1];
	id_new(id);
	(void)mkdirat(s->layers_fd, "replaced", 0700); /* it may be there */
	scoped(free) char *to = xasprintf("replaced/%s-%.16s", dir, id);
	if (renameat(s->layers_fd, from, s->layers_fd, to) == 0) {
		s->has_replaced = true;
	} else if (errno != ENOENT) {
		log_warning(
			"image", "replaced-stays", "layer", dir, "reason", strerror(errno), NULL);
	}
}

void image_drop_replaced(struct image_store *s)
{
	if (!s->has_replaced) {
		return;
	}
	scoped(close) int fd = openat(s->layers_fd, "replaced", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped(closedir) DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		return;
	}
	(void)TAKE_FD(fd);
	struct map *used = map_new();
	if (s->running) {
		s->running(s->running_owner, note_dir, used);
	}
	s->has_replaced = false;
	for (struct dirent *entry; (entry = readdir(dir));) {
		scoped(free) char *layer = xstrndup(entry->d_name, LAYER_DIR_LEN);
		scoped(free) char *name = xasprintf("replaced/%s", entry->d_name);
		if (*entry->d_name == '.') {
			continue;
		}
		if (map_get(used, layer)) {
			s->has_replaced = true;
		} else {
			image_discard(s, name, false);
		}
	}
	map_free(used);
	(void)unlinkat(s->layers_fd, "replaced", AT_REMOVEDIR); /* when it is empty */
}
