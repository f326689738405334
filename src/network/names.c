#include "network/names.h"

#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "network/internal.h"

/* name is NAME or NAME.NETWORK; n bytes of it are NAME. */
static bool answers_to(const struct endpoint *p, const char *name, size_t n)
{
	for (size_t i = 0; i < p->names.n; i++) {
		if (strlen(p->names.v[i]) == n && strncasecmp(p->names.v[i], name, n) == 0) {
			return true;
		}
	}
	return false;
}

static size_t collect(const struct network *w, const char *name, size_t n, struct dns_answer *ret)
{
	size_t found = 0;
	list_each (i, &w->endpoints) {
		const struct endpoint *p = container_of(i, struct endpoint, link);
		if (found < NAMES_ADDRESSES_MAX && answers_to(p, name, n)) {
			ret[found++] = (struct dns_answer){.type = DNS_TYPE_A,
				.address = {(uint8_t)(p->address >> 24),
					(uint8_t)(p->address >> 16), (uint8_t)(p->address >> 8),
					(uint8_t)p->address}};
		}
	}
	return found;
}

/* Clients take the first address: every one of a service's containers gets its share. */
static void shuffle(struct dns_answer *a, size_t n)
{
	uint8_t random[NAMES_ADDRESSES_MAX] = {0};
	if (getrandom(random, sizeof(random), 0) < 0) {
		return;
	}
	for (size_t i = n; i > 1; i--) {
		size_t k = random[i - 1] % i;
		struct dns_answer t = a[k];
		a[k] = a[i - 1];
		a[i - 1] = t;
	}
}

static bool sees(const struct network *w, const char *container_id)
{
	return network_uses_dns(w) && endpoint_find(w, container_id);
}

size_t names_lookup(const struct network_set *n, const char *container_id, const char *name,
	struct dns_answer ret[static NAMES_ADDRESSES_MAX])
{
	size_t length = strlen(name);
	map_each (n->by_id, struct network, w) {
		if (length == 0 || !sees(w, container_id)) {
			continue;
		}
		size_t found = collect(w, name, length, ret);
		size_t suffix = strlen(network_name(w));
		if (found == 0 && length > suffix + 1 && name[length - suffix - 1] == '.' &&
			strcasecmp(name + length - suffix, network_name(w)) == 0) {
			found = collect(w, name, length - suffix - 1, ret);
		}
		if (found > 0) {
			shuffle(ret, found);
			return found;
		}
	}
	return 0;
}

bool names_reverse(const struct network_set *n, const char *container_id, const uint8_t address[4],
	char text[static DNS_NAME_MAX])
{
	uint32_t wanted = (uint32_t)address[0] << 24 | (uint32_t)address[1] << 16 |
			  (uint32_t)address[2] << 8 | address[3];
	map_each (n->by_id, struct network, w) {
		if (!sees(w, container_id)) {
			continue;
		}
		list_each (i, &w->endpoints) {
			const struct endpoint *p = container_of(i, struct endpoint, link);
			if (p->address == wanted && *p->container_name) {
				snprintf(text, DNS_NAME_MAX, "%s.%s", p->container_name,
					network_name(w));
				return true;
			}
		}
	}
	return false;
}

bool names_may_leave(const struct network_set *n, const char *container_id)
{
	map_each (n->by_id, struct network, w) {
		if (!w->internal && w->driver == DRIVER_BRIDGE && endpoint_find(w, container_id)) {
			return true;
		}
	}
	return false;
}
