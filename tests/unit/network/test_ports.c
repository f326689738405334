#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "network/ports.h"

#define LOOPBACK 0x7f000063u /* 127.0.0.99 */

static void keys_and_ranges_are_read(void **state)
{
	static const char *const wrong_keys[] = {
		"", "/tcp", "0/tcp", "65536/tcp", "80/TCP", "80/", "80/icmp", "a/tcp", "80-81/tcp"};
	static const char *const wrong_ranges[] = {
		"a", "80-", "-80", "0-5", "90-80", "65536", "80-65536", "80-90-100", " 80"};
	uint8_t proto;
	uint16_t first;
	uint16_t last;

	assert_int_equal(port_parse_key("80/tcp", &proto, &first), 0);
	assert_true(proto == IPPROTO_TCP && first == 80);
	assert_int_equal(port_parse_key("53/udp", &proto, &first), 0);
	assert_true(proto == IPPROTO_UDP && first == 53);
	assert_int_equal(port_parse_key("65535", &proto, &first), 0);
	assert_true(proto == IPPROTO_TCP && first == 65535);
	for (size_t i = 0; i < sizeof(wrong_keys) / sizeof(wrong_keys[0]); i++) {
		assert_int_equal(port_parse_key(wrong_keys[i], &proto, &first), -EINVAL);
	}
	assert_int_equal(port_parse_range("8000-8010", &first, &last), 0);
	assert_true(first == 8000 && last == 8010);
	assert_int_equal(port_parse_range("8080", &first, &last), 0);
	assert_true(first == 8080 && last == 8080);
	assert_int_equal(port_parse_range("", &first, &last), 0);
	assert_true(first == 0 && last == 0);
	assert_int_equal(port_parse_range("0", &first, &last), 0);
	assert_true(first == 0 && last == 0);
	for (size_t i = 0; i < sizeof(wrong_ranges) / sizeof(wrong_ranges[0]); i++) {
		assert_int_equal(port_parse_range(wrong_ranges[i], &first, &last), -EINVAL);
	}
}

static int reserve(const char *text, struct port_list *ret, struct err *e)
{
	struct port_cursor cursor = {0};
	json_t *doc = json_loads(text, 0, NULL);
	const struct port_request r = {
		.bindings = doc, .default_host = ip_of4(LOOPBACK), .address = ip_of4(0xac110002)};
	int result = port_list_reserve(&cursor, &r, ret, e);
	json_decref(doc);
	return result;
}

static bool is_8080(void *owner, const struct port *p)
{
	return p->outside == 8080;
}

static void a_port_that_is_handed_over_is_pending(void **state)
{
	struct port_cursor cursor = {0};
	json_t *doc = json_loads("{\"80/tcp\": [{\"HostPort\": \"8080\"}]}", 0, NULL);
	const struct port_request r = {.bindings = doc,
		.default_host = ip_of4(LOOPBACK),
		.address = ip_of4(0xac110002),
		.is_handed_over = is_8080};
	struct port_list l = {0};
	struct err e;

	assert_int_equal(port_list_reserve(&cursor, &r, &l, &e), 0);

	assert_int_equal(l.n, 1);
	assert_true(l.v[0].pending && l.v[0].fd == -1 && l.v[0].outside == 8080);
	assert_false(port_is_mapped(&l.v[0]));
	json_t *shown = port_list_json(&l);
	assert_int_equal(json_object_size(shown), 0);
	json_decref(shown);
	port_list_deinit(&l);
	json_decref(doc);
}

static void reserved_ports_are_nobody_elses(void **state)
{
	struct port_list first = {0};
	struct port_list second = {0};
	struct err e = {0};
	assert_int_equal(reserve("{\"80/tcp\": [{\"HostPort\": \"\"}]}", &first, &e), 0);
	assert_true(first.v[0].outside >= 32768 && first.v[0].outside <= 60999);
	char text[128];
	char words[128];
	snprintf(text, sizeof(text), "{\"81/tcp\": [{\"HostPort\": \"%u\"}]}", first.v[0].outside);
	snprintf(words, sizeof(words), "Bind for 127.0.0.99:%u failed: port is already allocated",
		first.v[0].outside);

	assert_int_equal(reserve(text, &second, &e), -1);

	assert_int_equal(e.kind, ERR_SYSTEM);
	assert_string_equal(e.msg, words);
	/* a reserved port takes no connections: it does not even listen */
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(first.v[0].outside)};
	a.sin_addr.s_addr = htonl(LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	close(fd);
	port_list_deinit(&first);
	assert_int_equal(reserve(text, &second, &e), 0);
	port_list_deinit(&second);
}

/* A connection to the port that this side ends first, so that its TIME_WAIT stays here. Returns the
 * port. */
static uint16_t end_a_connection(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(LOOPBACK)};
	socklen_t n = sizeof(a);
	char byte;
	int one = 1;
	int server = socket(AF_INET, SOCK_STREAM, 0);
	int client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(server, (struct sockaddr *)&a, n) | listen(server, 1), 0);
	assert_int_equal(getsockname(server, (struct sockaddr *)&a, &n), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&a, n), 0);
	int accepted = accept(server, NULL, NULL);
	close(accepted);
	assert_int_equal(read(client, &byte, 1), 0);
	close(client);
	close(server);
	return ntohs(a.sin_port);
}

static void port_of_ended_connections_is_free_and_then_held(void **state)
{
	struct port_list l = {0};
	struct err e = {0};
	char text[64];
	uint16_t port = end_a_connection();
	snprintf(text, sizeof(text), "{\"80/tcp\": [{\"HostPort\": \"%d\"}]}", port);

	assert_int_equal(reserve(text, &l, &e), 0);

	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(LOOPBACK), .sin_port = htons(port)};
	int one = 1;
	int other = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(other, (struct sockaddr *)&a, sizeof(a)), -1);
	assert_int_equal(errno, ECONNREFUSED); /* held, but nobody listens */
	close(other);
	other = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(
		bind(other, (struct sockaddr *)&a, sizeof(a)), -1); /* what every server does */
	close(other);
	port_list_deinit(&l);
}

static void range_gives_the_next_free_port(void **state)
{
	struct port_list l = {0};
	struct err e = {0};
	assert_int_equal(
		reserve("{\"80/udp\": [{\"HostPort\": \"47000-47002\"}], \"81/udp\": [{\"HostPort\": \"47000-47002\"}],"
			"\"82/udp\": [{\"HostPort\": \"47000-47002\"}]}",
			&l, &e),
		0);
	assert_int_equal(l.n, 3);
	assert_int_equal(l.v[0].outside, 47000);
	assert_int_equal(l.v[1].outside, 47001);
	assert_int_equal(l.v[2].outside, 47002);

	struct port_list none = {0};
	assert_int_equal(reserve("{\"80/udp\": [{\"HostPort\": \"47000-47002\"}]}", &none, &e), -1);
	assert_string_equal(e.msg, "all ports are allocated");
	port_list_deinit(&l);
}

static void nothing_is_kept_when_one_port_fails(void **state)
{
	struct port_list l = {0};
	struct err e = {0};
	assert_int_equal(
		reserve("{\"80/tcp\": [{\"HostPort\": \"47010\"}], \"81/tcp\": [{\"HostPort\": \"47010\"}]}",
			&l, &e),
		-1);
	assert_int_equal(reserve("{\"80/tcp\": [{\"HostPort\": \"47010\"}]}", &l, &e), 0);

	json_t *doc = port_list_json(&l);
	char *text = json_text(doc);
	assert_string_equal(
		text, "{\"80/tcp\":[{\"HostIp\":\"127.0.0.99\",\"HostPort\":\"47010\"}]}");
	free(text);
	json_decref(doc);
	port_list_deinit(&l);
}

static void no_address_means_both_families_at_one_port(void **state)
{
	struct port_list l = {0};
	struct err e = {0};
	struct port_cursor cursor = {0};
	json_t *doc = json_loads("{\"80/udp\": [{\"HostPort\": \"\"}]}", 0, NULL);
	struct port_request r = {.bindings = doc, .address = ip_of4(0xac110002)};

	assert_int_equal(port_list_reserve(&cursor, &r, &l, &e), 0);

	assert_true(l.n == 1 || l.n == 2); /* a machine without IPv6 has one */
	assert_true(ip_equal(l.v[0].host, ip_any(IP4_BYTES)) && !port_is_relayed(&l.v[0]));
	if (l.n == 2) {
		assert_true(ip_equal(l.v[1].host, ip_any(IP6_BYTES)));
		assert_int_equal(l.v[1].outside, l.v[0].outside);
		assert_false(port_is_mapped(&l.v[1])); /* the container has no IPv6 address */
		assert_true(port_is_relayed(&l.v[1]));
	}
	port_list_deinit(&l);
	assert_int_equal(ip_parse("fd00::2", &r.address6), 0);
	assert_int_equal(port_list_reserve(&cursor, &r, &l, &e), 0);
	assert_true(port_is_mapped(&l.v[l.n - 1]));
	json_decref(doc);
	port_list_deinit(&l);
}

static void wrong_bindings_are_refused(void **state)
{
	static const char *const wrong[] = {"{\"80/tcp\": [1]}",
		"{\"80/tcp\": [{\"HostPort\": 80}]}",
		"{\"80/tcp\": [{\"HostIp\": \"localhost\", \"HostPort\": \"80\"}]}",
		"{\"80/xyz\": [{\"HostPort\": \"80\"}]}",
		"{\"80/tcp\": [{\"HostPort\": \"eighty\"}]}"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct port_list l = {0};
		struct err e = {0};
		assert_int_equal(reserve(wrong[i], &l, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

static void exposed_but_unbound_ports_publish_nothing(void **state)
{
	struct port_list l = {0};
	struct err e = {0};
	assert_int_equal(reserve("{\"80/tcp\": [], \"81/tcp\": null}", &l, &e), 0);
	assert_int_equal(l.n, 0);
	port_list_deinit(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_and_ranges_are_read),
		cmocka_unit_test(a_port_that_is_handed_over_is_pending),
		cmocka_unit_test(reserved_ports_are_nobody_elses),
		cmocka_unit_test(port_of_ended_connections_is_free_and_then_held),
		cmocka_unit_test(range_gives_the_next_free_port),
		cmocka_unit_test(nothing_is_kept_when_one_port_fails),
		cmocka_unit_test(no_address_means_both_families_at_one_port),
		cmocka_unit_test(wrong_bindings_are_refused),
		cmocka_unit_test(exposed_but_unbound_ports_publish_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
