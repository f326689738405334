/* A container's control group when it has ended, and those above, where its CgroupParent names some
 * that nobody had made: who makes them takes them away. What others made (kubelet's pods, systemd's
 * slices) stays, also when it is empty: limits are written there.
 *
 * Each container remembers those that its start made, or that a container of ours had made before;
 * the last one to end finds them empty.
 *
 * A process in the middle of a system call outlives its SIGKILL for as long as that takes. Its
 * group is tried again later; the container may have been removed by then. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "container/internal.h"
#include "sys/cgroup.h"

#define AGAIN_MS 2 /* doubled */
#define AGAIN_MAX_MS 5000
#define AGAIN_TOLD_MS 64 /* this is no end of a process as any other */

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
	return strv_has(&s->left_above, group);
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
static void drop_above(struct strv *groups)
{
	for (size_t i = 0; i < groups->n; i++) {
		(void)cgroup_remove(groups->v[i]);
	}
	strv_clear(groups);
}

/* Its container has been started again: what was left in it ends with that one. */
static bool is_used_again(const struct container_set *s, const char *group)
{
	map_each (s->by_id, struct container, c) {
		if (c->shim && strcmp(c->cgroup, group) == 0) {
			return true;
		}
	}
	return false;
}

static void try_again(void *owner)
{
	struct container_set *s = owner;
	struct strv before = s->left_groups;
	s->left_groups = (struct strv)STRV_INIT;
	s->left_again = NULL;
	for (size_t i = 0; i < before.n; i++) {
		if (!is_used_again(s, before.v[i]) && cgroup_destroy(before.v[i]) < 0) {
			strv_add(&s->left_groups, before.v[i]);
			if (s->left_wait_ms == AGAIN_TOLD_MS) {
				log_warning("container", "cgroup_left", "group", before.v[i], NULL);
			}
		}
	}
	strv_deinit(&before);
	if (s->left_groups.n == 0) {
		drop_above(&s->left_above);
		return;
	}
	s->left_wait_ms = s->left_wait_ms < AGAIN_MAX_MS / 2 ? s->left_wait_ms * 2 : AGAIN_MAX_MS;
	s->left_again = delay_start(s->d.loop, s->left_wait_ms, try_again, s);
}

void container_destroy_groups(struct container *c)
{
	struct container_set *s = c->set;
	if (cgroup_destroy(c->cgroup) == 0) {
		drop_above(&c->made_groups);
		return;
	}
	if (!strv_has(&s->left_groups, c->cgroup)) {
		strv_add(&s->left_groups, c->cgroup);
	}
	for (size_t i = 0; i < c->made_groups.n; i++) {
		if (!strv_has(&s->left_above, c->made_groups.v[i])) {
			strv_add(&s->left_above, c->made_groups.v[i]);
		}
	}
	delay_cancel(s->left_again);
	s->left_wait_ms = AGAIN_MS;
	s->left_again = delay_start(s->d.loop, AGAIN_MS, try_again, s);
}

void container_groups_free(struct container_set *s)
{
	delay_cancel(s->left_again);
	strv_deinit(&s->left_groups);
	strv_deinit(&s->left_above);
}
