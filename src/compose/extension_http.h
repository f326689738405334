/* compose/extension_http.h - x-wherry.http of a service: the fields of ingress/route.h as labels.
 *
 *   x-wherry:
 *     http: {host: wiki, port: 8080, auth: login}
 *
 * becomes wherry.http.host, wherry.http.port, wherry.http.auth; of a list of several each has a
 * name, which stands before the field.
 */
#pragma once
#include "compose/loader.h"

/* labels: the service's, to which they are added where they are not given. */
int extension_http(
	struct loader *l, struct node *labels, const struct node *http, const char *service);
