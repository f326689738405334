#include "codec/dns.h"

#include <errno.h>
#include <string.h>

#include "base/parse.h"
#include "base/scoped.h"
#include "base/strv.h"

#define FLAG_ANSWER 0x8000
#define FLAG_TRUNCATED 0x0200
#define FLAG_RECURSION_DESIRED 0x0100
#define FLAG_RECURSION_AVAILABLE 0x0080
#define LABEL_MAX 63
#define NAME_BYTES_MAX 255
#define OPT_BYTES 11
#define OUR_UDP_BYTES 1232 /* what we say we take: dnsflagday.net/2020, no fragments */

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* Length of an uncompressed name at p, or 0: a question comes first, so it has nothing to point
 * back to. */
static size_t name_bytes(const uint8_t *p, size_t n)
{
	size_t i = 0;
	while (i < n && i < NAME_BYTES_MAX) {
		uint8_t label = p[i++];
		if (label == 0) {
			return i;
		}
		if (label > LABEL_MAX) {
			return 0;
		}
		i += label;
	}
	return 0;
}

/* The name as text; one with dots or controls inside a label becomes "", which matches nothing of
 * ours. */
static void name_text(const uint8_t *p, char ret[static DNS_NAME_MAX])
{
	size_t n = 0;
	for (uint8_t label; (label = *p++) != 0; p += label) {
		if (n > 0) {
			ret[n++] = '.';
		}
		for (uint8_t i = 0; i < label; i++) {
			if (p[i] <= ' ' || p[i] == '.' || p[i] >= 0x7f) {
				ret[0] = '\0';
				return;
			}
			ret[n++] = (char)lower(p[i]);
		}
	}
	ret[n] = '\0';
}

/* An OPT record alone in the additional section (RFC 6891 6.1.2): root, type, size, ... */
static void read_edns(const uint8_t *p, size_t n, uint16_t records, struct dns_query *q)
{
	if (records != 1 || n < OPT_BYTES || p[0] != 0 || get16(p + 1) != DNS_TYPE_OPT) {
		return;
	}
	uint16_t size = get16(p + 3);
	q->edns = true;
	q->udp_bytes = size < DNS_UDP_BYTES ? DNS_UDP_BYTES : size;
}

int dns_parse_query(const uint8_t *message, size_t n, struct dns_query *ret)
{
	*ret = (struct dns_query){.udp_bytes = DNS_UDP_BYTES};
	if (n < DNS_HEADER_BYTES || get16(message + 2) & FLAG_ANSWER) {
		return -EINVAL;
	}
	uint16_t flags = get16(message + 2);
	ret->id = get16(message);
	ret->opcode = flags >> 11 & 15;
	ret->recursion = flags & FLAG_RECURSION_DESIRED;
	const uint8_t *p = message + DNS_HEADER_BYTES;
	size_t left = n - DNS_HEADER_BYTES;
	size_t name = name_bytes(p, left);
	if (get16(message + 4) != 1 || get16(message + 6) != 0 || get16(message + 8) != 0 ||
		name == 0 || left - name < 4) {
		return -EBADMSG;
	}
	name_text(p, ret->name);
	ret->type = get16(p + name);
	ret->class = get16(p + name + 2);
	ret->question = p;
	ret->question_bytes = name + 4;
	read_edns(p + name + 4, left - name - 4, get16(message + 10), ret);
	return 0;
}

/* Dotted text as labels; 0 when it is no name. */
static size_t put_name(const char *text, uint8_t ret[static NAME_BYTES_MAX])
{
	size_t n = 0;
	while (*text) {
		size_t label = strcspn(text, ".");
		if (label == 0 || label > LABEL_MAX || n + label + 2 > NAME_BYTES_MAX) {
			return 0;
		}
		ret[n++] = (uint8_t)label;
		memcpy(ret + n, text, label);
		n += label;
		text += label + (text[label] == '.');
	}
	ret[n++] = 0;
	return n;
}

/* One record about the question's own name; the number of bytes, or 0 when there is no room. */
static size_t put_record(const struct dns_answer *a, uint32_t ttl, uint8_t *out, size_t room)
{
	uint8_t data[NAME_BYTES_MAX];
	size_t n = a->type == DNS_TYPE_A ? IP4_BYTES : IP6_BYTES;
	if (a->type == DNS_TYPE_A || a->type == DNS_TYPE_AAAA) {
		memcpy(data, a->address, n);
	} else {
		n = put_name(a->target, data);
	}
	if (n == 0 || room < 12 + n) {
		return 0;
	}
	put16(out, 0xc000 | DNS_HEADER_BYTES); /* pointer to the question */
	put16(out + 2, a->type);
	put16(out + 4, DNS_CLASS_IN);
	put32(out + 6, ttl);
	put16(out + 10, (uint16_t)n);
	memcpy(out + 12, data, n);
	return 12 + n;
}

size_t dns_write_answer(const struct dns_query *q, enum dns_rcode rcode, uint32_t ttl,
	const struct dns_answer *answers, size_t n, uint8_t *out, size_t limit)
{
	size_t opt = q->edns ? OPT_BYTES : 0;
	size_t used = DNS_HEADER_BYTES;
	uint16_t written = 0;
	memset(out, 0, DNS_HEADER_BYTES);
	if (q->question) {
		memcpy(out + used, q->question, q->question_bytes);
		used += q->question_bytes;
	}
	while (written < n) {
		size_t record = put_record(&answers[written], ttl, out + used, limit - used - opt);
		if (record == 0) {
			break;
		}
		used += record;
		written++;
	}
	put16(out, q->id);
	put16(out + 2,
		(uint16_t)(FLAG_ANSWER | q->opcode << 11 | (written < n ? FLAG_TRUNCATED : 0) |
			   (q->recursion ? FLAG_RECURSION_DESIRED : 0) | FLAG_RECURSION_AVAILABLE |
			   rcode));
	put16(out + 4, q->question ? 1 : 0);
	put16(out + 6, written);
	if (opt) {
		put16(out + 10, 1);
		memset(out + used, 0, OPT_BYTES);
		put16(out + used + 1, DNS_TYPE_OPT);
		put16(out + used + 3, OUR_UDP_BYTES);
		used += OPT_BYTES;
	}
	return used;
}

bool dns_is_answer_to(const uint8_t *query, size_t query_n, const uint8_t *answer, size_t answer_n)
{
	if (query_n < DNS_HEADER_BYTES || answer_n < DNS_HEADER_BYTES ||
		get16(query) != get16(answer) || !(get16(answer + 2) & FLAG_ANSWER) ||
		get16(query + 4) != 1 || get16(answer + 4) != 1) {
		return false;
	}
	const uint8_t *a = query + DNS_HEADER_BYTES;
	const uint8_t *b = answer + DNS_HEADER_BYTES;
	size_t name = name_bytes(a, query_n - DNS_HEADER_BYTES);
	if (name == 0 || query_n - DNS_HEADER_BYTES < name + 4 ||
		answer_n - DNS_HEADER_BYTES < name + 4) {
		return false;
	}
	for (size_t i = 0; i < name; i++) {
		if (lower(a[i]) != lower(b[i])) {
			return false;
		}
	}
	return memcmp(a + name, b + name, 4) == 0;
}

uint16_t dns_id(const uint8_t *message)
{
	return get16(message);
}

void dns_set_id(uint8_t *message, uint16_t id)
{
	put16(message, id);
}

enum dns_rcode dns_rcode(const uint8_t *message)
{
	return message[3] & 15;
}

bool dns_is_truncated(const uint8_t *message)
{
	return get16(message + 2) & FLAG_TRUNCATED;
}

static bool parse_reverse4(const char *name, struct ip *ret)
{
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, name, '.');
	if (parts.n != 6 || strcmp(parts.v[4], "in-addr") != 0 || strcmp(parts.v[5], "arpa") != 0) {
		return false;
	}
	*ret = ip_any(IP4_BYTES);
	for (size_t i = 0; i < IP4_BYTES; i++) {
		int byte;
		if (parse_int(parts.v[i], 0, 255, &byte) < 0) {
			return false;
		}
		ret->b[3 - i] = (uint8_t)byte;
	}
	return true;
}

/* "1.0.0.0 ... 0.d.f.ip6.arpa": a nibble and a dot 32 times. */
static bool parse_reverse6(const char *name, struct ip *ret)
{
	static const char digits[] = "0123456789abcdef";
	const size_t n = (size_t)4 * IP6_BYTES;
	if (strlen(name) != n + strlen("ip6.arpa") || strcmp(name + n, "ip6.arpa") != 0) {
		return false;
	}
	*ret = ip_any(IP6_BYTES);
	for (size_t i = 0; i < n / 2; i++) {
		const char *digit = strchr(digits, name[2 * i]);
		if (!digit || name[2 * i + 1] != '.') {
			return false;
		}
		size_t nibble = n / 2 - 1 - i;
		ret->b[nibble / 2] |= (uint8_t)((digit - digits) << (nibble % 2 ? 0 : 4));
	}
	return true;
}

bool dns_parse_reverse(const char *name, struct ip *ret_address)
{
	return parse_reverse4(name, ret_address) || parse_reverse6(name, ret_address);
}
