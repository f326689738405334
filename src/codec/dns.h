/* codec/dns.h - DNS messages (RFC 1035, RFC 6891): reads questions, writes short answers, compares
 * the two.
 *
 * Bytes in, bytes out. A message that is passed on is never taken apart further than its question.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"

#define DNS_NAME_MAX 256 /* text with its NUL, without the last dot */
#define DNS_HEADER_BYTES 12
#define DNS_UDP_BYTES 512 /* an answer's limit for who does not say more (RFC 1035 4.2.1) */
#define DNS_MESSAGE_MAX 65535

enum {
	DNS_TYPE_A = 1,
	DNS_TYPE_PTR = 12,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_OPT = 41,
	DNS_TYPE_ANY = 255
};
enum { DNS_CLASS_IN = 1 };
enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
};

struct dns_query {
	uint16_t id;
	uint8_t opcode;
	bool recursion;          /* desired */
	char name[DNS_NAME_MAX]; /* lower case; "" for the root and for names that are no text */
	uint16_t type;
	uint16_t class;
	const uint8_t *question; /* its bytes, borrowed from the message; NULL when there is none */
	size_t question_bytes;
	bool edns;
	uint16_t udp_bytes; /* the longest answer by UDP that the asker takes */
};
/* 0; -EINVAL for what must not be answered (no header, or an answer itself); -EBADMSG for what is
 * to be answered with DNS_FORMERR, then only id, opcode and recursion are good. */
int dns_parse_query(const uint8_t *message, size_t n, struct dns_query *ret);

struct dns_answer {
	uint16_t type;              /* DNS_TYPE_A, DNS_TYPE_AAAA or DNS_TYPE_PTR */
	uint8_t address[IP6_BYTES]; /* 4 bytes of an A */
	const char *target;         /* of a PTR: dotted text */
};
/* Writes an answer of at most limit bytes (at least DNS_UDP_BYTES) to out; records that do not fit
 * are left out and the answer says that it is truncated. Returns its length. */
size_t dns_write_answer(const struct dns_query *q, enum dns_rcode rcode, uint32_t ttl,
	const struct dns_answer *answers, size_t n, uint8_t *out, size_t limit);

/* True when answer answers query: id, one question, the same but for the case of letters. */
bool dns_is_answer_to(const uint8_t *query, size_t query_n, const uint8_t *answer, size_t answer_n);

/* Of messages of at least DNS_HEADER_BYTES. */
uint16_t dns_id(const uint8_t *message);
void dns_set_id(uint8_t *message, uint16_t id);
enum dns_rcode dns_rcode(const uint8_t *message);
bool dns_is_truncated(const uint8_t *message);

/* "4.3.2.1.in-addr.arpa" is 1.2.3.4 (RFC 1035 3.5), 32 nibbles and "ip6.arpa" an IPv6 address (RFC
 * 3596 2.5). */
bool dns_parse_reverse(const char *name, struct ip *ret_address);
