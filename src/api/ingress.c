/* /wherry/v1/ingress: our own. What the front door serves, and what it cannot. doc/own-api.md. */
#include "ingress/ingress.h"

#include "api/call.h"
#include "api/handlers.h"

void ingress_get(struct call *c)
{
	call_reply_json(c, 200, ingress_json(c->api->d.ingress));
}
