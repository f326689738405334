/* Parts of Docker's API that this engine does not have: swarm, plugins, experiments, and what is
 * still to come. Each says so in dockerd's words, where dockerd has some: clients look at the
 * status first.
 */
#include <string.h>

#include "api/call.h"
#include "api/filters.h"
#include "api/handlers.h"

static void refuse(struct call *c, enum err_kind kind, const char *message)
{
	struct err e;
	err_set(&e, kind, "%s", message);
	call_reply_error(c, &e);
}

/* --- swarm: what a node answers that is in none --- */

void absent_swarm(struct call *c)
{
	refuse(c, ERR_BUSY,
		"This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to "
		"connect this node to swarm and try again.");
}

void absent_swarm_start(struct call *c)
{
	refuse(c, ERR_NOT_IMPLEMENTED, "this engine has no swarm mode: it runs one machine");
}

void absent_swarm_leave(struct call *c)
{
	refuse(c, ERR_BUSY, "This node is not part of a swarm");
}

void absent_cluster_volume(struct call *c)
{
	refuse(c, ERR_BUSY,
		"volume update only valid for cluster volumes, but swarm is unavailable");
}

/* --- plugins: there are none --- */

void absent_plugins(struct call *c)
{
	static const char *const allowed[] = {"enabled", "capability", NULL};
	struct err e;
	bool enabled;
	scoped(filters) struct filters *f = filters_read(c, allowed, &e);
	if (!f || filters_bool(f, "enabled", false, &enabled, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	call_reply_json(c, 200, json_array());
}

void absent_plugin(struct call *c)
{
	struct err e;
	err_set(&e, ERR_NOT_FOUND, "plugin \"%.128s\" not found", c->args[0]);
	call_reply_error(c, &e);
}

void absent_plugin_store(struct call *c)
{
	refuse(c, ERR_NOT_IMPLEMENTED,
		"this engine has no plugins: volume and network drivers are built in");
}

void absent_experiment(struct call *c)
{
	refuse(c, ERR_NOT_IMPLEMENTED,
		"This experimental feature is disabled by default. Start the Docker daemon in "
		"experimental mode in order to enable it.");
}
