/* build/groups.h - control groups of builds that are over.
 *
 * A process that was killed leaves its group when it has given its memory back: on a busy machine
 * that is later than the loop may wait for. Such a group is tried again.
 */
#pragma once

typedef struct uv_loop_s uv_loop_t;
struct build_groups;

struct build_groups *build_groups_new(uv_loop_t *l);
void build_groups_free(struct build_groups *g); /* NULL is fine */
/* Kills what is in the group and removes it, now or soon; one that stays is logged. */
void build_groups_destroy(struct build_groups *g, const char *group);
