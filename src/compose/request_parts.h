/* compose/request_parts.h - members of a request that are left out when the file says nothing; for
 * request*.c only. */
#pragma once
#include <jansson.h>

#include "compose/model.h"

#define COMPOSE_VERSION \
	"2.40.3" /* what docker compose writes as its own version; tools compare it */

json_t *request_words(const struct words *w);
json_t *request_pairs(const struct pairs *p); /* a name without a value gets "" */
void request_put_words(json_t *o, const char *key, const struct words *w);
void request_put_text(json_t *o, const char *key, const char *text);
void request_put_number(json_t *o, const char *key, int64_t value);
void request_put_true(json_t *o, const char *key, bool value);

/* request_mounts.c: Binds, Mounts and Tmpfs of a HostConfig. */
void request_put_mounts(json_t *host, const struct project *p, const struct service *s);
