/* A container that takes the place of another one: the label wherry.replaces has that one's id.
 * Both are of one compose project, or of none.
 *
 * While both run the new one's fixed ports and names are pending (network/handover.c). */
#include <string.h>

#include "base/json.h"
#include "container/boot_rules.h"
#include "container/internal.h"
#include "sys/sockets.h"

static bool may_replace(const struct container *c, const struct container *other)
{
	return c != other && strcmp(container_own_label(c, LABEL_REPLACES), other->id) == 0 &&
	       strcmp(container_own_label(c, BOOT_PROJECT_LABEL),
		       container_own_label(other, BOOT_PROJECT_LABEL)) == 0;
}

const char *takeover_partner(const struct container *c)
{
	const char *id = container_own_label(c, LABEL_REPLACES);
	const struct container *other = *id ? map_get(c->set->by_id, id) : NULL;
	return other && may_replace(c, other) && container_is_running(other) ? other->id : NULL;
}

void takeover_note_ports(struct container_set *s)
{
	map_each (s->by_id, struct container, c) {
		if (container_is_running(c) && *container_own_label(c, LABEL_REPLACES)) {
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
	if (!may_replace(c, from) && !may_replace(from, c)) {
		return err_set(
			e, ERR_CONFLICT, "container %s does not replace %s", c->id, from->id);
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
