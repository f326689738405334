/* /wherry/v1/containers: our own. One container takes the place of another without a closed port
 * between them; what clients need to know to do that gently. */
#include "api/call.h"
#include "api/handlers.h"
#include "container/container.h"
#include "ingress/ingress.h"

static struct container *container_named(struct call *c, const char *name)
{
	struct err e;
	struct container *k = container_find(c->api->d.containers, name, &e);
	if (!k) {
		call_reply_error(c, &e);
	}
	return k;
}

static void settled(void *owner)
{
	call_done_empty(owner, NULL);
}

void containers_take_over(struct call *c)
{
	struct err e;
	struct container *k = container_named(c, c->args[0]);
	struct container *from = k ? container_named(c, call_query_or(c, "from", "")) : NULL;
	if (!from) {
		return;
	}
	if (container_take_over(k, from, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	/* the other may be stopped now: no request is on its way to it */
	ingress_settle(c->api->d.ingress, settled, call_ref(c));
}

void containers_sockets(struct call *c)
{
	struct err e;
	const struct container *k = container_named(c, c->args[0]);
	if (!k) {
		return;
	}
	json_t *doc = container_sockets(k, &e);
	if (!doc) {
		call_reply_error(c, &e);
		return;
	}
	call_reply_json(c, 200, doc);
}
