/* sys/conntrack.h - forgetting what the kernel remembers about flows of datagrams.
 *
 * A flow keeps the address translation of its first packet for as long as packets come: a client
 * that never pauses would talk to a container that is gone, or past one that has come. All return
 * -errno and never log.
 */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* True for flows to be forgotten: where their first packet was sent, port in host byte order. */
typedef bool conntrack_match_fn(
	const void *owner, uint8_t proto, struct in_addr address, uint16_t port);

/* Forgets the IPv4 flows that match says. */
int conntrack_forget(conntrack_match_fn *match, const void *owner);
