/* worker/port_owner.h - whether a port of the host can be had, and who has it: proc(5) net/tcp,
 * fd/. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

/* {"address": "0.0.0.0" or "::", "port", "udp"}; of an address that this host has not: true. */
bool port_can_be_had(const json_t *port);

/* "apache2 (pid 812)" in *ret, the caller's string, NULL when no process is found that has it: a
 * socket that is bound and on which nobody listens is in no table. Returns true when it is master,
 * whose sockets are its own. */
bool port_find_owner(const json_t *port, pid_t master, char **ret);
