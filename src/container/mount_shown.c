/* Mounts as the container's record keeps them, and as inspect shows them. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "container/internal.h"
#include "container/storage.h"
#include "volume/volume.h"

static const char *const kind_words[] = {[MOUNT_BIND] = "bind",
	[MOUNT_VOLUME] = "volume",
	[MOUNT_TMPFS] = "tmpfs",
	[MOUNT_IMAGE] = "image"};

const char *mount_kind_word(enum mount_kind kind)
{
	return kind_words[kind];
}

json_t *mounts_record(const struct mount_list *list)
{
	json_t *out = json_array();
	for (size_t i = 0; i < list->n; i++) {
		const struct mount_point *m = &list->v[i];
		json_t *o = json_pack("{ss ss ss sb sb sb sb sb}", "Kind", kind_words[m->kind],
			"Target", m->target, "Mode", m->mode, "ReadOnly", m->read_only, "NoCopy",
			m->no_copy, "NonRecursive", m->non_recursive, "ShallowReadOnly",
			m->shallow_read_only, "ForcedReadOnly", m->forced_read_only);
		const struct {
			const char *key, *value;
		} texts[] = {{"Name", m->name}, {"Source", m->source},
			{"Propagation", m->propagation}, {"Options", m->options},
			{"Subpath", m->subpath}};
		for (size_t k = 0; k < 5; k++) {
			if (texts[k].value) {
				json_put_str(o, texts[k].key, texts[k].value);
			}
		}
		if (m->kind == MOUNT_IMAGE) {
			json_put(o, "Layers", json_strv(&m->layers));
		}
		json_array_append_new(out, o);
	}
	return out;
}

static char *member(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));
	return text ? xstrdup(text) : NULL;
}

int mounts_restore(const json_t *record, struct mount_list *ret)
{
	size_t i;
	json_t *o;
	json_array_foreach (record, i, o) {
		struct mount_point m = {.read_only = json_bool(o, "ReadOnly"),
			.no_copy = json_bool(o, "NoCopy"),
			.non_recursive = json_bool(o, "NonRecursive"),
			.shallow_read_only = json_bool(o, "ShallowReadOnly"),
			.forced_read_only = json_bool(o, "ForcedReadOnly")};
		for (int k = 0; k < MOUNT_KINDS; k++) {
			if (strcmp(json_str(o, "Kind"), kind_words[k]) == 0) {
				m.kind = (enum mount_kind)k;
			}
		}
		m.target = xstrdup(json_str(o, "Target"));
		m.mode = xstrdup(json_str(o, "Mode"));
		m.name = member(o, "Name");
		m.source = member(o, "Source");
		m.propagation = member(o, "Propagation");
		m.options = member(o, "Options");
		m.subpath = member(o, "Subpath");
		struct err ignored;
		(void)json_get_strv(o, "Layers", &m.layers, &ignored);
		ret->v = xrealloc(ret->v, ret->n + 1, sizeof(*ret->v));
		ret->v[ret->n++] = m;
	}
	return 0;
}

/* Of HostConfig.Tmpfs, which dockerd does not count among the mounts. */
static bool is_plain_tmpfs(const struct container *c, const struct mount_point *m)
{
	const char *target;
	json_t *options;
	json_object_foreach (json_object_get(c->host_config, "Tmpfs"), target, options) {
		scoped(free) char *clean = path_clean(target);
		if (m->kind == MOUNT_TMPFS && strcmp(clean, m->target) == 0) {
			return true;
		}
	}
	return false;
}

json_t *mounts_inspect(const struct container *c)
{
	json_t *out = json_array();
	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct mount_point *m = &c->mounts.v[i];
		if (is_plain_tmpfs(c, m)) {
			continue;
		}
		json_t *o = json_pack("{ss}", "Type", kind_words[m->kind]);
		const char *source = m->source ? m->source : "";
		if (m->kind == MOUNT_VOLUME) {
			struct err ignored;
			const struct volume *v = volume_find(c->set->d.volumes, m->name, &ignored);
			source = v ? volume_mountpoint(v) : "";
			json_put_str(o, "Name", m->name);
		} else if (m->kind == MOUNT_IMAGE) {
			json_put_str(o, "Name", m->name);
		}
		json_put_str(o, "Source", source);
		json_put_str(o, "Destination", m->target);
		if (m->kind == MOUNT_VOLUME) {
			json_put_str(o, "Driver", "local");
		}
		json_put_str(o, "Mode", m->mode);
		json_put(o, "RW", json_boolean(!m->read_only));
		json_put_str(o, "Propagation",
			m->kind == MOUNT_BIND ? (m->propagation ? m->propagation : "rprivate")
					      : "");
		json_array_append_new(out, o);
	}
	storage_put_mounts(c, out);
	return out;
}
