/* sys/conntrack.h - forgetting what the kernel remembers about flows of datagrams.
 *
 * A flow keeps the address translation of its first packet for as long as packets come: a client
 * that never pauses would talk to a container that is gone, or past one that has come. All return
 * -errno and never log.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"

/* True for flows to be forgotten: where their first packet was sent, port in host byte order. */
typedef bool conntrack_match_fn(const void *owner, uint8_t proto, struct ip address, uint16_t port);

/* Forgets the flows of both families that match says. */
int conntrack_forget(conntrack_match_fn *match, const void *owner);
