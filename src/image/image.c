#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "image/store.h"
#include "store/store.h"

/* --- life --- */

/* What is made in dir are trees of their own: ext4 looks for room for each of them elsewhere
 * (chattr +T, the Orlov allocator). Where a layer was just removed, an ext4 without a journal looks
 * at each of its inodes again and again before it takes one that is free: a pull was twice as long.
 * Other file systems know no such flag. */
static void spread_below(const char *dir)
{
	int flags = 0;
	scoped(close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && !(flags & FS_TOPDIR_FL)) {
		flags |= FS_TOPDIR_FL;
		(void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
}

static int make_dirs(struct image_store *s, struct err *e)
{
	scoped(free) char *tmp = xasprintf("%s/tmp", s->layers_dir);
	scoped(free) char *empty = xasprintf("%s/empty", s->layers_dir);
	int r = path_mkdirs(tmp, 0700);
	spread_below(tmp);
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
	is->indexes = map_new();
	is->ref_indexes = map_new();
	is->layers = map_new();
	is->claims = map_new();
	is->signatures = map_new();
	list_init(&is->works);
	list_init(&is->holds);
	is->has_replaced = true;
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
		const struct image_index *x = found ? NULL : image_index_find(s, name);
		found = x ? x->shown : found;
	}
	if (!found) {
		bool bare = strlen(name) == 64;
		(void)err_set(
			e, ERR_NOT_FOUND, "No such image: %s%.300s", bare ? "sha256:" : "", name);
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

struct image *image_find_named(
	struct image_store *s, const char *name, bool *ret_by_id, struct err *e)
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
	return image_find_named(s, name, &by_id, e);
}

json_t *image_config_text(struct image_store *s, const char *id, struct err *e)
{
	scoped(json) json_t *doc = NULL;
	if (store_get(s->store, STORE_IMAGES, id, &doc, e) < 0) {
		return NULL;
	}
	json_t *text = json_object_get(doc, "config");
	if (!text) {
		(void)err_set(e, ERR_SYSTEM, "image %.19s has no configuration", id);
	}
	return json_incref(text);
}

struct image *image_next(const struct image_store *s, size_t *pos)
{
	return map_next(s->images, pos, NULL);
}
