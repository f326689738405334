/* base/ip.h - IPv4 and IPv6 addresses and ranges of them: text and arithmetic.
 *
 * Plain values, in network byte order. No address at all is struct ip with size 0.
 */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define IP4_BYTES 4
#define IP6_BYTES 16

struct ip {
	uint8_t size; /* IP4_BYTES, IP6_BYTES, or 0: none */
	uint8_t b[IP6_BYTES];
};
struct ip_range {
	struct ip base; /* host bits are zero */
	int len;        /* prefix length */
};

int ip_parse(const char *text, struct ip *ret); /* -EINVAL */
/* "172.17.0.0/16", "fd00::/64"; *ret_address (may be NULL) keeps the host bits: "172.17.0.1/16" is
 * 172.17.0.1 in 172.17.0.0/16. -EINVAL */
int ip_parse_range(const char *text, struct ip_range *ret, struct ip *ret_address);
#define IP_TEXT_MAX 52
const char *ip_format(struct ip a, char text[static IP_TEXT_MAX]); /* returns text; "" for none */
const char *ip_format_range(struct ip_range r, char text[static IP_TEXT_MAX]);

struct ip ip_of4(uint32_t address); /* host byte order */
struct ip ip_of_bytes(const void *bytes, uint8_t size);
int ip_family(struct ip a); /* AF_INET, AF_INET6 or AF_UNSPEC */
int ip_bits(struct ip a);   /* 32, 128 or 0 */
struct ip ip_any(uint8_t size);
bool ip_is_any(struct ip a);      /* 0.0.0.0 or :: */
bool ip_is_loopback(struct ip a); /* 127.0.0.0/8 or ::1 */
bool ip_is_link_local(struct ip a);
bool ip_equal(struct ip a, struct ip b);
int ip_compare(struct ip a, struct ip b); /* as memcmp; IPv4 before IPv6 */
/* The socket address with this port (host byte order); returns its length. */
socklen_t ip_to_sockaddr(struct ip a, uint16_t port, struct sockaddr_storage *ret);

struct ip_range ip_range_of(struct ip address, int len); /* the range of that size around it */
struct ip ip_mask(uint8_t size, int len);
struct ip ip_last(struct ip_range r); /* the broadcast address */
/* a + n * 2^shift; what is carried beyond the first bit is lost. */
struct ip ip_add(struct ip a, uint64_t n, int shift);
bool ip_contains(struct ip_range r, struct ip a);
bool ip_overlap(struct ip_range a, struct ip_range b);
