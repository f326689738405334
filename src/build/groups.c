#include "build/groups.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "container/delay.h"
#include "sys/cgroup.h"

#define AGAIN_MS 10
#define TRIES 6000 /* a minute */

struct build_groups {
	uv_loop_t *loop;
	struct delay *again; /* NULL: nothing is left */
	struct strv left;
	int tries; /* since the last one was added */
};

struct build_groups *build_groups_new(uv_loop_t *l)
{
	struct build_groups *g = xnew(struct build_groups);
	g->loop = l;
	return g;
}

void build_groups_free(struct build_groups *g)
{
	if (g) {
		delay_cancel(g->again);
		strv_deinit(&g->left);
		free(g);
	}
}

static void try_again(void *owner)
{
	struct build_groups *g = owner;
	struct strv before = g->left;
	g->left = (struct strv)STRV_INIT;
	g->again = NULL;
	g->tries++;
	for (size_t k = 0; k < before.n; k++) {
		bool stays = cgroup_destroy(before.v[k]) < 0;
		if (stays && g->tries < TRIES) {
			strv_add(&g->left, before.v[k]);
		} else if (stays) {
			log_warning("build", "cgroup-stays", "group", before.v[k], NULL);
		}
	}
	strv_deinit(&before);
	if (g->left.n > 0) {
		g->again = delay_start(g->loop, AGAIN_MS, try_again, g);
	}
}

void build_groups_destroy(struct build_groups *g, const char *group)
{
	if (cgroup_destroy(group) == 0) {
		return;
	}
	strv_add(&g->left, group);
	g->tries = 0;
	if (!g->again) {
		g->again = delay_start(g->loop, AGAIN_MS, try_again, g);
	}
}
