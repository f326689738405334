#include "base/ip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

int ip_parse(const char *text, struct ip *ret)
{
	struct ip a = {0};
	if (inet_pton(AF_INET, text, a.b) == 1) {
		a.size = IP4_BYTES;
	} else if (inet_pton(AF_INET6, text, a.b) == 1) {
		a.size = IP6_BYTES;
	} else {
		return -EINVAL;
	}
	*ret = a;
	return 0;
}

int ip_parse_range(const char *text, struct ip_range *ret, struct ip *ret_address)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	struct ip a;
	int len;
	if (!slash || (size_t)(slash - text) >= sizeof(address)) {
		return -EINVAL;
	}
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (ip_parse(address, &a) < 0 || parse_int(slash + 1, 0, ip_bits(a), &len) < 0) {
		return -EINVAL;
	}
	*ret = ip_range_of(a, len);
	if (ret_address) {
		*ret_address = a;
	}
	return 0;
}

const char *ip_format(struct ip a, char text[static IP_TEXT_MAX])
{
	text[0] = '\0';
	if (a.size) {
		inet_ntop(ip_family(a), a.b, text, IP_TEXT_MAX);
	}
	return text;
}

const char *ip_format_range(struct ip_range r, char text[static IP_TEXT_MAX])
{
	ip_format(r.base, text);
	size_t n = strlen(text);
	snprintf(text + n, IP_TEXT_MAX - n, "/%d", r.len & 255);
	return text;
}

struct ip ip_of_bytes(const void *bytes, uint8_t size)
{
	struct ip a = {.size = size};
	memcpy(a.b, bytes, size);
	return a;
}

struct ip ip_of4(uint32_t address)
{
	const uint32_t n = htonl(address);
	return ip_of_bytes(&n, IP4_BYTES);
}

int ip_family(struct ip a)
{
	return a.size == IP4_BYTES ? AF_INET : a.size == IP6_BYTES ? AF_INET6 : AF_UNSPEC;
}

int ip_bits(struct ip a)
{
	return a.size * 8;
}

struct ip ip_any(uint8_t size)
{
	return (struct ip){.size = size};
}

bool ip_is_any(struct ip a)
{
	return a.size && ip_equal(a, ip_any(a.size));
}

bool ip_is_loopback(struct ip a)
{
	const struct ip one = {.size = IP6_BYTES, .b = {[15] = 1}};
	return (a.size == IP4_BYTES && a.b[0] == 127) || ip_equal(a, one);
}

bool ip_is_link_local(struct ip a)
{
	return a.size == IP6_BYTES ? a.b[0] == 0xfe && (a.b[1] & 0xc0) == 0x80
				   : a.size && a.b[0] == 169 && a.b[1] == 254;
}

int ip_compare(struct ip a, struct ip b)
{
	return a.size != b.size ? (int)a.size - (int)b.size : memcmp(a.b, b.b, a.size);
}

bool ip_equal(struct ip a, struct ip b)
{
	return ip_compare(a, b) == 0;
}

socklen_t ip_to_sockaddr(struct ip a, uint16_t port, struct sockaddr_storage *ret)
{
	*ret = (struct sockaddr_storage){.ss_family = (sa_family_t)ip_family(a)};
	if (a.size == IP4_BYTES) {
		struct sockaddr_in *s = (void *)ret;
		s->sin_port = htons(port);
		memcpy(&s->sin_addr, a.b, IP4_BYTES);
		return sizeof(*s);
	}
	struct sockaddr_in6 *s = (void *)ret;
	s->sin6_port = htons(port);
	memcpy(&s->sin6_addr, a.b, IP6_BYTES);
	return sizeof(*s);
}

struct ip ip_mask(uint8_t size, int len)
{
	struct ip m = {.size = size};
	for (int i = 0; i < size; i++) {
		int left = len - 8 * i;
		m.b[i] = left >= 8 ? 0xff : left > 0 ? (uint8_t)(0xff << (8 - left)) : 0;
	}
	return m;
}

struct ip_range ip_range_of(struct ip address, int len)
{
	struct ip_range r = {address, len};
	struct ip mask = ip_mask(address.size, len);
	for (int i = 0; i < address.size; i++) {
		r.base.b[i] &= mask.b[i];
	}
	return r;
}

struct ip ip_last(struct ip_range r)
{
	struct ip mask = ip_mask(r.base.size, r.len);
	struct ip a = r.base;
	for (int i = 0; i < a.size; i++) {
		a.b[i] |= (uint8_t)~mask.b[i];
	}
	return a;
}

struct ip ip_add(struct ip a, uint64_t n, int shift)
{
	unsigned carry = 0;
	int start = shift / 8;
	int bits = shift % 8;
	for (int i = start; i < a.size; i++) {
		int from = 8 * (i - start) - bits; /* the bit of n that comes first in this byte */
		uint64_t part = from >= 64 ? 0 : from < 0 ? n << -from : n >> from;
		unsigned sum = a.b[a.size - 1 - i] + (unsigned)(part & 0xff) + carry;
		a.b[a.size - 1 - i] = (uint8_t)sum;
		carry = sum >> 8;
	}
	return a;
}

bool ip_contains(struct ip_range r, struct ip a)
{
	return a.size == r.base.size && ip_equal(ip_range_of(a, r.len).base, r.base);
}

bool ip_overlap(struct ip_range a, struct ip_range b)
{
	return a.len < b.len ? ip_contains(a, b.base) : ip_contains(b, a.base);
}
