/* Layers that nobody needs any more. A directory is first renamed into layers/tmp, which is emptied
 * at every start, and then deleted by a worker: a crash in between leaves rubbish that the next
 * start removes, never half a layer. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "image/store.h"
#include "job/remove.h"
#include "store/store.h"

static void remove_trees(struct image_store *s, json_t *take_names)
{
	scoped(free) char *dir = xasprintf("%s/tmp", s->layers_dir);
	job_remove_trees(s->jobs, "image", dir, take_names, NULL, NULL);
}

void image_discard(struct image_store *s, const char *name, bool is_tmp)
{
	char id[ID_LEN + 1];
	id_new(id);
	scoped(free) char *from = xasprintf("%s%s", is_tmp ? "tmp/" : "", name);
	scoped(free) char *gone = xasprintf("gone-%.16s", id);
	scoped(free) char *to = xasprintf("tmp/%s", gone);
	if (renameat(s->layers_fd, from, s->layers_fd, to) < 0) {
		return; /* it is not there */
	}
	json_t *names = json_array();
	json_array_append_new(names, json_string(gone));
	remove_trees(s, names);
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
	if (json_array_size(names) == 0) {
		json_decref(names);
		return;
	}
	remove_trees(s, names);
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

void image_own_layers(
	struct image_store *s, const struct image *i, struct strv *ret, int64_t *ret_bytes)
{
	struct map *needed = needed_layers(s, i);
	int64_t total = 0;
	for (size_t k = i->layers.n; k > 0; k--) {
		const char *diff_id = i->layers.v[k - 1];
		int64_t bytes = 0;
		if (!map_get(needed, diff_id) && !strv_has(ret, diff_id) &&
			image_has_layer(s, diff_id, &bytes)) {
			strv_add(ret, diff_id);
			total += bytes;
		}
	}
	map_free(needed);
	*ret_bytes = total;
}

void image_collect(struct image_store *s)
{
	if (image_works_running(s)) { /* they have added layers that no image names yet */
		s->collect_wanted = true;
		return;
	}
	s->collect_wanted = false;
	struct map *needed = needed_layers(s, NULL);
	scoped(strv) struct strv unneeded = STRV_INIT;
	map_each (s->layers, struct image_layer, l) {
		if (!map_get(needed, l->diff_id)) {
			strv_add(&unneeded, l->diff_id);
		}
	}
	map_free(needed);
	for (size_t k = 0; k < unneeded.n; k++) {
		struct err e;
		char dir[LAYER_DIR_LEN + 1];
		image_layer_dir(unneeded.v[k], dir);
		if (store_delete(s->store, STORE_LAYERS, unneeded.v[k], &e) < 0) {
			log_warning("image", "layer-stays", "layer", unneeded.v[k], "error", e.msg,
				NULL);
			continue;
		}
		free(map_remove(s->layers, dir));
		image_discard(s, dir, false);
	}
}
