/* network6_test - IPv6 networks in the kernel: run as root, in namespaces of its own. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/path.h"
#include "network_lab.h"

#define FRONT6 \
	"{\"Name\": \"front\", \"EnableIPv6\": true, \"IPAM\": {\"Config\": [{\"Subnet\": \"fd00:71::/64\"}]}}"

static void dual_stack_neighbours_reach_each_other_and_the_outside(void **state)
{
	struct network *w = make_network(FRONT6);
	struct box a = make_box(id_a);
	struct box b = make_box(id_b);
	must_attach(&a, w, "alpha", NULL);
	must_attach(&b, w, "beta", NULL);

	assert_string_equal(a.info.ipv4, "172.18.0.2");
	assert_string_equal(a.info.ipv6, "fd00:71::2");
	assert_string_equal(a.info.gateway6, "fd00:71::1");
	assert_int_equal(a.info.prefix_len6, 64);
	must_call(b.netns, "fd00:71::2", 80, "fd00:71::3");
	must_call(b.netns, "172.18.0.2", 80, "172.18.0.3");
	must_call(-1, "fd00:71::2", 80, "fd00:71::1");
	/* masqueraded */
	must_call(a.netns, "2001:db8:2::2", 80, "2001:db8:2::1");
	/* nobody was invited from outside */
	assert_int_equal(call_from(host.outside, "fd00:71::2", 80, NULL), CALL_SILENCE);

	scoped(json) json_t *doc = network_inspect(w);
	const json_t *row = json_object_get(json_object_get(doc, "Containers"), id_a);
	assert_string_equal(json_str(row, "IPv6Address"), "fd00:71::2/64");
	assert_true(json_bool(doc, "EnableIPv6"));
	drop_box(&a);
	drop_box(&b);
	drop_network(w);
	nothing_is_left();
}

static int has_no_ipv6(void *owner)
{
	scoped(buf) struct buf text = BUF_INIT;
	path_read(AT_FDCWD, "/proc/thread-self/net/if_inet6", 4096, &text);
	return strstr(buf_str(&text), "eth") ? 1 : 0;
}

static void ipv4_networks_have_no_ipv6(void **state)
{
	struct network *w = make_network("{\"Name\": \"front\"}");
	struct box a = make_box(id_a);
	must_attach(&a, w, "alpha", NULL);
	assert_string_equal(a.info.ipv6, "");
	assert_int_equal(netns_run(a.netns, has_no_ipv6, NULL), 0);
	drop_box(&a);
	drop_network(w);
}

static void subnets_come_from_this_hosts_own_prefix(void **state)
{
	struct network *w = make_network("{\"Name\": \"one\", \"EnableIPv6\": true}");
	struct network *v = make_network("{\"Name\": \"two\", \"EnableIPv6\": true}");
	const struct ipam *first = network_subnet(w, IP6_BYTES);
	const struct ipam *second = network_subnet(v, IP6_BYTES);
	assert_int_equal(first->subnet.base.b[0], 0xfd);
	assert_int_equal(first->subnet.len, 64);
	assert_memory_equal(first->subnet.base.b, second->subnet.base.b, 6);
	assert_false(ip_overlap(first->subnet, second->subnet));
	scoped(json) json_t *doc = network_inspect(w);
	assert_int_equal(
		json_array_size(json_object_get(json_object_get(doc, "IPAM"), "Config")), 2);
	drop_network(w);
	drop_network(v);
	nothing_is_left();
}

static void wanted_addresses_are_given(void **state)
{
	struct err e = {0};
	struct network *w = make_network(FRONT6);
	struct box a = make_box(id_a);
	struct box b = make_box(id_b);
	struct endpoint_config c = {.container_id = id_a,
		.container_name = "alpha",
		.ipv4 = "172.18.9.9",
		.ipv6 = "fd00:71::99"};
	assert_int_equal(network_attach(host.set, w, a.netns, &c, &a.info, NULL, &e), 0);
	assert_string_equal(a.info.ipv6, "fd00:71::99");
	assert_string_equal(a.info.mac, "02:42:ac:12:09:09");
	struct endpoint_config d = {
		.container_id = id_b, .container_name = "beta", .ipv6 = "fd00:71::99"};
	assert_int_equal(network_attach(host.set, w, b.netns, &d, &b.info, NULL, &e), -1);
	assert_string_equal(e.msg, "Address already in use");
	d.ipv6 = "fd00:72::1";
	assert_int_equal(network_attach(host.set, w, b.netns, &d, &b.info, NULL, &e), -1);
	assert_non_null(strstr(e.msg, "no configured subnet"));
	drop_box(&a);
	drop_box(&b);
	drop_network(w);
	nothing_is_left();
}

static void published_ports_are_reached_by_both_families(void **state)
{
	struct network *w = make_network(FRONT6);
	struct box a = make_box(id_a);
	struct box b = make_box(id_b);
	must_attach(&a, w, "alpha",
		"{\"80/tcp\": [{\"HostPort\": \"8080\"}, {\"HostIp\": \"::1\", \"HostPort\": \"8081\"},"
		"{\"HostIp\": \"2001:db8:2::1\", \"HostPort\": \"8082\"}, {\"HostIp\": \"::\", \"HostPort\": \"8083\"},"
		"{\"HostIp\": \"0.0.0.0\", \"HostPort\": \"8084\"}]}");
	must_attach(&b, network_find(host.set, "bridge", NULL), "beta", NULL);

	assert_int_equal(count_published(), 5); /* ::1 is no packet filter's affair */
	/* the caller's own address is what the container sees */
	must_call(host.outside, "2001:db8:2::1", 8080, "2001:db8:2::2");
	must_call(host.outside, "192.0.2.1", 8080, "192.0.2.2");
	must_call(-1, "::1", 8080, NULL);
	must_call(-1, "2001:db8:2::1", 8080, NULL);
	must_call(a.netns, "2001:db8:2::1", 8080, NULL); /* its own */
	must_call(-1, "::1", 8081, NULL);
	assert_int_not_equal(call_from(host.outside, "2001:db8:2::1", 8081, NULL), CALL_OK);
	must_call(host.outside, "2001:db8:2::1", 8082, NULL);
	assert_int_not_equal(call_from(-1, "::1", 8082, NULL), CALL_OK);
	must_call(host.outside, "2001:db8:2::1", 8083, NULL);
	assert_int_not_equal(call_from(host.outside, "192.0.2.1", 8083, NULL), CALL_OK);
	must_call(host.outside, "192.0.2.1", 8084, NULL);
	assert_int_not_equal(call_from(host.outside, "2001:db8:2::1", 8084, NULL), CALL_OK);
	drop_box(&a);
	drop_box(&b);
	drop_network(w);
	nothing_is_left();
}

static void ipv6_ports_lead_to_ipv4_containers(void **state)
{
	struct network *w = make_network("{\"Name\": \"front\"}");
	struct box a = make_box(id_a);
	must_attach(&a, w, "alpha", "{\"80/tcp\": [{\"HostPort\": \"8080\"}]}");

	assert_int_equal(count_published(), 1);
	must_call(-1, "::1", 8080, "172.18.0.1");
	must_call(-1, "2001:db8:2::1", 8080, "172.18.0.1");
	must_call(host.outside, "2001:db8:2::1", 8080, "172.18.0.1");
	must_call(host.outside, "192.0.2.1", 8080, "192.0.2.2");
	drop_box(&a);
	assert_int_equal(call_from(-1, "::1", 8080, NULL), CALL_REFUSED);
	/* ended connections are no obstacle to the next one who publishes the port */
	a = make_box(id_a);
	must_attach(&a, w, "alpha", "{\"80/tcp\": [{\"HostPort\": \"8080\"}]}");
	must_call(-1, "::1", 8080, NULL);
	drop_box(&a);
	drop_network(w);
	nothing_is_left();
}

/* Sends datagrams until an answer comes. */
static int ask_echo(const void *arg)
{
	struct sockaddr_storage a;
	socklen_t size = lab_address(arg, 5000, &a);
	struct timeval limit = {.tv_usec = 200000};
	char answer[8];
	int fd = socket(a.ss_family, SOCK_DGRAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	for (int i = 0; i < 50; i++) {
		if (sendto(fd, "ping", 4, 0, (struct sockaddr *)&a, size) == 4 &&
			recv(fd, answer, sizeof(answer), 0) == 4) {
			return 0;
		}
	}
	return 1;
}

static int serve_echo(const void *arg)
{
	struct sockaddr_storage a;
	socklen_t size = lab_address(arg, 5000, &a);
	int fd = socket(a.ss_family, SOCK_DGRAM, 0);
	if (bind(fd, (struct sockaddr *)&a, size) < 0) {
		return 1;
	}
	for (;;) {
		char text[8];
		size = sizeof(a);
		ssize_t n = recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&a, &size);
		if (n > 0) {
			sendto(fd, text, (size_t)n, 0, (struct sockaddr *)&a, size);
		}
	}
}

static void datagrams_of_both_families_are_answered(void **state)
{
	const char *ports = "{\"5000/udp\": [{\"HostPort\": \"5000\"}]}";
	struct network *w = make_network("{\"Name\": \"front\"}");
	struct network *v = make_network(
		"{\"Name\": \"back\", \"EnableIPv6\": true, \"IPAM\": {\"Config\": [{\"Subnet\": \"fd00:71::/64\"}]}}");
	struct network *each[] = {w, v};
	for (size_t i = 0; i < 2; i++) {
		struct box a = make_box(id_a);
		pid_t server = spawn_in(a.netns, serve_echo, i ? "::" : "0.0.0.0");
		must_attach(&a, each[i], "alpha", ports);
		assert_int_equal(run_in(-1, ask_echo, "127.0.0.1"), 0);
		assert_int_equal(run_in(-1, ask_echo, "::1"), 0);
		assert_int_equal(run_in(host.outside, ask_echo, "192.0.2.1"), 0);
		assert_int_equal(run_in(host.outside, ask_echo, "2001:db8:2::1"), 0);
		stop(server);
		drop_box(&a);
	}
	drop_network(w);
	drop_network(v);
	nothing_is_left();
}

static void names_have_addresses_of_both_families(void **state)
{
	struct network *w = make_network(FRONT6);
	struct box a = make_box(id_a);
	struct box b = make_box(id_b);
	must_attach(&a, w, "alpha", NULL);
	must_attach(&b, w, "beta", NULL);

	for (int tcp = 0; tcp < 2; tcp++) {
		assert_int_equal(ask_from(a.netns, "beta", 1, tcp), 3);
		assert_int_equal(ask_from(a.netns, "beta", 28, tcp), 3);
		assert_int_equal(ask_from(a.netns, "alias-beta.front", 28, tcp), 3);
		assert_int_equal(ask_from(a.netns,
					 "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.7.0.0."
					 "0.0.d.f.ip6.arpa",
					 12, tcp),
			240);
	}
	drop_box(&a);
	drop_box(&b);
	drop_network(w);
	nothing_is_left();
}

static void containers_survive_a_restart_of_the_daemon(void **state)
{
	struct err e = {0};
	struct network *w = make_network(FRONT6);
	char network[65];
	snprintf(network, sizeof(network), "%s", network_id(w));
	struct box a = make_box(id_a);
	const char *bindings = "{\"80/tcp\": [{\"HostIp\": \"::\", \"HostPort\": \"8080\"}]}";
	must_attach(&a, w, "alpha", bindings);
	network_set_free(host.set);
	uv_run(&host.loop, UV_RUN_DEFAULT);
	must_call(host.outside, "2001:db8:2::1", 8080, NULL);
	open_set();
	assert_int_equal(count_published(), 1); /* inherited */
	scoped(json) json_t *ports = json_loads(bindings, 0, NULL);
	const struct endpoint_config c = {
		.container_id = id_a, .container_name = "alpha", .ports = ports};
	assert_int_equal(network_restore(host.set, &a.info, a.netns, &c, &e), 0);
	must_call(host.outside, "2001:db8:2::1", 8080, "2001:db8:2::2");
	drop_box(&a);
	drop_network(network_find(host.set, network, &e));
	nothing_is_left();
}

static void isolation_holds_for_ipv6(void **state)
{
	struct network *w = make_network(FRONT6);
	struct network *v = make_network(
		"{\"Name\": \"back\", \"EnableIPv6\": true, \"Internal\": true, \"IPAM\": {\"Config\": [{\"Subnet\": \"fd00:72::/64\"}]}}");
	struct box a = make_box(id_a);
	struct box b = make_box(id_b);
	must_attach(&a, w, "alpha", NULL);
	must_attach(&b, v, "beta", NULL);
	assert_string_equal(b.info.gateway6, "");
	assert_int_equal(call_from(a.netns, "fd00:72::2", 80, NULL), CALL_SILENCE);
	assert_int_not_equal(call_from(b.netns, "2001:db8:2::2", 80, NULL), CALL_OK);
	must_call(-1, "fd00:72::2", 80, NULL);
	drop_box(&a);
	drop_box(&b);
	drop_network(w);
	drop_network(v);
	nothing_is_left();
}

static void default_bridge_follows_the_settings(void **state)
{
	network_set_purge(host.set);
	network_set_free(host.set);
	uv_run(&host.loop, UV_RUN_DEFAULT);
	host.settings = json_loads(
		"{\"ipv6\": true, \"fixed-cidr-v6\": \"fd00:99::/64\", \"bip\": \"10.44.0.1/24\","
		"\"fixed-cidr\": \"10.44.0.128/25\", \"mtu\": 1400, \"ip\": \"127.0.0.1\","
		"\"default-network-opts\": {\"bridge\": {\"com.docker.network.driver.mtu\": \"1300\"}}}",
		0, NULL);
	open_set();
	struct err e = {0};
	struct network *w = network_find(host.set, "bridge", &e);
	struct box a = make_box(id_a);
	must_attach(&a, w, "alpha", "{\"80/tcp\": [{\"HostPort\": \"8080\"}]}");
	assert_string_equal(a.info.ipv4, "10.44.0.128");
	assert_string_equal(a.info.ipv6, "fd00:99::2");
	assert_int_equal(w->mtu, 1400);
	struct network *v = make_network("{\"Name\": \"front\"}");
	assert_int_equal(v->mtu, 1300);
	drop_network(v);
	assert_int_equal(count_published(), 1);
	must_call(-1, "127.0.0.1", 8080, NULL);
	assert_int_not_equal(call_from(host.outside, "192.0.2.1", 8080, NULL), CALL_OK);
	drop_box(&a);
	nothing_is_left();
	network_set_purge(host.set);
	network_set_free(host.set);
	uv_run(&host.loop, UV_RUN_DEFAULT);
	json_decref(TAKE(host.settings));
	open_set(); /* without them it is as before, but for the subnet that it had */
	w = network_find(host.set, "bridge", &e);
	assert_false(w->ipv6);
	assert_string_equal(
		json_str(json_array_get(
				 json_object_get(json_object_get(w->doc, "IPAM"), "Config"), 0),
			"Subnet"),
		"10.44.0.0/24");
	nothing_is_left();
}

int main(void)
{
	int skip = lab_enter();
	if (skip) {
		return skip;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dual_stack_neighbours_reach_each_other_and_the_outside),
		cmocka_unit_test(ipv4_networks_have_no_ipv6),
		cmocka_unit_test(subnets_come_from_this_hosts_own_prefix),
		cmocka_unit_test(wanted_addresses_are_given),
		cmocka_unit_test(published_ports_are_reached_by_both_families),
		cmocka_unit_test(ipv6_ports_lead_to_ipv4_containers),
		cmocka_unit_test(datagrams_of_both_families_are_answered),
		cmocka_unit_test(names_have_addresses_of_both_families),
		cmocka_unit_test(containers_survive_a_restart_of_the_daemon),
		cmocka_unit_test(isolation_holds_for_ipv6),
		cmocka_unit_test(default_bridge_follows_the_settings),
	};
	return cmocka_run_group_tests(tests, start_host, stop_host);
}
