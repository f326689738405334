/* network/resolver.h - the DNS server at 127.0.0.11 that containers on user-defined networks see.
 *
 * A container's two sockets live in its network namespace, where a nat rule leads port 53 of
 * 127.0.0.11 to them; the container may use port 53 itself. Names of the networks that the
 * container is on are answered here; all others go to the upstream servers by sockets of our own
 * namespace, each with a port and an id of its own.
 */
#pragma once
#include <stddef.h>

#include "base/err.h"
#include "base/strv.h"

struct network_set;
struct resolver;

struct resolver *resolver_new(struct network_set *n);
/* Handles close in the loop's next turns; sockets are closed then. */
void resolver_free(struct resolver *r);

int resolver_start(struct resolver *r, const char *container_id, int netns_fd, struct err *e);
void resolver_stop(struct resolver *r, const char *container_id);
/* Closes the sockets but remembers that the container wants them; resume opens them again if it was
 * parked. */
void resolver_park(struct resolver *r, const char *container_id);
void resolver_resume(struct resolver *r, const char *container_id, int netns_fd);
/* A new fd of the namespace that the container's sockets are in; -1 when there are none. */
int resolver_netns(const struct resolver *r, const char *container_id);
/* Upstream servers of this container alone (docker run --dns), instead of the daemon's. */
void resolver_set_servers(struct resolver *r, const char *container_id, const struct strv *servers);
