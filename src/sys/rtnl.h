/* sys/rtnl.h - links, addresses and routes by rtnetlink, a batch of changes in one system call.
 *
 * A struct rtnl is a socket in one network namespace and a queue of requests. The queuing calls
 * only write to memory; rtnl_commit sends them, in order, and stops at none: it returns the first
 * failure. All return -errno and never log.
 */
#pragma once
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"

#define RTNL_BATCH_BYTES 8192
#define RTNL_ALIAS_MAX 64

struct rtnl {
	int fd;
	uint32_t seq;
	uint32_t queued; /* requests in batch, each wants an acknowledgement */
	size_t used;
	_Alignas(8) char batch[RTNL_BATCH_BYTES];
};

/* netns_fd is borrowed; -1 is our own namespace. */
int rtnl_open(struct rtnl *r, int netns_fd);
void rtnl_close(struct rtnl *r); /* what is still queued is forgotten */
static inline void scoped_rtnl(struct rtnl *r)
{
	rtnl_close(r);
}
#define RTNL_INIT        \
	{                \
		.fd = -1 \
	}

int rtnl_commit(struct rtnl *r);

/* -ENOBUFS from any of these: commit first. */
/* A bridge that is up; mac and alias may be NULL. The alias is what `ip link` shows and
 * rtnl_each_link returns. */
int rtnl_add_bridge(struct rtnl *r, const char *name, const uint8_t mac[6], const char *alias);
/* A pair: the end here joins bridge master and is up, the other is born in peer_netns_fd and is
 * down. */
struct rtnl_veth {
	const char *name;
	uint32_t master; /* index of the bridge, or 0 */
	const char *peer_name;
	int peer_netns_fd;
	const uint8_t *peer_mac; /* 6 bytes, or NULL */
	uint32_t mtu;            /* of both ends, 0: the kernel's 1500 */
};
int rtnl_add_veth(struct rtnl *r, const struct rtnl_veth *v);
/* A link that is down: a child of another ("macvlan", "ipvlan", "vlan"), or alone ("dummy"). */
struct rtnl_child {
	const char *name;
	const char *kind;
	uint32_t parent; /* index in the namespace of r, or 0 */
	int netns_fd;    /* where it is born; -1: here */
	const uint8_t *mac;
	uint32_t mtu;
	struct rtnl_data {
		uint16_t type; /* IFLA_MACVLAN_MODE ... */
		uint16_t bytes;
		union {
			uint32_t u32;
			uint16_t u16;
		} value;
	} data[2];
	size_t n_data;
};
int rtnl_add_child(struct rtnl *r, const struct rtnl_child *c);
int rtnl_delete_link(struct rtnl *r, const char *name);
int rtnl_set_up(struct rtnl *r, uint32_t index, bool up);
int rtnl_set_master(struct rtnl *r, uint32_t index, uint32_t master);
int rtnl_rename(struct rtnl *r, uint32_t index, const char *name); /* the link must be down */
int rtnl_set_mtu(struct rtnl *r, uint32_t index, uint32_t mtu);
/* A frame may leave a bridge by the port it came from: a container that calls its own published
 * port. */
int rtnl_set_hairpin(struct rtnl *r, const char *name);
int rtnl_set_alias(struct rtnl *r, uint32_t index, const char *alias);
/* An IPv6 address is usable at once: nobody is asked whether it is taken. */
int rtnl_add_address(struct rtnl *r, uint32_t index, struct ip address, int prefix_len);
int rtnl_delete_address(struct rtnl *r, uint32_t index, struct ip address, int prefix_len);
/* Both replace one that is there; the second leads everything to the link itself. */
int rtnl_add_default_route(struct rtnl *r, uint32_t index, struct ip gateway);
int rtnl_add_default_link(struct rtnl *r, uint32_t index, uint8_t size);
int rtnl_delete_default_route(struct rtnl *r, uint8_t size); /* IP4_BYTES or IP6_BYTES */

/* These ask at once; nothing may be queued. */
int rtnl_index(struct rtnl *r, const char *name, uint32_t *ret); /* -ENODEV */

struct rtnl_link {
	uint32_t index;
	uint32_t master;
	bool up;
	char name[IF_NAMESIZE];
	char kind[16]; /* "bridge", "veth", "" */
	char alias[RTNL_ALIAS_MAX];
};
typedef int rtnl_link_fn(
	void *owner, const struct rtnl_link *link); /* other than 0 is the result in the end */
int rtnl_each_link(struct rtnl *r, rtnl_link_fn *fn, void *owner);

struct rtnl_range {
	struct ip address;
	int prefix_len;
	uint32_t index; /* of the link */
};
typedef int rtnl_range_fn(void *owner, const struct rtnl_range *range);
/* Of both families; routes of the main table, without default routes. */
int rtnl_each_route(struct rtnl *r, rtnl_range_fn *fn, void *owner);
int rtnl_each_address(struct rtnl *r, rtnl_range_fn *fn, void *owner);
