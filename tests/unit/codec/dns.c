#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/dns.h"

/* id 0x1234, recursion desired, WEB.front IN A */
static const uint8_t question[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03WEB\x05"
				  "front\x00\x00\x01\x00\x01";
#define QUESTION_BYTES (sizeof(question) - 1)

static void question_is_read_in_lower_case(void **state)
{
	struct dns_query q;

	assert_int_equal(dns_parse_query(question, QUESTION_BYTES, &q), 0);

	assert_int_equal(q.id, 0x1234);
	assert_string_equal(q.name, "web.front");
	assert_int_equal(q.type, DNS_TYPE_A);
	assert_int_equal(q.class, DNS_CLASS_IN);
	assert_true(q.recursion);
	assert_false(q.edns);
	assert_int_equal(q.udp_bytes, 512);
}

static void edns_size_is_the_limit(void **state)
{
	struct dns_query q;
	uint8_t m[QUESTION_BYTES + 11];
	memcpy(m, question, QUESTION_BYTES);
	memcpy(m + QUESTION_BYTES, "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00", 11);
	m[11] = 1;

	assert_int_equal(dns_parse_query(m, sizeof(m), &q), 0);

	assert_true(q.edns);
	assert_int_equal(q.udp_bytes, 1232);
}

static void what_is_no_question_is_refused(void **state)
{
	struct dns_query q;
	uint8_t m[QUESTION_BYTES];
	memcpy(m, question, sizeof(m));

	assert_int_equal(dns_parse_query(m, 11, &q), -EINVAL);
	m[2] = 0x81; /* an answer: two servers that answer answers never stop */
	assert_int_equal(dns_parse_query(m, sizeof(m), &q), -EINVAL);
	m[2] = 1;
	m[5] = 2; /* two questions */
	assert_int_equal(dns_parse_query(m, sizeof(m), &q), -EBADMSG);
	m[5] = 1;
	m[12] = 0xc0; /* a question that points elsewhere */
	assert_int_equal(dns_parse_query(m, sizeof(m), &q), -EBADMSG);
	for (size_t n = 12; n < QUESTION_BYTES; n++) {
		assert_int_equal(dns_parse_query(question, n, &q), -EBADMSG);
	}
}

static void name_with_a_dot_inside_a_label_is_nobodys(void **state)
{
	static const uint8_t m[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07"
				   "web.x.y\x00\x00\x01\x00\x01";
	struct dns_query q;

	assert_int_equal(dns_parse_query(m, sizeof(m) - 1, &q), 0);

	assert_string_equal(q.name, "");
}

static void answer_repeats_the_question(void **state)
{
	struct dns_query q;
	uint8_t out[512];
	const struct dns_answer a = {.type = DNS_TYPE_A, .address = {172, 18, 0, 2}};
	dns_parse_query(question, QUESTION_BYTES, &q);

	size_t n = dns_write_answer(&q, DNS_NOERROR, 60, &a, 1, out, sizeof(out));

	assert_int_equal(n, QUESTION_BYTES + 16);
	assert_memory_equal(out, "\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00", 12);
	assert_memory_equal(
		out + 12, question + 12, QUESTION_BYTES - 12); /* as it was asked: 0x20 mixing */
	assert_memory_equal(out + QUESTION_BYTES,
		"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xac\x12\x00\x02", 16);
	assert_true(dns_is_answer_to(question, QUESTION_BYTES, out, n));
}

static void what_does_not_fit_is_said_to_be_missing(void **state)
{
	struct dns_query q;
	uint8_t out[512];
	struct dns_answer a[40] = {0};
	for (int i = 0; i < 40; i++) {
		a[i].type = DNS_TYPE_A;
	}
	dns_parse_query(question, QUESTION_BYTES, &q);

	size_t n = dns_write_answer(&q, DNS_NOERROR, 60, a, 40, out, sizeof(out));

	assert_true(n <= 512);
	assert_true(dns_is_truncated(out));
	assert_int_equal(out[7], (512 - QUESTION_BYTES) / 16);
}

static void only_the_answer_to_this_question_counts(void **state)
{
	struct dns_query q;
	uint8_t out[512];
	dns_parse_query(question, QUESTION_BYTES, &q);
	size_t n = dns_write_answer(&q, DNS_NXDOMAIN, 0, NULL, 0, out, sizeof(out));
	assert_true(dns_is_answer_to(question, QUESTION_BYTES, out, n));

	out[13] = 'w'; /* servers may change the case */
	assert_true(dns_is_answer_to(question, QUESTION_BYTES, out, n));
	out[13] = 'v';
	assert_false(dns_is_answer_to(question, QUESTION_BYTES, out, n));
	out[13] = 'W';
	dns_set_id(out, 0x1235);
	assert_false(dns_is_answer_to(question, QUESTION_BYTES, out, n));
	dns_set_id(out, 0x1234);
	assert_false(dns_is_answer_to(question, QUESTION_BYTES, out, 12));
	out[n - 3] = 28; /* another type */
	assert_false(dns_is_answer_to(question, QUESTION_BYTES, out, n));
	assert_false(dns_is_answer_to(question, QUESTION_BYTES, question, QUESTION_BYTES));
}

static void reverse_names_are_addresses(void **state)
{
	struct ip a;
	assert_true(dns_parse_reverse("2.0.18.172.in-addr.arpa", &a));
	assert_int_equal(a.size, IP4_BYTES);
	assert_memory_equal(a.b, "\xac\x12\x00\x02", 4);
	assert_false(dns_parse_reverse("0.18.172.in-addr.arpa", &a));
	assert_false(dns_parse_reverse("256.0.18.172.in-addr.arpa", &a));
	assert_false(dns_parse_reverse("a.0.18.172.in-addr.arpa", &a));
	assert_false(dns_parse_reverse("", &a));
	/* RFC 3596 2.5 */
	assert_true(dns_parse_reverse(
		"b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa", &a));
	assert_int_equal(a.size, IP6_BYTES);
	assert_memory_equal(
		a.b, "\x43\x21\x00\x00\x00\x01\x00\x02\x00\x03\x00\x04\x05\x67\x89\xab", 16);
	assert_false(dns_parse_reverse(
		"b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.g.ip6.arpa", &a));
	assert_false(dns_parse_reverse("b.a.9.8.ip6.arpa", &a));
}

static void ipv6_addresses_are_written_whole(void **state)
{
	const struct dns_answer records[] = {
		{.type = DNS_TYPE_AAAA, .address = {0xfd, [15] = 9}}, {.type = DNS_TYPE_A}};
	struct dns_query q;
	uint8_t out[DNS_UDP_BYTES];
	assert_int_equal(dns_parse_query(question, QUESTION_BYTES, &q), 0);
	size_t n = dns_write_answer(&q, DNS_NOERROR, 60, records, 2, out, sizeof(out));
	assert_int_equal(n, QUESTION_BYTES + 28 + 16);
	assert_int_equal(out[QUESTION_BYTES + 3], DNS_TYPE_AAAA);
	assert_int_equal(out[QUESTION_BYTES + 11], 16);
	assert_int_equal(out[QUESTION_BYTES + 27], 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(question_is_read_in_lower_case),
		cmocka_unit_test(edns_size_is_the_limit),
		cmocka_unit_test(what_is_no_question_is_refused),
		cmocka_unit_test(name_with_a_dot_inside_a_label_is_nobodys),
		cmocka_unit_test(answer_repeats_the_question),
		cmocka_unit_test(what_does_not_fit_is_said_to_be_missing),
		cmocka_unit_test(only_the_answer_to_this_question_counts),
		cmocka_unit_test(reverse_names_are_addresses),
		cmocka_unit_test(ipv6_addresses_are_written_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
