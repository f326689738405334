/* Whatever is asked is answered within the limit, to the question that was asked, and never
 * mistaken for another's. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_answer(const uint8_t *query, size_t n, const struct dns_query *q)
{
	struct dns_answer records[40];
	uint8_t out[4096];
	for (size_t i = 0; i < 40; i++) {
		records[i] = (struct dns_answer){.type = i % 3 == 0   ? DNS_TYPE_PTR
							 : i % 3 == 1 ? DNS_TYPE_A
								      : DNS_TYPE_AAAA,
			.address = {10, 0, 0, (uint8_t)i},
			.target = "some.container.on.a.network"};
	}
	for (size_t limit = DNS_UDP_BYTES; limit <= sizeof(out); limit *= 2) {
		size_t used = dns_write_answer(q, DNS_NOERROR, 60, records, 40, out, limit);
		assert(used >= DNS_HEADER_BYTES && used <= limit);
		assert(dns_id(out) == q->id && dns_rcode(out) == DNS_NOERROR);
		assert(dns_is_answer_to(query, n, out, used) == (q->question != NULL));
		out[0] ^= 1;
		assert(!dns_is_answer_to(query, n, out, used));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_query q;
	struct ip address;
	int r = dns_parse_query(data, size, &q);
	assert(size >= DNS_HEADER_BYTES || r < 0);
	if (r == 0) {
		assert(strlen(q.name) < DNS_NAME_MAX && q.udp_bytes >= DNS_UDP_BYTES);
		assert(q.question == data + DNS_HEADER_BYTES &&
			q.question_bytes <= size - DNS_HEADER_BYTES);
		(void)dns_parse_reverse(q.name, &address);
	}
	if (size >= DNS_HEADER_BYTES && !(data[2] & 0x80)) {
		check_answer(data, size, &q);
	}
	/* A query and an answer in one input: no matter what either holds, nothing is read beyond
	 * its end. */
	(void)dns_is_answer_to(data, size / 2, data + size / 2, size - size / 2);
	return 0;
}
