#include "network/ipam.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"

#define POOLS_MAX 64
#define SUBNETS_MAX 65536 /* of one pool that are tried */

int ipam_parse_address(const char *text, uint32_t *ret)
{
	struct in_addr a;
	if (inet_pton(AF_INET, text, &a) != 1) {
		return -EINVAL;
	}
	*ret = ntohl(a.s_addr);
	return 0;
}

int ipam_parse_cidr(const char *text, struct ipam_range *ret, uint32_t *ret_address)
{
	char address[INET_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	if (!slash || (size_t)(slash - text) >= sizeof(address)) {
		return -EINVAL;
	}
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	uint32_t a;
	int len;
	if (ipam_parse_address(address, &a) < 0 || parse_int(slash + 1, 0, 32, &len) < 0) {
		return -EINVAL;
	}
	*ret = (struct ipam_range){a & ipam_mask(len), len};
	if (ret_address) {
		*ret_address = a;
	}
	return 0;
}

const char *ipam_format(uint32_t address, char text[static IPAM_TEXT_MAX])
{
	struct in_addr a = {htonl(address)};
	return inet_ntop(AF_INET, &a, text, IPAM_TEXT_MAX);
}

const char *ipam_format_range(struct ipam_range r, char text[static IPAM_TEXT_MAX])
{
	ipam_format(r.base, text);
	size_t n = strlen(text);
	snprintf(text + n, IPAM_TEXT_MAX - n, "/%d", r.len & 63);
	return text;
}

uint32_t ipam_mask(int len)
{
	return len == 0 ? 0 : UINT32_MAX << (32 - len);
}

uint32_t ipam_last(struct ipam_range r)
{
	return r.base | ~ipam_mask(r.len);
}

bool ipam_contains(struct ipam_range r, uint32_t address)
{
	return (address & ipam_mask(r.len)) == r.base;
}

bool ipam_overlap(struct ipam_range a, struct ipam_range b)
{
	int len = a.len < b.len ? a.len : b.len;
	return ((a.base ^ b.base) & ipam_mask(len)) == 0;
}

void ipam_pools_deinit(struct ipam_pools *p)
{
	free(p->v);
	*p = (struct ipam_pools){0};
}

static void add_pool(struct ipam_pools *p, uint32_t base, int len, int size)
{
	p->v = xrealloc(p->v, p->n + 1, sizeof(*p->v));
	p->v[p->n++] = (struct ipam_pool){{base, len}, size};
}

/* moby libnetwork/ipamutils: 172.17 to 172.31 as /16 each, then 192.168.0.0/16 in pieces of /20. */
static void add_default_pools(struct ipam_pools *p)
{
	for (uint32_t second = 17; second <= 31; second++) {
		add_pool(p, 172u << 24 | second << 16, 16, 16);
	}
	add_pool(p, 192u << 24 | 168u << 16, 16, 20);
}

static int read_pool(const json_t *row, struct ipam_pools *p, struct err *e)
{
	const char *base;
	int64_t size;
	struct ipam_range space;
	if (!json_is_object(row)) {
		return err_set(
			e, ERR_INVALID, "an entry of default-address-pools must be an object");
	}
	if (json_get_str(row, "base", &base, e) < 0 || json_get_i64(row, "size", 0, &size, e) < 0) {
		return err_wrap(e, "default-address-pools");
	}
	if (!base || ipam_parse_cidr(base, &space, NULL) < 0) {
		return err_set(e, ERR_INVALID, "default-address-pools: base '%s' is no IPv4 subnet",
			base ? base : "");
	}
	if (size < space.len || size > 30) {
		return err_set(e, ERR_INVALID,
			"default-address-pools: size %lld of %s must lie between %d and 30",
			(long long)size, base, space.len);
	}
	add_pool(p, space.base, space.len, (int)size);
	return 0;
}

int ipam_pools_read(const json_t *doc, struct ipam_pools *ret, struct err *e)
{
	struct ipam_pools pools = {0};
	if (json_array_size(doc) == 0) {
		add_default_pools(&pools);
	}
	if (json_array_size(doc) > POOLS_MAX) {
		return err_set(e, ERR_INVALID, "default-address-pools has more than %d entries",
			POOLS_MAX);
	}
	size_t i;
	json_t *row;
	json_array_foreach (doc, i, row) {
		if (read_pool(row, &pools, e) < 0) {
			ipam_pools_deinit(&pools);
			return -1;
		}
	}
	*ret = pools;
	return 0;
}

static bool is_free(struct ipam_range r, const struct ipam_range *used, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (ipam_overlap(r, used[i])) {
			return false;
		}
	}
	return true;
}

int ipam_pick_subnet(
	const struct ipam_pools *p, const struct ipam_range *used, size_t n, struct ipam_range *ret)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct ipam_pool *pool = &p->v[i];
		int bits = pool->size - pool->space.len;
		uint64_t count = UINT64_C(1) << bits;
		for (uint64_t k = 0; k < count && k < SUBNETS_MAX; k++) {
			struct ipam_range r = {
				pool->space.base + (uint32_t)(k << (32 - pool->size)), pool->size};
			if (is_free(r, used, n)) {
				*ret = r;
				return 0;
			}
		}
	}
	return -ENOSPC;
}

static int compare_addresses(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

/* RFC 3021: in a /31 both addresses are hosts; a /32 is one. */
static bool is_host(struct ipam_range subnet, uint32_t address)
{
	return ipam_contains(subnet, address) &&
	       (subnet.len >= 31 || (address != subnet.base && address != ipam_last(subnet)));
}

int ipam_pick_address(const struct ipam *p, uint32_t *used, size_t n, uint32_t *ret)
{
	qsort(used, n, sizeof(*used), compare_addresses);
	size_t i = 0;
	uint64_t last = ipam_last(p->range);
	for (uint64_t a = p->range.base; a <= last; a++) {
		while (i < n && used[i] < a) {
			i++;
		}
		bool taken = (i < n && used[i] == a) || a == p->gateway ||
			     !is_host(p->subnet, (uint32_t)a);
		if (!taken) {
			*ret = (uint32_t)a;
			return 0;
		}
	}
	return -ENOSPC;
}

int ipam_check_address(const struct ipam *p, const uint32_t *used, size_t n, uint32_t address)
{
	if (!is_host(p->subnet, address)) {
		return -EINVAL;
	}
	if (address == p->gateway) {
		return -EADDRINUSE;
	}
	for (size_t i = 0; i < n; i++) {
		if (used[i] == address) {
			return -EADDRINUSE;
		}
	}
	return 0;
}
