/* macvlan and ipvlan: the interface of this host that the containers' interfaces are children of.
 * It is the user's, or a VLAN of the user's that we make, or, for a network that leads nowhere, one
 * of our own. What we made carries our alias and goes with the network. */
#include <errno.h>
#include <linux/if_link.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/parse.h"
#include "network/internal.h"

#define VLAN_MAX 4094 /* IEEE 802.1Q */

struct mode {
	const char *name;
	uint32_t value;
};
static const struct mode macvlan_modes[] = {{"bridge", MACVLAN_MODE_BRIDGE},
	{"private", MACVLAN_MODE_PRIVATE}, {"vepa", MACVLAN_MODE_VEPA},
	{"passthru", MACVLAN_MODE_PASSTHRU}, {NULL, 0}};
static const struct mode ipvlan_modes[] = {
	{"l2", IPVLAN_MODE_L2}, {"l3", IPVLAN_MODE_L3}, {"l3s", IPVLAN_MODE_L3S}, {NULL, 0}};
static const struct mode ipvlan_flags[] = {
	{"bridge", 0}, {"private", IPVLAN_F_PRIVATE}, {"vepa", IPVLAN_F_VEPA}, {NULL, 0}};

/* The first is the default. */
static int read_mode(
	const struct mode *modes, const char *what, const char *text, uint32_t *ret, struct err *e)
{
	for (const struct mode *m = modes; m->name; m++) {
		if (!*text || strcmp(m->name, text) == 0) {
			*ret = m->value;
			return 0;
		}
	}
	return err_set(e, ERR_INVALID,
		"requested %s '%.32s' is not valid, '%s' mode is the %.*s driver default", what,
		text, modes[0].name, (int)strcspn(what, " "), what);
}

/* "eth0.50": VLAN 50 of eth0. False for a name that means no VLAN. */
static bool split_vlan(const char *name, char ret_parent[static IF_NAMESIZE], int *ret_vlan)
{
	const char *dot = strrchr(name, '.');
	if (!dot || dot == name || parse_int(dot + 1, 1, VLAN_MAX, ret_vlan) < 0) {
		return false;
	}
	snprintf(ret_parent, IF_NAMESIZE, "%.*s", (int)(dot - name), name);
	return true;
}

int parent_read(struct network *w, struct err *e)
{
	const json_t *options = json_object_get(w->doc, "Options");
	const char *parent = json_str(options, "parent");
	uint32_t flags = 0;
	int r = w->driver == DRIVER_MACVLAN
			? read_mode(macvlan_modes, "macvlan mode",
				  json_str(options, "macvlan_mode"), &w->mode, e)
			: read_mode(ipvlan_modes, "ipvlan mode", json_str(options, "ipvlan_mode"),
				  &w->mode, e);
	if (r < 0 || (w->driver == DRIVER_IPVLAN &&
			     read_mode(ipvlan_flags, "ipvlan flag",
				     json_str(options, "ipvlan_flag"), &flags, e) < 0)) {
		return -1;
	}
	w->mode_flags = (uint16_t)flags;
	if (strlen(parent) >= sizeof(w->parent) || strpbrk(parent, "/ \t\n:")) {
		return err_set(e, ERR_INVALID, "invalid parent interface \"%.32s\"", parent);
	}
	if (strcmp(parent, "lo") == 0) {
		return err_set(e, ERR_INVALID, "loopback interface is not a valid %s parent link",
			json_str(w->doc, "Driver"));
	}
	if (!*parent) { /* moby: dm-<short id>; such a network is always internal */
		snprintf(w->parent, sizeof(w->parent), "dm-%.12s", w->id);
		w->internal = true;
		return 0;
	}
	snprintf(w->parent, sizeof(w->parent), "%s", parent);
	return 0;
}

static int make_link(struct network_set *n, const struct rtnl_child *c)
{
	char alias[RTNL_ALIAS_MAX];
	uint32_t index;
	int r = rtnl_add_child(&n->rtnl, c);
	r = r < 0 ? r : rtnl_commit(&n->rtnl);
	r = r < 0 ? r : rtnl_index(&n->rtnl, c->name, &index);
	if (r < 0) {
		return r;
	}
	rtnl_set_alias(&n->rtnl, index, bridge_alias(n, alias));
	rtnl_set_up(&n->rtnl, index, true);
	return rtnl_commit(&n->rtnl);
}

/* A link with nobody at its other end. Kernels without the dummy driver often have ifb, which is as
 * silent. */
static int make_alone(struct network_set *n, const struct network *w)
{
	struct rtnl_child c = {.name = w->parent, .kind = "dummy", .netns_fd = -1};
	int r = make_link(n, &c);
	c.kind = "ifb";
	return r == -EOPNOTSUPP ? make_link(n, &c) : r;
}

static int make_vlan(struct network_set *n, const struct network *w, struct err *e)
{
	char above[IF_NAMESIZE];
	int vlan;
	struct rtnl_child c = {.name = w->parent, .kind = "vlan", .netns_fd = -1};
	if (!split_vlan(w->parent, above, &vlan)) {
		return err_set(e, ERR_INVALID,
			"invalid subinterface vlan name %s, example formatting is eth0.10",
			w->parent);
	}
	if (rtnl_index(&n->rtnl, above, &c.parent) < 0) {
		return err_set(
			e, ERR_INVALID, "-o parent interface was not found on the host: %s", above);
	}
	c.data[c.n_data++] =
		(struct rtnl_data){.type = IFLA_VLAN_ID, .bytes = 2, .value.u16 = (uint16_t)vlan};
	int r = make_link(n, &c);
	return r < 0 ? err_sys(e, -r, "failed to create VLAN %d of %s", vlan, above) : 0;
}

int parent_ensure(struct network_set *n, struct network *w, struct err *e)
{
	uint32_t index;
	if (rtnl_index(&n->rtnl, w->parent, &index) == 0) {
		return 0;
	}
	if (*json_str(json_object_get(w->doc, "Options"), "parent")) {
		return make_vlan(n, w, e);
	}
	int r = make_alone(n, w);
	return r < 0 ? err_sys(e, -r, "cannot make the interface %s", w->parent) : 0;
}

struct owner_search {
	const char *name;
	char alias[RTNL_ALIAS_MAX];
	bool ours;
};

static int match_owner(void *owner, const struct rtnl_link *link)
{
	struct owner_search *s = owner;
	s->ours =
		s->ours || (strcmp(link->name, s->name) == 0 && strcmp(link->alias, s->alias) == 0);
	return 0;
}

/* Another network may have the same parent. */
static bool is_needed(const struct network_set *n, const struct network *w)
{
	map_each (n->by_id, struct network, other) {
		if (other != w && strcmp(other->parent, w->parent) == 0) {
			return true;
		}
	}
	return false;
}

void parent_remove(struct network_set *n, const struct network *w)
{
	struct owner_search s = {.name = w->parent};
	bridge_alias(n, s.alias);
	if (is_needed(n, w) || rtnl_each_link(&n->rtnl, match_owner, &s) < 0 || !s.ours) {
		return;
	}
	int r = rtnl_delete_link(&n->rtnl, w->parent);
	r = r < 0 ? r : rtnl_commit(&n->rtnl);
	if (r < 0 && r != -ENODEV) {
		log_warning(
			"network", "parent_stays", "link", w->parent, "error", strerror(-r), NULL);
	}
}
