/* network/rules.h - the nftables table of this daemon, `inet wherry-PREFIX`.
 *
 *   map published, published6        {protocol . port}           -> {container address . port}
 *   map published_at, published6_at  {address . protocol . port} -> the same, for ports published
 * at one address set bridges, internal   names of bridges set together            {bridge .
 * bridge}: containers that may talk to each other raw          prerouting -300  nobody outside
 * reaches 127.0.0.0/8 through us prerouting, output  nat       to local addresses: the maps
 *   postrouting  nat              masquerade
 *   forward      filter           isolation
 *
 * An accept of ours ends only our own chain: a drop of the administrator's, in any table, stands.
 */
#pragma once
#include <stdbool.h>

#include "network/ports.h"

struct network_set;
struct rules;

/* Reads what is published in a table that an earlier daemon left: those elements stay until
 * rules_settle. */
struct rules *rules_new(const char *prefix, struct err *e);
void rules_free(struct rules *r);  /* the table stays; the watch closes in the loop's next turn */
void rules_purge(struct rules *r); /* the table goes */

/* From now on, when somebody flushes the ruleset (nftables.service does when it is reloaded), our
 * table comes back. */
int rules_watch(struct network_set *n, struct err *e);
/* Replaces the whole table by what the set's networks and endpoints need, in one transaction. */
int rules_rebuild(struct network_set *n, struct err *e);
/* The endpoint that has these ports must be in its network's list already (or no longer). */
int rules_publish(struct network_set *n, const struct port_list *l, struct err *e);
void rules_unpublish(struct network_set *n, const struct port_list *l);
/* Forgets inherited elements. True when there were any. */
bool rules_settle(struct rules *r);
/* The host port that reached this container port before a restart, or 0. */
uint16_t rules_remembered(const struct rules *r, const struct port *p);
/* The host port led to another container before a restart. */
bool rules_lead_elsewhere(const struct rules *r, const struct port *p);
/* In one transaction: the first are no longer published, the others are. */
int rules_replace(struct network_set *n, const struct port_list *gone, const struct port_list *come,
	struct err *e);
