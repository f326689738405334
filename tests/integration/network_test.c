/* network_test - networks in the kernel: run as root, in network and mount namespaces of its own.
 */
#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/path.h"
#include "network_lab.h"

/* --- tests --- */

static void predefined_networks_look_like_dockers(void **state)
{
	struct err e = {0};
	struct network *w = network_find(host.set, "bridge", &e);
	scoped(json) json_t *doc = network_inspect(w);
	const json_t *options = json_object_get(doc, "Options");
	const json_t *config =
		json_array_get(json_object_get(json_object_get(doc, "IPAM"), "Config"), 0);

	assert_string_equal(json_str(doc, "Driver"), "bridge");
	assert_string_equal(json_str(options, "com.docker.network.bridge.name"), PREFIX);
	assert_string_equal(json_str(config, "Subnet"), "172.17.0.0/16");
	assert_string_equal(json_str(config, "Gateway"), "172.17.0.1");
	assert_true(json_is_object(json_object_get(doc, "Containers")));
	assert_non_null(network_find(host.set, "host", &e));
	assert_non_null(network_find(host.set, "none", &e));
	assert_null(network_find(host.set, "nowhere", &e));
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "network nowhere not found");
	assert_int_equal(network_remove(host.set, w, &e), -1);
	assert_int_equal(e.kind, ERR_DENIED);
}

static int reads_zero(void *owner)
{
	scoped(buf) struct buf text = BUF_INIT;
	int r = path_read(AT_FDCWD, owner, 16, &text);
	return r < 0 ? r : buf_str(&text)[0] != '0';
}

/* CVE-2020-13401 */
static void bridges_believe_no_router_advertisements(void **state)
{
	char path[] = "/proc/sys/net/ipv6/conf/" PREFIX "/accept_ra";
	scoped(close) int here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_int_equal(netns_run(here, reads_zero, path), 0);
}

static void neighbours_reach_each_other_and_the_outside(void **state)
{
	struct network *w = make_network("{\"Name\": \"front\"}");
	struct box a = make_box(id_a);
	struct box b = make_box(id_b);
	must_attach(&a, w, "alpha", NULL);
	must_attach(&b, w, "beta", NULL);

	assert_string_equal(a.info.ipv4, "172.18.0.2");
	assert_string_equal(a.info.mac, "02:42:ac:12:00:02");
	assert_string_equal(a.info.ifname, "eth0");
	assert_string_equal(b.info.ipv4, "172.18.0.3");
	must_call(b.netns, a.info.ipv4, 80, b.info.ipv4);
	must_call(-1, a.info.ipv4, 80, "172.18.0.1");
	must_call(a.netns, "192.0.2.2", 80, "192.0.2.1"); /* masqueraded */
	/* nobody was invited from outside */
	assert_int_equal(call_from(host.outside, a.info.ipv4, 80, NULL), CALL_SILENCE);

	scoped(json) json_t *doc = network_inspect(w);
	const json_t *row = json_object_get(json_object_get(doc, "Containers"), id_a);
	assert_string_equal(json_str(row, "IPv4Address"), "172.18.0.2/16");
	assert_string_equal(json_str(row, "Name"), "alpha");
	struct err e = {0};
	assert_int_equal(network_remove(host.set, w, &e), -1);
	assert_non_null(strstr(e.msg, "has active endpoints"));
	drop_box(&a);
	drop_box(&b);
	drop_network(w);
	nothing_is_left();
}

static void networks_are_isolated(void **state)
{
	struct network *w = make_network("{\"Name\": \"front\"}");
	struct network *v = make_network("{\"Name\": \"back\", \"Internal\": true}");
	struct network *x = make_network(
		"{\"Name\": \"shy\", \"Options\": {\"com.docker.network.bridge.enable_icc\": \"false\"}}");
	struct box a = make_box(id_a);
	struct box b = make_box(id_b);
	struct box c = make_box(id_c);
	must_attach(&a, w, "alpha", NULL);
	must_attach(&b, v, "beta", NULL);
	must_attach(&c, x, "gamma", NULL);

	assert_int_equal(call_from(c.netns, a.info.ipv4, 80, NULL), CALL_SILENCE);
	assert_int_equal(call_from(a.netns, b.info.ipv4, 80, NULL), CALL_SILENCE);
	assert_int_not_equal(call_from(b.netns, "192.0.2.2", 80, NULL), CALL_OK);
	must_call(-1, b.info.ipv4, 80, NULL); /* the host is no stranger */
	/* from an internal network no question leaves either */
	assert_int_equal(ask_from(b.netns, "example.com", 1, false), 202);
	assert_int_equal(ask_from(b.netns, "beta", 1, false), 2);
	drop_box(&a);
	must_attach(
		&(struct box){.id = id_a, .netns = b.netns}, x, "alpha", NULL); /* a second leg */
	assert_int_equal(call_from(c.netns, "172.20.0.3", 80, NULL), CALL_SILENCE); /* no icc */
	network_detach(host.set, network_id(x), id_a);
	network_dns_stop(host.set, id_a);
	drop_box(&b);
	drop_box(&c);
	drop_network(w);
	drop_network(v);
	drop_network(x);
	nothing_is_left();
}

static void set_bridge_netfilter(const char *value)
{
	netns_sysctl("bridge/bridge-nf-call-iptables", value);
}

static void published_ports_are_reached_from_everywhere(void **state)
{
	for (int i = 0; i < 2; i++) {
		set_bridge_netfilter(i ? "1" : "0");
		struct network *w = make_network("{\"Name\": \"front\"}");
		struct box a = make_box(id_a);
		struct box b = make_box(id_b);
		must_attach(&a, w, "alpha",
			"{\"80/tcp\": [{\"HostIp\": \"\", \"HostPort\": \"8080\"},"
			"{\"HostIp\": \"127.0.0.1\", \"HostPort\": \"8081\"}, {\"HostIp\": \"192.0.2.1\", \"HostPort\": \"8082\"}]}");
		must_attach(&b, network_find(host.set, "bridge", NULL), "beta", NULL);

		assert_int_equal(count_published(), 3);
		must_call(-1, "127.0.0.1", 8080, "172.18.0.1");
		must_call(-1, "192.0.2.1", 8080, NULL);
		must_call(host.outside, "192.0.2.1", 8080, "192.0.2.2");
		must_call(b.netns, "192.0.2.1", 8080, NULL);
		must_call(a.netns, "192.0.2.1", 8080, NULL); /* its own */
		must_call(a.netns, "172.18.0.1", 8080, NULL);
		must_call(-1, "127.0.0.1", 8081, NULL);
		assert_int_not_equal(call_from(host.outside, "192.0.2.1", 8081, NULL), CALL_OK);
		must_call(host.outside, "192.0.2.1", 8082, NULL);
		assert_int_not_equal(call_from(-1, "127.0.0.1", 8082, NULL), CALL_OK);
		/* a neighbour that sends to 127.0.0.1 of this host by force */
		must_attach(&(struct box){.id = id_c, .netns = b.netns}, w, "gamma", NULL);
		must_call(b.netns, "192.0.2.1", 8080, NULL);
		network_detach(host.set, network_id(w), id_c);
		network_dns_stop(host.set, id_c);
		drop_box(&a);
		drop_box(&b);
		drop_network(w);
		nothing_is_left();
	}
}

static int route_loopback(void *owner)
{
	return netns_sysctl("ipv4/conf/all/route_localnet", "1");
}

static void rules_come_back_after_a_flush(void **state)
{
	struct network *w = make_network("{\"Name\": \"front\"}");
	struct box a = make_box(id_a);
	must_attach(&a, w, "alpha", "{\"80/tcp\": [{\"HostPort\": \"8080\"}]}");
	scoped(close) int fd = nft_open(-1);
	scoped(nft_batch) struct nft_batch b = NFT_BATCH_INIT(NFPROTO_INET);
	uv_run(&host.loop, UV_RUN_NOWAIT);

	nft_delete_table(&b, "wherry-" PREFIX);
	assert_int_equal(nft_commit(fd, &b), 0);
	assert_int_equal(count_published(), 0);
	uv_run(&host.loop, UV_RUN_NOWAIT);

	assert_int_equal(count_published(), 1);
	must_call(-1, "127.0.0.1", 8080, NULL);
	drop_box(&a);
	drop_network(w);
	nothing_is_left();
}

static void loopback_ports_are_closed_to_the_outside(void **state)
{
	struct network *w = make_network("{\"Name\": \"front\"}");
	struct box a = make_box(id_a);
	struct box b = make_box(id_b);
	must_attach(&a, w, "alpha", "{\"80/tcp\": [{\"HostIp\": \"\", \"HostPort\": \"8081\"}]}");
	must_attach(&b, w, "beta", NULL);
	/* neighbours that send packets for 127.0.0.1 over the wire: without a loopback of their own
	 * they can */
	const struct ip loopback = ip_of4(0x7f000001);
	int neighbours[] = {host.outside, b.netns};
	for (size_t i = 0; i < 2; i++) {
		scoped(rtnl) struct rtnl r;
		need(netns_run(neighbours[i], route_loopback, NULL));
		need(rtnl_open(&r, neighbours[i]));
		need(rtnl_delete_address(&r, 1, loopback, 8));
		need(rtnl_commit(&r));
		assert_int_equal(call_from(neighbours[i], "127.0.0.1", 8081, NULL), CALL_SILENCE);
		need(rtnl_add_address(&r, 1, loopback, 8));
		need(rtnl_commit(&r));
	}
	drop_box(&a);
	drop_box(&b);
	drop_network(w);
	nothing_is_left();
}

/* --- datagrams --- */

/* Sends one datagram after the other from one port, for ever; answers decide nothing. */
static int chatter(const void *arg)
{
	struct sockaddr_storage a;
	socklen_t a_size = lab_address("192.0.2.1", 5000, &a);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (connect(fd, (struct sockaddr *)&a, a_size) < 0) {
		return 1;
	}
	for (;;) {
		ssize_t ignored = send(fd, "x", 1, 0);
		usleep(20000 + (ignored > 0));
	}
}

/* 0 when a datagram comes. */
static int listen_for_datagram(const void *arg)
{
	struct sockaddr_storage a;
	socklen_t a_size = lab_address("0.0.0.0", 5000, &a);
	struct timeval limit = {.tv_sec = 60};
	char byte;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (bind(fd, (struct sockaddr *)&a, a_size) < 0) {
		return 2;
	}
	return recv(fd, &byte, 1, 0) == 1 ? 0 : 1;
}

static void datagrams_follow_their_port_to_a_new_container(void **state)
{
	const char *ports = "{\"5000/udp\": [{\"HostPort\": \"5000\"}]}";
	struct network *w = make_network("{\"Name\": \"front\"}");
	pid_t talker = spawn_in(host.outside, chatter, NULL);
	usleep(100000); /* the flow is known before anybody publishes */
	struct box a = make_box(id_a);
	struct box b = make_box(id_b);
	struct box k = make_box(id_c);
	must_attach(&a, w, "alpha", ports);
	must_attach(&k, w, "gamma", NULL);
	assert_int_equal(run_in(a.netns, listen_for_datagram, NULL), 0);
	drop_box(&a);
	must_attach(&b, w, "beta", NULL);
	assert_string_equal(b.info.ipv4, "172.18.0.2"); /* the old target is somebody else now */
	network_detach(host.set, network_id(w), id_c);
	must_attach(&k, w, "gamma", ports);
	assert_string_equal(k.info.ipv4, "172.18.0.3");
	assert_int_equal(run_in(k.netns, listen_for_datagram, NULL), 0);
	stop(talker);
	drop_box(&b);
	drop_box(&k);
	drop_network(w);
	nothing_is_left();
}

static void default_route_moves_when_its_network_goes(void **state)
{
	struct network *w = make_network("{\"Name\": \"front\"}");
	struct network *v = make_network("{\"Name\": \"back\"}");
	struct network *x = make_network("{\"Name\": \"inner\", \"Internal\": true}");
	struct box a = make_box(id_a);
	must_attach(&a, w, "alpha", NULL);
	struct box second = a;
	scoped(strv) struct strv none = STRV_INIT;
	struct err e = {0};
	struct endpoint_config c = {
		.container_id = id_a, .container_name = "alpha", .aliases = &none};
	assert_int_equal(network_attach(host.set, v, a.netns, &c, &second.info, NULL, &e), 0);
	must_call(a.netns, "192.0.2.2", 80, NULL);
	network_detach(host.set, network_id(w), id_a);
	must_call(a.netns, "192.0.2.2", 80, NULL);
	network_detach(host.set, network_id(v), id_a);
	/* an internal network first, and then one that leads outside */
	assert_int_equal(network_attach(host.set, x, a.netns, &c, &second.info, NULL, &e), 0);
	assert_int_not_equal(call_from(a.netns, "192.0.2.2", 80, NULL), CALL_OK);
	assert_int_equal(network_attach(host.set, v, a.netns, &c, &second.info, NULL, &e), 0);
	must_call(a.netns, "192.0.2.2", 80, NULL);
	drop_box(&a);
	drop_network(w);
	drop_network(v);
	drop_network(x);
	nothing_is_left();
}

static void a_taken_port_is_refused_in_dockers_words(void **state)
{
	struct err e = {0};
	struct network *w = make_network("{\"Name\": \"front\"}");
	struct box a = make_box(id_a);
	struct box b = make_box(id_b);
	json_t *ports = NULL;
	assert_int_equal(
		attach(&a, w, "alpha",
			"{\"80/tcp\": [{\"HostPort\": \"8080\"}], \"81/udp\": [{\"HostPort\": \"\"}]}",
			&ports, &e),
		0);
	const json_t *tcp = json_array_get(json_object_get(ports, "80/tcp"), 0);
	const json_t *udp = json_array_get(json_object_get(ports, "81/udp"), 0);
	assert_string_equal(json_str(tcp, "HostIp"), "0.0.0.0");
	assert_string_equal(json_str(tcp, "HostPort"), "8080");
	assert_true(atoi(json_str(udp, "HostPort")) >= 32768);
	json_decref(ports);

	assert_int_equal(
		attach(&b, w, "beta", "{\"80/tcp\": [{\"HostPort\": \"8080\"}]}", NULL, &e), -1);

	char want[256];
	assert_int_equal(e.kind, ERR_SYSTEM);
	assert_non_null(strstr(
		e.msg, "driver failed programming external connectivity on endpoint beta ("));
	snprintf(want, sizeof(want), "): Bind for 0.0.0.0:8080 failed: port is already allocated");
	assert_non_null(strstr(e.msg, want));
	size_t bridges;
	size_t veths;
	count_links(&bridges, &veths);
	assert_int_equal(veths, 1); /* nothing of beta is left */
	assert_int_equal(count_published(), 2);
	/* in a range the next one is taken */
	assert_int_equal(
		attach(&b, w, "beta", "{\"80/tcp\": [{\"HostPort\": \"8080-8085\"}]}", &ports, &e),
		0);
	assert_string_equal(
		json_str(json_array_get(json_object_get(ports, "80/tcp"), 0), "HostPort"), "8081");
	json_decref(ports);
	drop_box(&a);
	drop_box(&b);
	drop_network(w);
	nothing_is_left();
}

static void names_are_answered_here_and_upstream(void **state)
{
	struct network *w = make_network("{\"Name\": \"front\"}");
	struct box a = make_box(id_a);
	struct box b = make_box(id_b);
	must_attach(&a, w, "alpha", NULL);
	must_attach(&b, w, "beta", NULL);

	for (int tcp = 0; tcp < 2; tcp++) {
		assert_int_equal(ask_from(a.netns, "beta", 1, tcp), 3);
		assert_int_equal(ask_from(a.netns, "BETA", 1, tcp), 3);
		assert_int_equal(ask_from(a.netns, "alias-beta.front", 1, tcp), 3);
		assert_int_equal(ask_from(b.netns, "aaaaaaaaaaaa", 1, tcp), 2);
		assert_int_equal(ask_from(a.netns, "beta", 28, tcp), 250); /* known, but no AAAA */
		assert_int_equal(ask_from(a.netns, "3.0.18.172.in-addr.arpa", 12, tcp), 240);
		assert_int_equal(ask_from(a.netns, "example.com", 1, tcp), 9);
	}
	int one = ask_from(a.netns, "everybody", 1, false);
	assert_true(one == 2 || one == 3);
	/* one container asks for much at once: nothing is lost, nothing grows */
	drop_box(&b);
	assert_int_equal(ask_from(a.netns, "beta", 1, false), 9); /* unknown by now: upstream's */
	drop_box(&a);
	drop_network(w);
	nothing_is_left();
}

static void resolver_says_servfail_when_nobody_answers(void **state)
{
	struct network *w = make_network("{\"Name\": \"front\"}");
	struct box a = make_box(id_a);
	scoped(strv) struct strv nowhere = STRV_INIT;
	must_attach(&a, w, "alpha", NULL);
	strv_add(&nowhere, "127.0.0.79");
	network_dns_servers(host.set, id_a, &nowhere);
	assert_int_equal(ask_from(a.netns, "example.com", 1, false), 202);
	assert_int_equal(ask_from(a.netns, "example.com", 1, true), 202);
	drop_box(&a);
	drop_network(w);
}

#define MANY 300
#define FEW 64      /* questions of one container that may be under way: resolver_client.h */
#define AT_ONCE 100 /* that surely fit the resolver's receive buffer: it may be slow to read */

/* Asks MANY questions and leaves a few more waiting on TCP. Exit status 0: all that were too many
 * were refused, and no other one answered. */
static int ask_much(const void *arg)
{
	const struct question q = {.name = "example.com", .type = 1};
	struct sockaddr_storage a;
	socklen_t a_size = lab_address("127.0.0.11", 53, &a);
	struct timeval limit = {.tv_sec = 60};
	uint8_t m[514];
	uint8_t got[512];
	size_t n = write_question(&q, m + 2);
	int refused = 0;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	m[0] = 0;
	m[1] = (uint8_t)n;
	for (int sent = 1; sent <= MANY; sent++) {
		if (sendto(fd, m + 2, n, 0, (struct sockaddr *)&a, a_size) < 0) {
			return 2;
		}
		while (sent % AT_ONCE == 0 && refused < sent - FEW &&
			recv(fd, got, sizeof(got), 0) > 12 && (got[3] & 15) == 2) {
			refused++;
		}
	}
	for (int i = 0; i < 20;
		i++) { /* more than one container may have; the last ones are closed at once */
		int k = socket(AF_INET, SOCK_STREAM, 0);
		ssize_t ignored =
			connect(k, (struct sockaddr *)&a, a_size) == 0 ? write(k, m, n + 2) : 0;
		usleep(1000 + (ignored > 0));
	}
	if (refused != MANY - FEW) {
		fprintf(stderr, "# %d refused\n", refused);
		return 1;
	}
	return 0;
}

static void flood_of_questions_has_a_limit(void **state)
{
	struct network *w = make_network("{\"Name\": \"front\"}");
	struct box a = make_box(id_a);
	struct sockaddr_storage hole;
	socklen_t hole_size =
		lab_address("127.0.0.80", 53, &hole); /* takes questions and never answers */
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	int tcp = socket(AF_INET, SOCK_STREAM, 0);
	scoped(strv) struct strv servers = STRV_INIT;
	assert_int_equal(bind(udp, (struct sockaddr *)&hole, hole_size), 0);
	assert_int_equal(bind(tcp, (struct sockaddr *)&hole, hole_size), 0);
	assert_int_equal(listen(tcp, 100), 0);
	must_attach(&a, w, "alpha", NULL);
	strv_add(&servers, "127.0.0.80");
	network_dns_servers(host.set, id_a, &servers);

	assert_int_equal(run_in(a.netns, ask_much, NULL), 0);

	drop_box(&a); /* with questions and connections under way */
	close(udp);
	close(tcp);
	drop_network(w);
	nothing_is_left();
}

static void another_leg_gets_eth1_and_keeps_names(void **state)
{
	struct network *w = make_network("{\"Name\": \"front\"}");
	struct network *v = make_network("{\"Name\": \"back\"}");
	struct box a = make_box(id_a);
	struct box b = make_box(id_b);
	must_attach(&a, w, "alpha", NULL);
	must_attach(&b, v, "beta", NULL);
	assert_int_equal(ask_from(a.netns, "beta", 1, false), 9);
	struct endpoint_info first = a.info;
	must_attach(&a, v, "alpha", NULL);
	assert_string_equal(a.info.ifname, "eth1");
	assert_int_equal(ask_from(a.netns, "beta", 1, false), 2);
	/* off all networks and back on one: DNS comes back by itself */
	network_detach(host.set, first.network_id, id_a);
	network_detach(host.set, a.info.network_id, id_a);
	struct err e = {0};
	assert_int_equal(attach(&a, v, "alpha", NULL, NULL, &e), 0);
	assert_int_equal(ask_from(a.netns, "beta", 1, false), 2);
	drop_box(&a);
	drop_box(&b);
	drop_network(w);
	drop_network(v);
	nothing_is_left();
}

static void containers_survive_a_restart_of_the_daemon(void **state)
{
	struct err e = {0};
	struct network *w = make_network("{\"Name\": \"front\"}");
	char network[65];
	snprintf(network, sizeof(network), "%s", network_id(w));
	struct box a = make_box(id_a);
	struct box b = make_box(id_b);
	const char *bindings =
		"{\"80/tcp\": [{\"HostPort\": \"8080\"}], \"79/tcp\": [{\"HostPort\": \"\"}]}";
	must_attach(&a, w, "alpha", bindings);
	must_attach(&b, w, "beta", "{\"80/tcp\": [{\"HostPort\": \"8090\"}]}");

	network_set_free(host.set);
	uv_run(&host.loop, UV_RUN_DEFAULT);
	must_call(-1, "127.0.0.1", 8080, NULL); /* nobody is there, and yet */
	open_set();
	must_call(-1, "127.0.0.1", 8080, NULL); /* not restored yet, and yet */

	scoped(json) json_t *ports = json_loads(bindings, 0, NULL);
	const struct endpoint_config c = {
		.container_id = id_a, .container_name = "alpha", .ports = ports};
	assert_int_equal(network_restore(host.set, &a.info, a.netns, &c, &e), 0);
	const struct endpoint_config d = {.container_id = id_b, .container_name = "beta"};
	assert_int_equal(network_restore(host.set, &b.info, b.netns, &d, &e), 0);
	must_call(-1, "127.0.0.1", 8080, NULL);
	assert_int_equal(ask_from(a.netns, "beta", 1, false), 3);
	assert_int_equal(count_published(),
		3); /* 8090 was not asked for again; it goes when things have settled */
	w = network_find(host.set, network, &e);
	assert_non_null(w);
	struct box k = make_box(id_c);
	must_attach(&k, w, "gamma",
		"{\"80/tcp\": [{\"HostPort\": \"8090\"}]}"); /* an inherited port is free to take */
	assert_string_equal(k.info.ipv4, "172.18.0.4");
	must_call(-1, "127.0.0.1", 8090, NULL);
	assert_int_equal(count_published(), 3);
	network_container_renamed(host.set, id_b, "omega");
	assert_int_equal(ask_from(a.netns, "omega", 1, false), 3);
	drop_box(&a);
	drop_box(&b);
	drop_box(&k);
	drop_network(w);
	nothing_is_left();
}

static void what_nobody_claims_goes_when_things_have_settled(void **state)
{
	struct err e = {0};
	size_t bridges;
	size_t veths;
	struct network *w = make_network("{\"Name\": \"front\"}");
	char network[65];
	snprintf(network, sizeof(network), "%s", network_id(w));
	struct box a = make_box(id_a);
	struct box b = make_box(id_b);
	must_attach(&a, w, "alpha", "{\"80/tcp\": [{\"HostPort\": \"8080\"}]}");
	must_attach(&b, w, "beta", "{\"80/tcp\": [{\"HostPort\": \"8090\"}]}");
	network_set_free(host.set);
	uv_run(&host.loop, UV_RUN_DEFAULT);
	open_set();
	const struct endpoint_config c = {.container_id = id_a, .container_name = "alpha"};
	assert_int_equal(network_restore(host.set, &a.info, a.netns, &c, &e), 0);

	network_settle(host.set);

	count_links(&bridges, &veths);
	assert_int_equal(veths, 1);
	assert_int_equal(count_published(), 0);
	must_call(-1, a.info.ipv4, 80, NULL);
	drop_box(&a);
	drop_box(&b);
	drop_network(network_find(host.set, network, &e));
	nothing_is_left();
}

static void stale_bridges_go_at_the_next_start(void **state)
{
	struct network *w = make_network("{\"Name\": \"front\"}");
	struct err e = {0};
	size_t bridges;
	size_t veths;
	assert_int_equal(store_delete(host.store, STORE_NETWORKS, network_id(w), &e), 0);
	network_set_free(host.set);
	uv_run(&host.loop, UV_RUN_DEFAULT);
	count_links(&bridges, &veths);
	assert_int_equal(bridges, 2);
	open_set();
	nothing_is_left();
	assert_null(network_find(host.set, "front", &e));
}

static void wrong_requests_are_refused(void **state)
{
	static const struct {
		const char *body;
		enum err_kind kind;
		const char *words;
	} cases[] = {
		{"{\"Name\": \"front\"}", ERR_CONFLICT, "network with name front already exists"},
		{"{\"Name\": \"bridge\"}", ERR_DENIED,
			"operation is not permitted on predefined bridge network"},
		{"{\"Name\": \" \"}", ERR_INVALID, "invalid name: "},
		{"{\"Name\": \"x\", \"Driver\": \"overlay\"}", ERR_DENIED,
			"This node is not a swarm manager"},
		{"{\"Name\": \"x\", \"IPAM\": {\"Config\": [{\"Subnet\": \"172.18.4.0/24\"}]}}",
			ERR_DENIED, "Pool overlaps"},
		{"{\"Name\": \"x\", \"IPAM\": {\"Config\": [{\"Subnet\": \"192.0.2.0/24\"}]}}",
			ERR_DENIED, "Pool overlaps"},
		{"{\"Name\": \"x\", \"IPAM\": {\"Config\": [{\"Subnet\": \"10.0.0.1/24\"}]}}",
			ERR_INVALID, "invalid subnet 10.0.0.1/24: it should be 10.0.0.0/24"},
		{"{\"Name\": \"x\", \"IPAM\": {\"Config\": [{\"Subnet\": \"10.0.0.0/24\", \"Gateway\": \"10.0.1.1\"}]}}",
			ERR_INVALID, "invalid gateway 10.0.1.1"},
		{"{\"Name\": \"x\", \"Options\": {\"com.docker.network.bridge.enable_icc\": \"perhaps\"}}",
			ERR_INVALID, "enable_icc"},
		{"{\"Name\": \"x\", \"IPAM\": {\"Config\": [{\"Subnet\": \"10.0.0.0/24\"}, {\"Subnet\": \"10.0.1.0/24\"}]}}",
			ERR_DENIED, "bridge driver doesn't support multiple subnets"},
		{"{\"Name\": \"x\", \"IPAM\": {\"Config\": [{\"Subnet\": \"zz\"}, {\"Subnet\": \"10.0.1.3/24\"}]}}",
			ERR_INVALID,
			"invalid network config:\n* invalid subnet zz: invalid CIDR block notation\n* invalid subnet"},
		{"{\"Name\": \"x\", \"Driver\": \"macvlan\", \"Options\": {\"macvlan_mode\": \"x\"}}",
			ERR_INVALID,
			"requested macvlan mode 'x' is not valid, 'bridge' mode is the macvlan driver default"},
		{"{\"Name\": \"x\", \"Driver\": \"ipvlan\", \"Options\": {\"ipvlan_mode\": \"l9\"}}",
			ERR_INVALID, "requested ipvlan mode 'l9' is not valid"},
		{"{\"Name\": \"x\", \"Driver\": \"macvlan\", \"Options\": {\"parent\": \"nope0\"}}",
			ERR_INVALID, "invalid subinterface vlan name nope0"},
		{"{\"Name\": \"x\", \"Driver\": \"macvlan\", \"Options\": {\"parent\": \"nope0.5\"}}",
			ERR_INVALID, "-o parent interface was not found on the host: nope0"},
		{"{\"Name\": \"x\", \"ConfigOnly\": true}", ERR_INVALID,
			"configuration-only networks are not supported"},
		{"{\"Name\": \"x\", \"Scope\": \"swarm\"}", ERR_DENIED,
			"cannot create a swarm scoped network"},
	};
	struct network *w = make_network("{\"Name\": \"front\"}");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e = {0};
		scoped(json) json_t *body = json_loads(cases[i].body, 0, NULL);
		assert_null(network_create(host.set, body, &e));
		if (e.kind != cases[i].kind || !strstr(e.msg, cases[i].words)) {
			fprintf(stderr, "# %s: %d %s\n", cases[i].body, e.kind, e.msg);
		}
		assert_int_equal(e.kind, cases[i].kind);
		assert_non_null(strstr(e.msg, cases[i].words));
	}
	drop_network(w);
	nothing_is_left();
}

static void wanted_addresses_are_given(void **state)
{
	struct err e = {0};
	struct network *w = make_network(
		"{\"Name\": \"fixed\", \"IPAM\": {\"Config\": [{\"Subnet\": \"10.99.0.0/24\","
		"\"Gateway\": \"10.99.0.254\", \"IPRange\": \"10.99.0.128/25\"}]}}");
	struct box a = make_box(id_a);
	struct endpoint_config c = {.container_id = id_a,
		.container_name = "alpha",
		.ipv4 = "10.99.0.7",
		.mac = "02:00:00:00:00:77"};
	assert_int_equal(network_attach(host.set, w, a.netns, &c, &a.info, NULL, &e), 0);
	assert_string_equal(a.info.ipv4, "10.99.0.7");
	assert_string_equal(a.info.gateway, "10.99.0.254");
	assert_string_equal(a.info.mac, "02:00:00:00:00:77");
	must_call(a.netns, "192.0.2.2", 80, "192.0.2.1");
	struct box b = make_box(id_b);
	struct endpoint_config d = {
		.container_id = id_b, .container_name = "beta", .ipv4 = "10.99.0.7"};
	assert_int_equal(network_attach(host.set, w, b.netns, &d, &b.info, NULL, &e), -1);
	d.ipv4 = "10.98.0.7";
	assert_int_equal(network_attach(host.set, w, b.netns, &d, &b.info, NULL, &e), -1);
	d.ipv4 = NULL;
	assert_int_equal(network_attach(host.set, w, b.netns, &d, &b.info, NULL, &e), 0);
	assert_string_equal(b.info.ipv4, "10.99.0.128");
	drop_box(&a);
	drop_box(&b);
	drop_network(w);
	nothing_is_left();
}

static void add_admins_drop(struct nft_batch *b, int32_t priority)
{
	const struct nft_op drop[] = {NFT_CT(0, NFT_CT_STATUS), NFT_MASK(0, IPS_DST_NAT),
		NFT_IS_NOT(0, 0), NFT_VERDICT(NF_DROP), NFT_END};
	nft_add_table(b, "admin");
	nft_add_chain(b, "admin", "forward", "filter", NF_INET_FORWARD, priority);
	nft_add_rule(b, "admin", "forward", drop);
}

static void administrators_rules_decide(void **state)
{
	static const int32_t priorities[] = {-10, 10}; /* before and after ours */
	struct network *w = make_network("{\"Name\": \"front\"}");
	struct box a = make_box(id_a);
	scoped(close) int fd = nft_open(-1);
	must_attach(&a, w, "alpha", "{\"80/tcp\": [{\"HostPort\": \"8080\"}]}");
	for (size_t i = 0; i < 2; i++) {
		scoped(nft_batch) struct nft_batch b = NFT_BATCH_INIT(NFPROTO_INET);
		must_call(host.outside, "192.0.2.1", 8080, NULL);
		add_admins_drop(&b, priorities[i]);
		assert_int_equal(nft_commit(fd, &b), 0);
		assert_int_equal(call_from(host.outside, "192.0.2.1", 8080, NULL), CALL_SILENCE);
		must_call(a.netns, "192.0.2.2", 80, NULL); /* that was not forbidden */
		nft_delete_table(&b, "admin");
		assert_int_equal(nft_commit(fd, &b), 0);
	}
	drop_box(&a);
	drop_network(w);
	nothing_is_left();
}

/* CVE-2025-54388 is how dockerd forgot it when firewalld was reloaded. */
static void containers_cannot_be_routed_to_also_after_a_flush(void **state)
{
	struct network *w = make_network("{\"Name\": \"front\"}");
	struct box a = make_box(id_a);
	scoped(close) int fd = nft_open(-1);
	must_attach(&a, w, "alpha",
		"{\"80/tcp\": [{\"HostIp\": \"127.0.0.1\", \"HostPort\": \"8080\"}]}");
	for (int i = 0; i < 2; i++) {
		scoped(nft_batch) struct nft_batch b = NFT_BATCH_INIT(NFPROTO_INET);
		must_call(-1, "127.0.0.1", 8080, NULL);
		assert_int_equal(call_from(host.outside, a.info.ipv4, 80, NULL), CALL_SILENCE);
		nft_delete_table(&b, TABLE_NAME);
		assert_int_equal(nft_commit(fd, &b), 0);
		uv_run(&host.loop, UV_RUN_NOWAIT);
	}
	drop_box(&a);
	drop_network(w);
	nothing_is_left();
}

static void macvlan_containers_are_neighbours_of_the_outside(void **state)
{
	struct network *w = make_network(
		"{\"Name\": \"lan\", \"Driver\": \"macvlan\", \"Options\": {\"parent\": \"uplink\"}, \"IPAM\": {\"Config\":"
		"[{\"Subnet\": \"192.0.2.0/24\", \"Gateway\": \"192.0.2.2\", \"IPRange\": \"192.0.2.128/25\"}]}}");
	struct network *v = make_network("{\"Name\": \"alone\", \"Driver\": \"macvlan\"}");
	struct box a = make_box(id_a);
	struct box b = make_box(id_b);
	must_attach(&a, w, "alpha", NULL);
	must_attach(&b, w, "beta", NULL);
	assert_string_equal(a.info.ipv4, "192.0.2.128");
	must_call(a.netns, "192.0.2.2", 80, "192.0.2.128"); /* no translation, no host */
	must_call(host.outside, "192.0.2.129", 80, "192.0.2.2");
	must_call(a.netns, "192.0.2.129", 80, "192.0.2.128");
	assert_int_equal(ask_from(a.netns, "beta", 1, false), 129);
	/* a second leg, on a network that leads nowhere, and away again */
	struct endpoint_info first = a.info;
	must_attach(&a, v, "alpha", NULL);
	assert_string_equal(a.info.ifname, "eth1");
	assert_string_equal(a.info.gateway, "");
	network_detach(host.set, a.info.network_id, id_a);
	must_attach(&a, v, "alpha", NULL);
	assert_string_equal(a.info.ifname, "eth1"); /* the first one is gone */
	must_call(a.netns, "192.0.2.2", 80, first.ipv4);
	drop_box(&a);
	drop_box(&b);
	drop_network(w);
	drop_network(v);
	nothing_is_left();
}

/* Kernels without the driver refuse the interface: then nothing stays. */
static void ipvlan_containers_share_the_parents_mac(void **state)
{
	struct err e = {0};
	struct network *w = make_network(
		"{\"Name\": \"lan\", \"Driver\": \"ipvlan\", \"Options\": {\"parent\": \"uplink\", \"ipvlan_mode\": \"l2\"}, \"IPAM\":"
		"{\"Config\": [{\"Subnet\": \"192.0.2.0/24\", \"Gateway\": \"192.0.2.2\", \"IPRange\": \"192.0.2.128/25\"}]}}");
	struct box a = make_box(id_a);
	if (attach(&a, w, "alpha", NULL, NULL, &e) == 0) {
		assert_string_equal(a.info.mac, "");
		must_call(a.netns, "192.0.2.2", 80, "192.0.2.128");
	} else {
		assert_non_null(strstr(e.msg, "cannot add an interface to parent uplink"));
	}
	drop_box(&a);
	drop_network(w);
	nothing_is_left();
}

static void everything_was_told_to_the_listeners(void **state)
{
	assert_true(strv_has(&host.events, "network create"));
	assert_true(strv_has(&host.events, "network connect"));
	assert_true(strv_has(&host.events, "network disconnect"));
	assert_true(strv_has(&host.events, "network destroy"));
}

int main(void)
{
	int skip = lab_enter();
	if (skip) {
		return skip;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(predefined_networks_look_like_dockers),
		cmocka_unit_test(bridges_believe_no_router_advertisements),
		cmocka_unit_test(neighbours_reach_each_other_and_the_outside),
		cmocka_unit_test(networks_are_isolated),
		cmocka_unit_test(published_ports_are_reached_from_everywhere),
		cmocka_unit_test(rules_come_back_after_a_flush),
		cmocka_unit_test(loopback_ports_are_closed_to_the_outside),
		cmocka_unit_test(datagrams_follow_their_port_to_a_new_container),
		cmocka_unit_test(default_route_moves_when_its_network_goes),
		cmocka_unit_test(a_taken_port_is_refused_in_dockers_words),
		cmocka_unit_test(names_are_answered_here_and_upstream),
		cmocka_unit_test(resolver_says_servfail_when_nobody_answers),
		cmocka_unit_test(flood_of_questions_has_a_limit),
		cmocka_unit_test(another_leg_gets_eth1_and_keeps_names),
		cmocka_unit_test(containers_survive_a_restart_of_the_daemon),
		cmocka_unit_test(what_nobody_claims_goes_when_things_have_settled),
		cmocka_unit_test(stale_bridges_go_at_the_next_start),
		cmocka_unit_test(wrong_requests_are_refused),
		cmocka_unit_test(wanted_addresses_are_given),
		cmocka_unit_test(administrators_rules_decide),
		cmocka_unit_test(containers_cannot_be_routed_to_also_after_a_flush),
		cmocka_unit_test(macvlan_containers_are_neighbours_of_the_outside),
		cmocka_unit_test(ipvlan_containers_share_the_parents_mac),
		cmocka_unit_test(everything_was_told_to_the_listeners),
	};
	return cmocka_run_group_tests(tests, start_host, stop_host);
}
