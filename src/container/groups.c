/* The control groups above a container's own, where its CgroupParent names some that nobody had
 * made: who makes them takes them away. What others made (kubelet's pods, systemd's slices) stays,
 * also when it is empty: limits are written there.
 *
 * Each container remembers those that its start made, or that a container of ours had made before;
 * the last one to end finds them empty. */
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "container/internal.h"
#include "sys/cgroup.h"

/* The group above, or NULL at the top; the caller's. */
static char *group_above(const char *group)
{
	const char *slash = strrchr(group, '/');
	return slash ? xstrndup(group, (size_t)(slash - group)) : NULL;
}

static bool holds(const char *group, const char *other)
{
	size_t n = strlen(group);
	return strncmp(group, other, n) == 0 && (other[n] == '/' || other[n] == '\0');
}

/* The daemon's own stays for the next container. */
static bool is_daemons(const struct container *c, const char *group)
{
	scoped(free) char *own = runtime_cgroup(c->set->d.cgroup_parent, "x");
	return holds(group, own);
}

static bool is_known(const struct container_set *s, const char *group)
{
	map_each (s->by_id, struct container, other) {
		if (strv_has(&other->made_groups, group)) {
			return true;
		}
	}
	return false;
}

void container_note_groups(struct container *c)
{
	char *above = group_above(c->cgroup);
	size_t before = c->made_groups.n;
	while (above) {
		bool ours = !is_daemons(c, above) && !strv_has(&c->made_groups, above) &&
			    (!cgroup_exists(above) || is_known(c->set, above));
		if (ours) {
			strv_add(&c->made_groups, above);
		}
		char *next = group_above(above);
		free(above);
		above = next;
	}
	if (c->made_groups.n > before) {
		container_record_note(c); /* before the runtime makes them */
	}
}

/* Deepest first, as they were noted. One that another container is in stays for that one. */
void container_drop_groups(struct container *c)
{
	for (size_t i = 0; i < c->made_groups.n; i++) {
		(void)cgroup_remove(c->made_groups.v[i]);
	}
	strv_clear(&c->made_groups);
}
