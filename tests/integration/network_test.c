/* network_test - networks in the kernel: run as root, in network and mount namespaces of its own.
 *
 *   outside 192.0.2.2 -- 192.0.2.1 host (this process) -- bridges -- containers (bare namespaces)
 * The host has a DNS server of its own at 127.0.0.77 that knows every name as 203.0.113.9.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "event/event.h"
#include "network/internal.h"
#include "network/network.h"
#include "store/store.h"
#include "sys/netns.h"
#include "sys/nft.h"
#include "sys/rtnl.h"

#define SKIP 77
#define PREFIX "wtest0"
#define UPSTREAM "127.0.0.77"

struct host {
	uv_loop_t loop;
	struct store *store;
	struct event_bus *bus;
	struct network_set *set;
	int outside; /* namespace */
	pid_t upstream;
	pid_t outside_server;
	struct strv events;
};

static struct host host;

static const char id_a[] = "aaaaaaaaaaaa0000000000000000000000000000000000000000000000000000";
static const char id_b[] = "bbbbbbbbbbbb0000000000000000000000000000000000000000000000000000";
static const char id_c[] = "cccccccccccc0000000000000000000000000000000000000000000000000000";

/* --- processes in namespaces; their exit status says what happened --- */

typedef int child_fn(const void *arg);

static pid_t spawn_in(int netns_fd, child_fn *fn, const void *arg)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (netns_fd >= 0 && setns(netns_fd, CLONE_NEWNET) < 0) {
			_exit(99);
		}
		_exit(fn(arg));
	}
	return pid;
}

/* Runs fn there while the loop goes on here. */
static int run_in(int netns_fd, child_fn *fn, const void *arg)
{
	int status;
	pid_t pid = spawn_in(netns_fd, fn, arg);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		uv_run(&host.loop, UV_RUN_NOWAIT);
		usleep(500);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static struct sockaddr_in at(const char *address, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	inet_pton(AF_INET, address, &a.sin_addr);
	return a;
}

/* A server on port 80 tells every caller its address. */
static int serve(const void *arg)
{
	struct sockaddr_in a = at("0.0.0.0", *(const uint16_t *)arg);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int one = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 8) < 0) {
		return 1;
	}
	for (;;) {
		struct sockaddr_in peer;
		socklen_t n = sizeof(peer);
		int k = accept(fd, (struct sockaddr *)&peer, &n);
		char text[INET_ADDRSTRLEN] = "";
		inet_ntop(AF_INET, &peer.sin_addr, text, sizeof(text));
		if (write(k, text, sizeof(text)) < 0) {
			return 1;
		}
		close(k);
	}
}

struct call {
	const char *address;
	uint16_t port;
	const char *seen_as; /* or NULL: whatever */
};

enum { CALL_OK, CALL_REFUSED, CALL_SILENCE, CALL_OTHER_SOURCE };

static int call(const void *arg)
{
	const struct call *c = arg;
	struct sockaddr_in a = at(c->address, c->port);
	char text[INET_ADDRSTRLEN] = "";
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct timeval limit = {.tv_sec = 1};
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	for (int i = 0; connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0; i++) {
		if (errno != ECONNREFUSED) {
			return CALL_SILENCE;
		}
		if (i == 20) { /* the server may not listen yet */
			return CALL_REFUSED;
		}
		usleep(10000);
		close(fd);
		fd = socket(AF_INET, SOCK_STREAM, 0);
	}
	if (read(fd, text, sizeof(text)) <= 0) {
		return CALL_SILENCE;
	}
	if (c->seen_as && strcmp(text, c->seen_as) != 0) {
		fprintf(stderr, "# %s:%u saw %s, not %s\n", c->address, c->port, text, c->seen_as);
		return CALL_OTHER_SOURCE;
	}
	return CALL_OK;
}

static int call_from(int netns_fd, const char *address, uint16_t port, const char *seen_as)
{
	struct call c = {address, port, seen_as};
	return run_in(netns_fd, call, &c);
}

/* --- DNS by hand --- */

struct question {
	const char *name;
	uint16_t type;
	bool tcp;
};

static size_t write_question(const struct question *q, uint8_t *out)
{
	const uint8_t head[12] = {0x12, 0x34, 1, 0, 0, 1};
	memcpy(out, head, 12);
	size_t n = 12;
	for (const char *p = q->name; *p;) {
		size_t label = strcspn(p, ".");
		out[n++] = (uint8_t)label;
		memcpy(out + n, p, label);
		n += label;
		p += label + (p[label] == '.');
	}
	out[n++] = 0;
	const uint8_t tail[4] = {0, (uint8_t)q->type, 0, 1};
	memcpy(out + n, tail, 4);
	return n + 4;
}

/* Exit status: last byte of the first address; 200 + rcode for failures; 250 no answers; 251
 * silence; 240 a PTR. */
static int ask(const void *arg)
{
	const struct question *q = arg;
	uint8_t message[512];
	uint8_t got[4096];
	size_t n = write_question(q, message + 2);
	struct sockaddr_in a = at("127.0.0.11", 53);
	struct timeval limit = {.tv_sec = 8};
	int fd = socket(AF_INET, q->tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	message[0] = (uint8_t)(n >> 8);
	message[1] = (uint8_t)n;
	size_t skip = q->tcp ? 0 : 2;
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		write(fd, message + skip, n + 2 - skip) < 0) {
		return 252;
	}
	ssize_t r = recv(fd, got + skip, sizeof(got) - skip, 0);
	if (q->tcp && r > 0 && r < 14) {
		r += recv(fd, got + r, sizeof(got) - (size_t)r, 0);
	}
	if (r < 12) {
		return 251;
	}
	const uint8_t *m = got + 2;
	if (m[0] != 0x12 || m[1] != 0x34 || !(m[2] & 0x80)) {
		return 253;
	}
	if (m[3] & 15) {
		return 200 + (m[3] & 15);
	}
	if (m[7] == 0) {
		return 250;
	}
	return q->type == 12 ? 240 : m[n + 15];
}

static int ask_from(int netns_fd, const char *name, uint16_t type, bool tcp)
{
	struct question q = {name, type, tcp};
	return run_in(netns_fd, ask, &q);
}

static size_t answer_upstream(uint8_t *m, size_t n)
{
	static const uint8_t record[16] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 203, 0, 113, 9};
	m[2] |= 0x80;
	m[7] = 1;
	memcpy(m + n, record, sizeof(record));
	return n + sizeof(record);
}

/* The upstream server, UDP and TCP. Before the right answer to a UDP question comes one with a
 * wrong id. */
static int serve_dns(const void *arg)
{
	struct sockaddr_in a = at(UPSTREAM, 53);
	int one = 1;
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	int tcp = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(udp, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		bind(tcp, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(tcp, 8) < 0) {
		return 1;
	}
	bool child = fork() == 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		uint8_t m[2048];
		struct sockaddr_in from;
		socklen_t size = sizeof(from);
		if (child) {
			int k = accept(tcp, NULL, NULL);
			ssize_t n = read(k, m, 1024);
			if (n > 14) {
				size_t out = answer_upstream(m + 2, (size_t)n - 2);
				m[0] = (uint8_t)(out >> 8);
				m[1] = (uint8_t)out;
				n = write(k, m, out + 2);
			}
			close(k);
			continue;
		}
		ssize_t n = recvfrom(udp, m, 1024, 0, (struct sockaddr *)&from, &size);
		if (n >= 12) {
			size_t out = answer_upstream(m, (size_t)n);
			m[0] ^= 0xff;
			m[out - 1] = 66;
			sendto(udp, m, out, 0, (struct sockaddr *)&from, size);
			m[0] ^= 0xff;
			m[out - 1] = 9;
			sendto(udp, m, out, 0, (struct sockaddr *)&from, size);
		}
	}
}

/* --- the host --- */

static void need(int r)
{
	if (r < 0) {
		fprintf(stderr, "# %s\n", strerror(-r));
	}
	assert_true(r >= 0);
}

static void set_address(
	int netns_fd, const char *link, const char *address, int prefix_len, const char *gateway)
{
	scoped(rtnl) struct rtnl r;
	uint32_t index;
	struct in_addr a;
	need(rtnl_open(&r, netns_fd));
	need(rtnl_set_up(&r, 1, true));
	need(rtnl_commit(&r));
	if (!link) {
		return;
	}
	need(rtnl_index(&r, link, &index));
	need(rtnl_set_up(&r, index, true));
	inet_pton(AF_INET, address, &a);
	need(rtnl_add_address(&r, index, a, prefix_len));
	if (gateway) {
		inet_pton(AF_INET, gateway, &a);
		need(rtnl_add_default_route(&r, index, a));
	}
	need(rtnl_commit(&r));
}

static void make_outside(void)
{
	scoped(rtnl) struct rtnl r;
	host.outside = netns_new();
	need(host.outside);
	need(rtnl_open(&r, -1));
	const struct rtnl_veth v = {
		.name = "uplink", .peer_name = "eth0", .peer_netns_fd = host.outside};
	need(rtnl_add_veth(&r, &v));
	need(rtnl_commit(&r));
	set_address(-1, "uplink", "192.0.2.1", 24, NULL);
	set_address(host.outside, "eth0", "192.0.2.2", 24, "192.0.2.1");
}

static void note_event(void *owner, const struct event *e)
{
	strv_addf(&host.events, "%s %s", e->type, e->action);
}

static void open_set(void)
{
	struct err e = {0};
	scoped(strv) struct strv dns = STRV_INIT;
	strv_add(&dns, "127.0.0.78"); /* nobody there: the next one is asked */
	strv_add(&dns, UPSTREAM);
	const struct network_options o = {.bridge = PREFIX, .dns = &dns};
	host.set = network_set_new(&host.loop, host.store, host.bus, &o, &e);
	if (!host.set) {
		fprintf(stderr, "# %s\n", e.msg);
	}
	assert_non_null(host.set);
}

static int start_host(void **state)
{
	struct err e = {0};
	const uint16_t port = 80;
	set_address(-1, NULL, NULL, 0, NULL);
	make_outside();
	uv_loop_init(&host.loop);
	host.store = store_open(":memory:", &e);
	host.bus = event_bus_new();
	event_listen(host.bus, note_event, NULL);
	host.upstream = spawn_in(-1, serve_dns, NULL);
	host.outside_server = spawn_in(host.outside, serve, &port);
	open_set();
	return 0;
}

static int count_link(void *owner, const struct rtnl_link *link)
{
	size_t *count = owner;
	if (strcmp(link->kind, "bridge") == 0) {
		count[0]++;
	} else if (strncmp(link->name, "veth", 4) == 0) {
		count[1]++;
	}
	return 0;
}

static void count_links(size_t *ret_bridges, size_t *ret_veths)
{
	scoped(rtnl) struct rtnl r;
	size_t count[2] = {0};
	need(rtnl_open(&r, -1));
	need(rtnl_each_link(&r, count_link, count));
	*ret_bridges = count[0];
	*ret_veths = count[1];
}

static void count_element(void *owner, const struct nft_element *e)
{
	++*(size_t *)owner;
}

static size_t count_published(void)
{
	size_t count = 0;
	scoped(close) int fd = nft_open(-1);
	nft_each_element(fd, "wherry-" PREFIX, "published", count_element, &count);
	nft_each_element(fd, "wherry-" PREFIX, "published_at", count_element, &count);
	return count;
}

static int stop_host(void **state)
{
	size_t bridges;
	size_t veths;
	network_set_purge(host.set);
	network_set_free(host.set);
	uv_run(&host.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&host.loop), 0);
	count_links(&bridges, &veths);
	assert_int_equal(bridges, 0);
	assert_int_equal(veths, 0);
	assert_int_equal(count_published(), 0);
	stop(host.upstream);
	stop(host.outside_server);
	event_bus_free(host.bus);
	store_close(host.store);
	strv_deinit(&host.events);
	close(host.outside);
	return 0;
}

/* --- containers --- */

struct box {
	int netns;
	const char *id;
	struct endpoint_info info;
	pid_t server;
};

static struct network *make_network(const char *text)
{
	struct err e = {0};
	scoped(json) json_t *body = json_loads(text, 0, NULL);
	struct network *w = network_create(host.set, body, &e);
	if (!w) {
		fprintf(stderr, "# %s\n", e.msg);
	}
	assert_non_null(w);
	return w;
}

static int attach(struct box *b, struct network *w, const char *name, const char *ports,
	json_t **ret_ports, struct err *e)
{
	scoped(json) json_t *doc = ports ? json_loads(ports, 0, NULL) : NULL;
	scoped(strv) struct strv aliases = STRV_INIT;
	strv_addf(&aliases, "alias-%s", name);
	strv_add(&aliases, "everybody");
	const struct endpoint_config c = {.container_id = b->id,
		.container_name = name,
		.hostname = "",
		.aliases = &aliases,
		.ports = doc,
		.gateway = true};
	return network_attach(host.set, w, b->netns, &c, &b->info, ret_ports, e);
}

static void must_attach(struct box *b, struct network *w, const char *name, const char *ports)
{
	struct err e = {0};
	if (attach(b, w, name, ports, NULL, &e) < 0) {
		fprintf(stderr, "# %s\n", e.msg);
		assert_true(false);
	}
	if (network_uses_dns(w)) {
		assert_int_equal(network_dns_start(host.set, b->id, b->netns, &e), 0);
	}
}

static struct box make_box(const char *id)
{
	static const uint16_t port = 80;
	struct box b = {.id = id, .netns = netns_new()};
	need(b.netns);
	b.server = spawn_in(b.netns, serve, &port);
	return b;
}

static void drop_box(struct box *b)
{
	size_t pos = 0;
	for (struct network *w; (w = network_next(host.set, &pos));) {
		network_detach(host.set, network_id(w), b->id);
	}
	network_dns_stop(host.set, b->id);
	uv_run(&host.loop, UV_RUN_NOWAIT);
	stop(b->server);
	close(b->netns);
}

static void drop_network(struct network *w)
{
	struct err e = {0};
	if (network_remove(host.set, w, &e) < 0) {
		fprintf(stderr, "# %s\n", e.msg);
		assert_true(false);
	}
}

static void nothing_is_left(void)
{
	size_t bridges;
	size_t veths;
	count_links(&bridges, &veths);
	assert_int_equal(bridges, 1); /* the default one */
	assert_int_equal(veths, 0);
	assert_int_equal(count_published(), 0);
}

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
	assert_int_equal(call_from(b.netns, a.info.ipv4, 80, b.info.ipv4), CALL_OK);
	assert_int_equal(call_from(-1, a.info.ipv4, 80, "172.18.0.1"), CALL_OK);
	assert_int_equal(
		call_from(a.netns, "192.0.2.2", 80, "192.0.2.1"), CALL_OK); /* masqueraded */
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
	assert_int_equal(
		call_from(-1, b.info.ipv4, 80, NULL), CALL_OK); /* the host is no stranger */
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
		assert_int_equal(call_from(-1, "127.0.0.1", 8080, "172.18.0.1"), CALL_OK);
		assert_int_equal(call_from(-1, "192.0.2.1", 8080, NULL), CALL_OK);
		assert_int_equal(call_from(host.outside, "192.0.2.1", 8080, "192.0.2.2"), CALL_OK);
		assert_int_equal(call_from(b.netns, "192.0.2.1", 8080, NULL), CALL_OK);
		assert_int_equal(
			call_from(a.netns, "192.0.2.1", 8080, NULL), CALL_OK); /* its own */
		assert_int_equal(call_from(a.netns, "172.18.0.1", 8080, NULL), CALL_OK);
		assert_int_equal(call_from(-1, "127.0.0.1", 8081, NULL), CALL_OK);
		assert_int_not_equal(call_from(host.outside, "192.0.2.1", 8081, NULL), CALL_OK);
		assert_int_equal(call_from(host.outside, "192.0.2.1", 8082, NULL), CALL_OK);
		assert_int_not_equal(call_from(-1, "127.0.0.1", 8082, NULL), CALL_OK);
		/* a neighbour that sends to 127.0.0.1 of this host by force */
		must_attach(&(struct box){.id = id_c, .netns = b.netns}, w, "gamma", NULL);
		assert_int_equal(call_from(b.netns, "192.0.2.1", 8080, NULL), CALL_OK);
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
	scoped(nft_batch) struct nft_batch b = NFT_BATCH_INIT;
	uv_run(&host.loop, UV_RUN_NOWAIT);

	nft_delete_table(&b, "wherry-" PREFIX);
	assert_int_equal(nft_commit(fd, &b), 0);
	assert_int_equal(count_published(), 0);
	uv_run(&host.loop, UV_RUN_NOWAIT);

	assert_int_equal(count_published(), 1);
	assert_int_equal(call_from(-1, "127.0.0.1", 8080, NULL), CALL_OK);
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
	const struct in_addr loopback = {htonl(0x7f000001)};
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
	struct sockaddr_in a = at("192.0.2.1", 5000);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		return 1;
	}
	for (;;) {
		ssize_t ignored = send(fd, "x", 1, 0);
		usleep(20000 + (ignored > 0));
	}
}

/* 0 when a datagram comes within two seconds. */
static int listen_for_datagram(const void *arg)
{
	struct sockaddr_in a = at("0.0.0.0", 5000);
	struct timeval limit = {.tv_sec = 2};
	char byte;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
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
	assert_int_equal(call_from(a.netns, "192.0.2.2", 80, NULL), CALL_OK);
	network_detach(host.set, network_id(w), id_a);
	assert_int_equal(call_from(a.netns, "192.0.2.2", 80, NULL), CALL_OK);
	network_detach(host.set, network_id(v), id_a);
	/* an internal network first, and then one that leads outside */
	assert_int_equal(network_attach(host.set, x, a.netns, &c, &second.info, NULL, &e), 0);
	assert_int_not_equal(call_from(a.netns, "192.0.2.2", 80, NULL), CALL_OK);
	assert_int_equal(network_attach(host.set, v, a.netns, &c, &second.info, NULL, &e), 0);
	assert_int_equal(call_from(a.netns, "192.0.2.2", 80, NULL), CALL_OK);
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
#define FEW 64 /* questions of one container that may be under way: resolver_client.h */

/* Asks MANY questions at once and leaves a few more waiting on TCP. Exit status 0: all that were
 * too many were refused at once, and no other one answered. */
static int ask_much(const void *arg)
{
	const struct question q = {.name = "example.com", .type = 1};
	struct sockaddr_in a = at("127.0.0.11", 53);
	struct timeval limit = {.tv_sec = 1};
	uint8_t m[514];
	uint8_t got[512];
	size_t n = write_question(&q, m + 2);
	int refused = 0;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	m[0] = 0;
	m[1] = (uint8_t)n;
	for (int i = 0; i < MANY; i++) {
		if (sendto(fd, m + 2, n, 0, (struct sockaddr *)&a, sizeof(a)) < 0) {
			return 2;
		}
		usleep(100);
	}
	while (recv(fd, got, sizeof(got), 0) > 12 && (got[3] & 15) == 2) {
		refused++;
	}
	for (int i = 0; i < 20;
		i++) { /* more than one container may have; the last ones are closed at once */
		int k = socket(AF_INET, SOCK_STREAM, 0);
		ssize_t ignored =
			connect(k, (struct sockaddr *)&a, sizeof(a)) == 0 ? write(k, m, n + 2) : 0;
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
	struct sockaddr_in hole = at("127.0.0.80", 53); /* takes questions and never answers */
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	int tcp = socket(AF_INET, SOCK_STREAM, 0);
	scoped(strv) struct strv servers = STRV_INIT;
	assert_int_equal(bind(udp, (struct sockaddr *)&hole, sizeof(hole)), 0);
	assert_int_equal(bind(tcp, (struct sockaddr *)&hole, sizeof(hole)), 0);
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
	assert_int_equal(
		call_from(-1, "127.0.0.1", 8080, NULL), CALL_OK); /* nobody is there, and yet */
	open_set();
	assert_int_equal(
		call_from(-1, "127.0.0.1", 8080, NULL), CALL_OK); /* not restored yet, and yet */

	scoped(json) json_t *ports = json_loads(bindings, 0, NULL);
	const struct endpoint_config c = {
		.container_id = id_a, .container_name = "alpha", .ports = ports, .gateway = true};
	assert_int_equal(network_restore(host.set, &a.info, a.netns, &c, &e), 0);
	const struct endpoint_config d = {
		.container_id = id_b, .container_name = "beta", .gateway = true};
	assert_int_equal(network_restore(host.set, &b.info, b.netns, &d, &e), 0);
	assert_int_equal(call_from(-1, "127.0.0.1", 8080, NULL), CALL_OK);
	assert_int_equal(ask_from(a.netns, "beta", 1, false), 3);
	assert_int_equal(count_published(),
		3); /* 8090 was not asked for again; it goes when things have settled */
	w = network_find(host.set, network, &e);
	assert_non_null(w);
	struct box k = make_box(id_c);
	must_attach(&k, w, "gamma",
		"{\"80/tcp\": [{\"HostPort\": \"8090\"}]}"); /* an inherited port is free to take */
	assert_string_equal(k.info.ipv4, "172.18.0.4");
	assert_int_equal(call_from(-1, "127.0.0.1", 8090, NULL), CALL_OK);
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
	assert_int_equal(call_from(-1, a.info.ipv4, 80, NULL), CALL_OK);
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
		{"{\"Name\": \"a b\"}", ERR_INVALID, "invalid network name"},
		{"{\"Name\": \"x\", \"Driver\": \"overlay\"}", ERR_NOT_FOUND,
			"could not find plugin overlay"},
		{"{\"Name\": \"x\", \"IPAM\": {\"Config\": [{\"Subnet\": \"172.18.4.0/24\"}]}}",
			ERR_INVALID, "Pool overlaps"},
		{"{\"Name\": \"x\", \"IPAM\": {\"Config\": [{\"Subnet\": \"192.0.2.0/24\"}]}}",
			ERR_INVALID, "Pool overlaps"},
		{"{\"Name\": \"x\", \"IPAM\": {\"Config\": [{\"Subnet\": \"10.0.0.1/24\"}]}}",
			ERR_INVALID, "invalid subnet 10.0.0.1/24: it should be 10.0.0.0/24"},
		{"{\"Name\": \"x\", \"IPAM\": {\"Config\": [{\"Subnet\": \"10.0.0.0/24\", \"Gateway\": \"10.0.1.1\"}]}}",
			ERR_INVALID, "invalid gateway 10.0.1.1"},
		{"{\"Name\": \"x\", \"Options\": {\"com.docker.network.bridge.enable_icc\": \"perhaps\"}}",
			ERR_INVALID, "enable_icc"},
	};
	struct network *w = make_network("{\"Name\": \"front\"}");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e = {0};
		scoped(json) json_t *body = json_loads(cases[i].body, 0, NULL);
		assert_null(network_create(host.set, body, &e));
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
		.mac = "02:00:00:00:00:77",
		.gateway = true};
	assert_int_equal(network_attach(host.set, w, a.netns, &c, &a.info, NULL, &e), 0);
	assert_string_equal(a.info.ipv4, "10.99.0.7");
	assert_string_equal(a.info.gateway, "10.99.0.254");
	assert_string_equal(a.info.mac, "02:00:00:00:00:77");
	assert_int_equal(call_from(a.netns, "192.0.2.2", 80, "192.0.2.1"), CALL_OK);
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

static void everything_was_told_to_the_listeners(void **state)
{
	assert_true(strv_has(&host.events, "network create"));
	assert_true(strv_has(&host.events, "network connect"));
	assert_true(strv_has(&host.events, "network disconnect"));
	assert_true(strv_has(&host.events, "network destroy"));
}

int main(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) {
		fprintf(stderr, "needs root\n");
		return SKIP;
	}
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(predefined_networks_look_like_dockers),
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
		cmocka_unit_test(everything_was_told_to_the_listeners),
	};
	return cmocka_run_group_tests(tests, start_host, stop_host);
}
