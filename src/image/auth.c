/* Credentials by registry, as X-Registry-Config brings them; Docker Hub goes by the name of its
 * first API. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "image/store.h"

json_t *image_auth_find(json_t *auths, const struct ref *r)
{
	const bool hub = strcmp(r->domain, REF_DEFAULT_DOMAIN) == 0;
	const char *key = hub ? "https://index.docker.io/v1/" : r->domain;
	scoped(free) char *https = xasprintf("https://%s", r->domain);
	json_t *found = json_object_get(auths, key);
	found = found ? found : json_object_get(auths, https);
	found = found ? found : json_object_get(auths, r->domain);
	return json_is_object(found) ? json_incref(found) : NULL;
}
