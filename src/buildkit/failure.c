#include "buildkit/failure.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "control.pb-c.h"

#define WHOLE_TEXT_MAX 8192 /* bytes; more in a trailer is refused by many clients */
#define LINES_AROUND 10
#define TYPE_PREFIX "github.com/moby/buildkit/errdefs."

static void pack_status(
	int code, const char *message, const char *type, const char *detail, struct buf *ret)
{
	Buildkit__Detail d = BUILDKIT__DETAIL__INIT;
	Buildkit__Detail *list = &d;
	Buildkit__RpcStatus s = BUILDKIT__RPC_STATUS__INIT;
	s.code = code;
	s.message = (char *)message;
	if (type) {
		d.type_url = (char *)type;
		d.value = (ProtobufCBinaryData){strlen(detail), (uint8_t *)detail};
		s.n_details = 1;
		s.details = &list;
	}
	size_t n = buildkit__rpc_status__get_packed_size(&s);
	buf_clear(ret);
	buildkit__rpc_status__pack(&s, (uint8_t *)buf_room(ret, n));
	buf_added(ret, n);
}

/* The text with the lines first to last in their places; lines far from them are empty, what comes
 * after them is left out. */
static void near_lines(const char *text, json_int_t first, json_int_t last, struct buf *ret)
{
	if (strlen(text) <= WHOLE_TEXT_MAX) {
		buf_puts(ret, text);
		return;
	}
	for (json_int_t n = 1; *text && n <= last + LINES_AROUND; n++) {
		size_t length = strcspn(text, "\n");
		if (n >= first - LINES_AROUND && ret->len + length < 2 * WHOLE_TEXT_MAX) {
			buf_append(ret, text, length);
		}
		text += length + (text[length] == '\n');
		buf_putc(ret, '\n');
	}
}

/* {"info": {"filename", "data": base64, "language"}, "ranges": [{"start": {"line"}, "end": ...}]},
 * as Go's encoding/json writes BuildKit's errdefs.Source. */
static char *source_json(const json_t *source)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(buf) struct buf data = BUF_INIT;
	json_int_t first = 0, last = 0;
	json_t *ranges = json_array();
	size_t i;
	json_t *pair;
	json_array_foreach (json_object_get(source, "lines"), i, pair) {
		json_int_t from = json_integer_value(json_array_get(pair, 0));
		json_int_t to = json_integer_value(json_array_get(pair, 1));
		first = i == 0 || from < first ? from : first;
		last = to > last ? to : last;
		json_array_append_new(ranges,
			json_pack("{s{sI} s{sI}}", "start", "line", from, "end", "line", to));
	}
	near_lines(json_str(source, "text"), first, last, &text);
	base64_encode(buf_str(&text), text.len, &data);
	scoped(json) json_t *doc =
		json_pack("{s{ss ss ss} so}", "info", "filename", json_str(source, "file"), "data",
			buf_str(&data), "language", "Dockerfile", "ranges", ranges);
	return json_text(doc);
}

void failure_pack(int code, const char *message, const json_t *source, struct buf *ret)
{
	scoped(free) char *detail = source ? source_json(source) : NULL;
	pack_status(code, message, detail ? TYPE_PREFIX "Source+json" : NULL, detail, ret);
}

void failure_pack_request(int code, const char *message, const char *request, struct buf *ret)
{
	scoped(json) json_t *doc = json_pack("{ss}", "name", request);
	scoped(free) char *detail = doc ? json_text(doc) : NULL;
	pack_status(code, message, detail ? TYPE_PREFIX "Subrequest+json" : NULL, detail, ret);
}
