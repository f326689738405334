/* Networks as the Docker API shows them. */
#include <string.h>

#include "base/json.h"
#include "network/internal.h"

static json_t *show_endpoint(const struct endpoint *p)
{
	char address[IPAM_TEXT_MAX + 8] = "";
	if (p->address) {
		snprintf(address, sizeof(address), "%s/%d", p->info.ipv4, p->info.prefix_len);
	}
	json_t *o = json_object();
	json_put_str(o, "Name", p->container_name);
	json_put_str(o, "EndpointID", p->info.endpoint_id);
	json_put_str(o, "MacAddress", p->info.mac);
	json_put_str(o, "IPv4Address", address);
	json_put_str(o, "IPv6Address", "");
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
		json_put(o, key, json_deep_copy(value));
	}
	return o;
}
