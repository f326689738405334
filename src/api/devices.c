/* /wherry/v1/devices: our own. The machine's device nodes, who asks for each, and what comes and
 * goes. doc/own-api.md. */
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/handlers.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "container/container.h"
#include "device/set.h"

static json_t *whole_device(const struct call *c, const struct device *d)
{
	json_t *o = device_json(d);
	json_put(o, "uses", container_device_uses(c->api->d.containers, d));
	return o;
}

void devices_list(struct call *c)
{
	const struct device_set *s = c->api->d.devices;
	json_t *list = json_array();
	size_t pos = 0;
	for (const struct device *d; (d = device_set_next(s, &pos));) {
		json_array_append_new(list, whole_device(c, d));
	}
	call_reply_json(c, 200, list);
}

/* "ttyUSB0", "dev/ttyUSB0", "/dev/ttyUSB0", and the same of links. */
static const struct device *find(const struct device_set *s, const char *name)
{
	scoped(free) char *below_root = xasprintf("%s%s", *name == '/' ? "" : "/", name);
	scoped(free) char *below_dev = xasprintf("/dev%s", below_root);
	const struct device *d = device_set_find(s, below_root);
	return d ? d : device_set_find(s, below_dev);
}

void devices_get(struct call *c)
{
	const struct device *d = find(c->api->d.devices, c->args[0]);
	if (!d) {
		struct err e;
		(void)err_set(&e, ERR_NOT_FOUND, "no such device: %.200s", c->args[0]);
		call_reply_error(c, &e);
		return;
	}
	call_reply_json(c, 200, whole_device(c, d));
}

static void device_changed(void *owner, const struct device_event *v)
{
	static const char *const words[] = {
		[DEVICE_ADDED] = "add", [DEVICE_CHANGED] = "change", [DEVICE_REMOVED] = "remove"};
	struct call *c = owner;
	char now[CLOCK_TEXT_MAX];
	if (!c->r || v->change == DEVICE_SCANNED) {
		return;
	}
	scoped(json) json_t *doc = json_pack("{ss,ss,so}", "action", words[v->change], "time",
		clock_format(clock_real_ns(), now), "device", device_json(v->device));
	scoped(free) char *text = json_text(doc);
	scoped(free) char *line = xasprintf("%s\n", text);
	if (!http_stream_write(c->r, line, strlen(line))) {
		http_stream_end(c->r); /* it does not listen, and lines must not pile up */
	}
}

static void stream_closed(struct call *c)
{
	device_unlisten(c->stream);
}

void devices_events(struct call *c)
{
	http_stream_begin(c->r, 200, "application/json");
	c->stream = device_listen(c->api->d.devices, device_changed, c);
	c->stream_closed = stream_closed;
}
