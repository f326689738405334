/* POST /grpc and POST /session: BuildKit's own connections, given to the process that speaks HTTP/2
 * (build/gateway.h). It answers 101 itself: nothing of it is read or written here. */
#include <string.h>

#include "api/call.h"
#include "api/handlers.h"
#include "base/log.h"
#include "base/json.h"
#include "base/scoped.h"
#include "build/gateway.h"

static int check_upgrade(struct call *c, enum err_kind kind, struct err *e)
{
	const char *protocol = http_wants_upgrade(c->r) ? http_header(c->r, "Upgrade") : NULL;
	if (!protocol) {
		return err_set(e, kind, "no upgrade proto in request");
	}
	return strcmp(protocol, "h2c") == 0
		       ? 0
		       : err_set(e, kind, "protocol %.64s not supported", protocol);
}

static void give_away(struct call *c, json_t *take_head)
{
	struct err e;
	struct gateway *g = c->api->d.gateway;
	scoped(json) json_t *head = take_head;
	scoped(buf) struct buf early = BUF_INIT;
	call_note_done(c);
	int fd = http_detach(c->r, &early, &e);
	if (fd < 0) {
		call_reply_error(c, &e);
	} else if (gateway_give(g, fd, TAKE(head), &early, &e) < 0) {
		log_warning("api", "buildkit-not-reached", "error", e.msg, NULL);
	}
}

void buildkit_grpc(struct call *c)
{
	struct err e;
	if (check_upgrade(c, ERR_SYSTEM, &e) < 0) { /* dockerd's 500 */
		call_reply_error(c, &e);
		return;
	}
	give_away(c, json_pack("{ss}", "connection", "grpc"));
}

void buildkit_session(struct call *c)
{
	static const struct {
		const char *header, *key;
	} names[] = {
		{"X-Docker-Expose-Session-Uuid", "id"},
		{"X-Docker-Expose-Session-Name", "name"},
		{"X-Docker-Expose-Session-Sharedkey", "shared_key"},
	};
	struct err e;
	if (check_upgrade(c, ERR_INVALID, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	json_t *head = json_pack("{ss}", "connection", "session");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *value = http_header(c->r, names[i].header);
		json_put_str(head, names[i].key, value ? value : "");
	}
	give_away(c, head);
}
