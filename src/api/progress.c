#include "api/progress.h"

#include <string.h>

#include "api/call.h"
#include "base/buf.h"
#include "base/json.h"

void progress_begin(struct call *c)
{
	if (c->r) {
		http_stream_begin(c->r, 200, "application/json");
	}
}

void progress_send(struct call *c, json_t *msg)
{
	if (!c->r) {
		return;
	}
	scoped(free) char *text = json_text(msg);
	scoped(buf) struct buf line = BUF_INIT;
	buf_printf(&line, "%s\r\n", text);
	http_stream_write(c->r, line.data, line.len);
}

void progress_end(struct call *c, bool begun, const struct err *e, int code)
{
	if (!c->r) {
		return;
	}
	if (e && !begun) {
		call_reply_error(c, e);
		return;
	}
	if (!begun) {
		progress_begin(c);
	}
	if (e) {
		json_t *detail = json_pack("{ss}", "message", e->msg);
		if (code != 0) {
			json_put(detail, "code", json_integer(code));
		}
		scoped(json) json_t *msg =
			json_pack("{so ss}", "errorDetail", detail, "error", e->msg);
		progress_send(c, msg);
	} else {
		call_note_done(c);
	}
	http_stream_end(c->r);
}
