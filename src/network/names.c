#include "network/names.h"

#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "network/internal.h"

/* One whose place another has does not. name is NAME or NAME.NETWORK; n bytes of it are NAME. */
static bool answers_to(const struct endpoint *p, const char *name, size_t n)
{
	for (size_t i = 0; !p->partner && i < p->names.n; i++) {
		if (strlen(p->names.v[i]) == n && strncasecmp(p->names.v[i], name, n) == 0) {
			return true;
		}
	}
	return false;
}

struct lookup {
	unsigned families;
	struct dns_answer *answers;
	size_t n;
	bool known;
};

static void add_answer(struct lookup *l, struct ip a, uint16_t type, unsigned family)
{
	if (!a.size || !(l->families & family) || l->n == NAMES_ADDRESSES_MAX) {
		return;
	}
	struct dns_answer *answer = &l->answers[l->n++];
	*answer = (struct dns_answer){.type = type};
	memcpy(answer->address, a.b, a.size);
}

static void add_endpoint(struct lookup *l, const struct endpoint *p)
{
	l->known = true;
	add_answer(l, p->address, DNS_TYPE_A, NAMES_V4);
	add_answer(l, p->address6, DNS_TYPE_AAAA, NAMES_V6);
}

static void collect(const struct network *w, const char *name, size_t n, struct lookup *l)
{
	list_each (i, &w->endpoints) {
		const struct endpoint *p = container_of(i, struct endpoint, link);
		if (answers_to(p, name, n)) {
			add_endpoint(l, p);
		}
	}
}

/* --link CONTAINER:ALIAS on a user-defined network: ALIAS is a name for that container alone. */
static void collect_linked(
	const struct network *w, const struct endpoint *asker, const char *name, struct lookup *l)
{
	for (size_t i = 0; i < asker->links.n; i++) {
		const char *link = asker->links.v[i];
		size_t n = strcspn(link, ":");
		const char *alias = link[n] ? link + n + 1 : link;
		if (strcasecmp(alias, name) == 0) {
			collect(w, link, n, l);
		}
	}
}

/* Clients take the first address: every one of a service's containers gets its share. */
static void shuffle(struct dns_answer *a, size_t n)
{
	uint8_t random[NAMES_ADDRESSES_MAX] = {0};
	if (n < 2 || getrandom(random, sizeof(random), 0) < 0) {
		return;
	}
	for (size_t i = n; i > 1; i--) {
		size_t k = random[i - 1] % i;
		struct dns_answer t = a[k];
		a[k] = a[i - 1];
		a[i - 1] = t;
	}
}

static const struct endpoint *endpoint_of(const struct network *w, const char *container_id)
{
	return network_uses_dns(w) ? endpoint_find(w, container_id) : NULL;
}

bool names_lookup(const struct network_set *n, const char *container_id, const char *name,
	unsigned families, struct dns_answer ret[static NAMES_ADDRESSES_MAX], size_t *ret_n)
{
	size_t length = strlen(name);
	struct lookup l = {.families = families, .answers = ret};
	map_each (n->by_id, struct network, w) {
		const struct endpoint *asker = length ? endpoint_of(w, container_id) : NULL;
		if (!asker) {
			continue;
		}
		collect_linked(w, asker, name, &l);
		if (!l.known) {
			collect(w, name, length, &l);
		}
		size_t suffix = strlen(network_name(w));
		if (!l.known && length > suffix + 1 && name[length - suffix - 1] == '.' &&
			strcasecmp(name + length - suffix, network_name(w)) == 0) {
			collect(w, name, length - suffix - 1, &l);
		}
		if (l.known) {
			shuffle(ret, l.n);
			break;
		}
	}
	*ret_n = l.n;
	return l.known;
}

bool names_reverse(const struct network_set *n, const char *container_id, struct ip address,
	char text[static DNS_NAME_MAX])
{
	map_each (n->by_id, struct network, w) {
		if (!endpoint_of(w, container_id)) {
			continue;
		}
		list_each (i, &w->endpoints) {
			const struct endpoint *p = container_of(i, struct endpoint, link);
			if (*p->container_name &&
				(ip_equal(p->address, address) || ip_equal(p->address6, address))) {
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
		if (!w->internal && network_has_links(w) && endpoint_find(w, container_id)) {
			return true;
		}
	}
	return false;
}
