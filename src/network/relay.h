/* network/relay.h - published ports that packet filters cannot lead to their container: of IPv6
 * addresses to a container that has only IPv4, and of ::1, whose packets cannot leave the host.
 *
 * The bytes are carried by the daemon, as Docker's proxy does: the container sees this host as its
 * client. Every stream holds at most one buffer each way; connections and flows are bounded.
 */
#pragma once
#include "network/ports.h"

#define RELAY_CONNECTIONS_MAX 1024 /* of one port */
#define RELAY_FLOWS_MAX 256        /* of datagrams, of one port */

typedef struct uv_loop_s uv_loop_t;
struct relay;

/* Listens on the socket that holds the port, whose fd stays p's. NULL when it cannot. */
struct relay *relay_start(uv_loop_t *l, const struct port *p);
void relay_stop(struct relay *r); /* connections end; memory goes in the loop's next turns */
