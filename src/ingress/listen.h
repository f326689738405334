/* ingress/listen.h - the host's ports that the ingress listens on, and those that somebody else
 * has.
 *
 * What is taken is left out of the model, so that everything else works; who has it is told with
 * the routes that need it. Pure but for container_publishing.
 */
#pragma once
#include <jansson.h>

#include "ingress/settings.h"
#include "ingress/table.h"

struct container_set;

/* [{"address", "port", "udp"}] for the job; new. */
json_t *listen_ports(const struct ingress_settings *s, const struct route_table *t);
/* "80": taken is [{"port", "udp", "by"}] or NULL. */
bool listen_is_taken(const json_t *taken, uint16_t port, bool udp);
/* Shallow: *ret borrows from s. Ports that are taken are 0. */
void listen_without(
	const struct ingress_settings *s, const json_t *taken, struct ingress_settings *ret);
/* Moves streams whose port is taken behind the others; the number of those that stay. */
size_t listen_hide_streams(struct route_table *t, const json_t *taken);
/* "port 80 is taken by apache2 (pid 812)"; NULL when nothing is. The caller's. */
char *listen_words(const struct container_set *c, const json_t *taken);
