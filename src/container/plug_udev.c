/* What libudev in a container hears and reads of its devices: udevd's messages and database, in
 * which they have the names that they have in the container. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/uevent.h"
#include "container/plug.h"
#include "device/device.h"
#include "device/set.h"

#define MESSAGES_MAX 256

/* A name that udevd could have written: its lists are of words. */
static bool is_word(const char *path)
{
	return text_starts(path, "/dev/") && !strpbrk(path, " \t\r\n");
}

/* --- the database --- */

static void add_names(const struct plugged_list *l, const char *node, struct buf *ret)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct plugged *p = &l->v[i];
		if (strcmp(p->node, node) == 0 && strcmp(p->path, node) != 0 && is_word(p->path)) {
			buf_printf(ret, "\n%s", p->path + strlen("/dev/"));
		}
	}
}

void plug_udev_names(const struct plugged_list *l, struct strv *ret)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct plugged *p = &l->v[i];
		scoped(buf) struct buf text = BUF_INIT;
		if (p->stays || plugged_is_link(p)) {
			continue;
		}
		buf_printf(&text, "%c%u:%u", p->type, p->major, p->minor);
		add_names(l, p->node, &text);
		if (!strv_has(ret, buf_str(&text))) {
			strv_add(ret, buf_str(&text));
		}
	}
}

/* --- messages --- */

/* Whose libudev does not hear the host's own. */
static bool needs_messages(const struct container *c)
{
	const struct container *owner = container_of_mode(c, "NetworkMode");
	return container_has_own_netns(owner ? owner : c);
}

/* The names of a node in the container: nodes first. */
static void find_names(const struct plugged_list *l, const char *node, bool links, struct strv *ret)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct plugged *p = &l->v[i];
		bool own = !p->stays && strcmp(p->node, node) == 0;
		if (own && plugged_is_link(p) == links && !strv_has(ret, p->path)) {
			strv_add(ret, p->path);
		}
	}
}

/* One of them is the node, the host's own name if that is among them; the others are links. */
static void write_message(const struct device_event *ev, const struct strv *names, struct buf *ret)
{
	scoped(buf) struct buf all = BUF_INIT;
	scoped(buf) struct buf links = BUF_INIT;
	scoped(buf) struct buf own = BUF_INIT;
	struct uevent u = {0};
	struct err ignored;
	const char *node = strv_has(names, ev->device->node) ? ev->device->node : names->v[0];
	for (size_t i = 0; i < names->n; i++) {
		if (strcmp(names->v[i], node) != 0 && is_word(names->v[i])) {
			buf_printf(&links, "%s%s", links.len ? " " : "", names->v[i]);
		}
	}
	if (!ev->message || uevent_parse(ev->message, ev->message_bytes, &u, &ignored) < 0) {
		device_properties(ev->device,
			ev->change == DEVICE_REMOVED ? "remove"
			: ev->change == DEVICE_ADDED ? "add"
						     : "change",
			&all);
		u.properties = all.data;
		u.properties_bytes = all.len;
	}
	uevent_rename(&u, node, buf_str(&links), &own);
	uevent_write(own.data, own.len, ret);
}

void plug_udev_tell(struct container *c, const struct device_event *ev,
	const struct plugged_list *l, const struct plugged_list *more)
{
	struct plug *p = c->plug;
	scoped(buf) struct buf bytes = BUF_INIT;
	scoped(buf) struct buf text = BUF_INIT;
	scoped(strv) struct strv names = STRV_INIT;
	for (int links = 0; links < 2; links++) {
		find_names(l, ev->device->node, links, &names);
		find_names(more, ev->device->node, links, &names);
	}
	if (names.n == 0 || !needs_messages(c)) {
		return;
	}
	if (json_array_size(p->messages) == MESSAGES_MAX) {
		json_array_remove(p->messages, 0);
	}
	write_message(ev, &names, &bytes);
	base64_encode(bytes.data, bytes.len, &text);
	json_array_append_new(p->messages, json_string(buf_str(&text)));
}
