/* compose/request_parts.h - members of a request that are left out when the file says nothing; for
 * request*.c only. */
#pragma once
#include <jansson.h>

#include "compose/request.h"

#define COMPOSE_VERSION \
	"2.40.3" /* what docker compose writes as its own version; tools compare it */

json_t *request_words(const struct words *w);
json_t *request_pairs(const struct pairs *p); /* a name without a value gets "" */
void request_put_words(json_t *o, const char *key, const struct words *w);
void request_put_text(json_t *o, const char *key, const char *text);
void request_put_number(json_t *o, const char *key, int64_t value);
void request_put_true(json_t *o, const char *key, bool value);

/* request_host.c: NULL with *e. */
json_t *request_host(const struct project *p, const struct request_container *r, struct err *e);
/* request_limits.c: what it may use, devices among it. */
void request_put_limits(json_t *host, const struct service *s);
/* "vendor.com/class=name" of the Container Device Interface, which no path looks like. */
bool request_is_cdi(const struct device *d);
/* request_mounts.c: Binds, Mounts and Tmpfs of a HostConfig. */
void request_put_mounts(json_t *host, const struct project *p, const struct request_container *r);
/* request_network.c: by the names of the networks. links: on a network with names of its own
 * dockerd reads them from the endpoint, elsewhere from HostConfig. */
json_t *request_endpoints(
	const struct project *p, const struct request_container *r, json_t *links);
json_t *request_port_bindings(const struct service *s);
