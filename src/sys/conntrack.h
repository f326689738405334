/* sys/conntrack.h - forgetting what the kernel remembers about flows of datagrams.
 *
 * A flow keeps the address translation of its first packet for as long as packets come: a client that never pauses would talk to a
 * container that is gone, or past one that has come. All return -errno and never log.
 */
#pragma once
#include <netinet/in.h>
#include <stdint.h>

/* Forgets the IPv4 flows of this protocol that were sent to port (host byte order) of address; address 0: any. */
int conntrack_forget(uint8_t proto, struct in_addr address, uint16_t port);
