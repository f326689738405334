/* Networks as the Docker API shows them. */
#include <string.h>

#include "base/json.h"
#include "network/internal.h"

static void put_address(json_t *o, const char *key, const char *address, int prefix_len)
{
	char text[64] = "";
	if (*address) {
		snprintf(text, sizeof(text), "%s/%d", address, prefix_len);
	}
	json_put_str(o, key, text);
}

static json_t *show_endpoint(const struct endpoint *p)
{
	json_t *o = json_object();
	json_put_str(o, "Name", p->container_name);
	json_put_str(o, "EndpointID", p->info.endpoint_id);
	json_put_str(o, "MacAddress", p->info.mac);
	put_address(o, "IPv4Address", p->info.ipv4, p->info.prefix_len);
	put_address(o, "IPv6Address", p->info.ipv6, p->info.prefix_len6);
	return o;
}

json_t *network_inspect(const struct network *w)
{
	json_t *o = json_object();
	const char *key;
	json_t *value;
	json_object_foreach (w->doc, key, value) {
		if (strcmp(key, "Options") == 0) { /* Docker's order of members; people compare */
			json_t *containers = json_object();
			list_each (i, &w->endpoints) {
				const struct endpoint *p = container_of(i, struct endpoint, link);
				json_put(containers, p->container_id, show_endpoint(p));
			}
			json_put(o, "Containers", containers);
		}
		if (strcmp(key, NETWORK_CHOSEN) != 0) {
			json_put(o, key, json_deep_copy(value));
		}
	}
	return o;
}
