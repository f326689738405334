/* A container that takes the place of another one: the label wherry.replaces has that one's id.
 *
 * While both run the new one's fixed ports and names are pending (network/handover.c). */
#include <string.h>

#include "base/json.h"
#include "container/internal.h"
#include "sys/sockets.h"

#define LABEL_REPLACES "wherry.replaces"

const char *takeover_partner(const struct container *c)
{
	const char *id = json_str(container_labels(c), LABEL_REPLACES);
	const struct container *other = *id ? map_get(c->set->by_id, id) : NULL;
	return other && other != c && container_is_running(other) ? other->id : NULL;
}

void takeover_note_ports(struct container_set *s)
{
	map_each (s->by_id, struct container, c) {
		if (container_is_running(c) && *json_str(container_labels(c), LABEL_REPLACES)) {
			endpoints_note_ports(c);
		}
	}
}

int container_take_over(struct container *c, struct container *from, struct err *e)
{
	struct container *const both[] = {c, from};
	for (size_t i = 0; i < 2; i++) {
		if (!container_is_running(both[i])) {
			return err_set(e, ERR_CONFLICT, "container %s is not running", both[i]->id);
		}
	}
	if (c == from) {
		return err_set(e, ERR_INVALID, "a container cannot take over from itself");
	}
	network_take_over(c->set->d.networks, c->id, from->id);
	endpoints_note_ports(c);
	endpoints_note_ports(from);
	container_record_note(c);
	container_record_note(from);
	return 0;
}

json_t *container_sockets(const struct container *c, struct err *e)
{
	struct sockets s = {0};
	if (!container_is_running(c)) {
		err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
		return NULL;
	}
	int r = sockets_read(c->pid, &s);
	if (r < 0) {
		(void)err_sys(e, -r, "cannot read the sockets of %s", c->id);
		return NULL;
	}
	json_t *ports = json_array();
	for (size_t i = 0; i < s.n_listening; i++) {
		json_array_append_new(ports, json_integer(s.listening[i]));
	}
	return json_pack("{s:o,s:I}", "Listening", ports, "Connections", (json_int_t)s.n_open);
}
