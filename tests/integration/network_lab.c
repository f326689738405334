#include "network_lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct host host;

const char id_a[] = "aaaaaaaaaaaa0000000000000000000000000000000000000000000000000000";
const char id_b[] = "bbbbbbbbbbbb0000000000000000000000000000000000000000000000000000";
const char id_c[] = "cccccccccccc0000000000000000000000000000000000000000000000000000";

/* --- processes in namespaces; their exit status says what happened --- */

pid_t spawn_in(int netns_fd, child_fn *fn, const void *arg)
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
int run_in(int netns_fd, child_fn *fn, const void *arg)
{
	int status;
	pid_t pid = spawn_in(netns_fd, fn, arg);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		uv_run(&host.loop, UV_RUN_NOWAIT);
		usleep(500);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

socklen_t lab_address(const char *address, uint16_t port, struct sockaddr_storage *ret)
{
	struct ip a;
	assert_int_equal(ip_parse(address, &a), 0);
	return ip_to_sockaddr(a, port, ret);
}

/* A server on port 80, of both families, tells every caller its address. */
static int serve(const void *arg)
{
	struct sockaddr_storage a;
	socklen_t size = lab_address("::", *(const uint16_t *)arg, &a);
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	int one = 1;
	int zero = 0;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, (struct sockaddr *)&a, size) < 0 || listen(fd, 8) < 0) {
		return 1;
	}
	for (;;) {
		struct sockaddr_in6 peer;
		socklen_t n = sizeof(peer);
		int k = accept(fd, (struct sockaddr *)&peer, &n);
		char text[INET6_ADDRSTRLEN] = "";
		inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof(text));
		bool mapped = strncmp(text, "::ffff:", 7) == 0;
		if (write(k, text + (mapped ? 7 : 0), sizeof(text) - 7) < 0) {
			return 1;
		}
		close(k);
	}
}

struct call {
	const char *address;
	uint16_t port;
	const char *seen_as; /* or NULL: whatever */
	int patience_s;
};

static int call_socket(int family, int patience_s)
{
	struct timeval limit = {.tv_sec = patience_s};
	int fd = socket(family, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static int call(const void *arg)
{
	const struct call *c = arg;
	struct sockaddr_storage a;
	socklen_t size = lab_address(c->address, c->port, &a);
	char text[INET6_ADDRSTRLEN] = "";
	int fd = call_socket(a.ss_family, c->patience_s);
	for (int i = 0; connect(fd, (struct sockaddr *)&a, size) < 0; i++) {
		if (errno != ECONNREFUSED) {
			return CALL_SILENCE;
		}
		if (i == 100 * c->patience_s) { /* the server may not listen yet */
			return CALL_REFUSED;
		}
		usleep(10000);
		close(fd);
		fd = call_socket(a.ss_family, c->patience_s);
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

int call_from(int netns_fd, const char *address, uint16_t port, const char *seen_as)
{
	struct call c = {address, port, seen_as, 1};
	return run_in(netns_fd, call, &c);
}

void lab_must_call(const char *file, int line, int netns_fd, const char *address, uint16_t port,
	const char *seen_as)
{
	struct call c = {address, port, seen_as, 30};
	_assert_int_equal((unsigned long)run_in(netns_fd, call, &c), CALL_OK, file, line);
}

/* --- DNS by hand --- */

size_t write_question(const struct question *q, uint8_t *out)
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
	struct sockaddr_storage a;
	lab_address("127.0.0.11", 53, &a);
	struct timeval limit = {.tv_sec = 30};
	int fd = socket(AF_INET, q->tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	message[0] = (uint8_t)(n >> 8);
	message[1] = (uint8_t)n;
	size_t skip = q->tcp ? 0 : 2;
	if (connect(fd, (struct sockaddr *)&a, sizeof(struct sockaddr_in)) < 0 ||
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
	return q->type == 12 ? 240 : m[n + (q->type == 28 ? 27 : 15)];
}

int ask_from(int netns_fd, const char *name, uint16_t type, bool tcp)
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
	struct sockaddr_storage a;
	socklen_t a_size = lab_address(UPSTREAM, 53, &a);
	int one = 1;
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	int tcp = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(udp, (struct sockaddr *)&a, a_size) < 0 ||
		bind(tcp, (struct sockaddr *)&a, a_size) < 0 || listen(tcp, 8) < 0) {
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

void need(int r)
{
	if (r < 0) {
		fprintf(stderr, "# %s\n", strerror(-r));
	}
	assert_true(r >= 0);
}

void set_address(
	int netns_fd, const char *link, const char *address, int prefix_len, const char *gateway)
{
	scoped(rtnl) struct rtnl r;
	uint32_t index;
	struct ip a;
	need(rtnl_open(&r, netns_fd));
	need(rtnl_set_up(&r, 1, true));
	need(rtnl_commit(&r));
	if (!link) {
		return;
	}
	need(rtnl_index(&r, link, &index));
	need(rtnl_set_up(&r, index, true));
	ip_parse(address, &a);
	need(rtnl_add_address(&r, index, a, prefix_len));
	if (gateway) {
		ip_parse(gateway, &a);
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
	set_address(-1, "uplink", "2001:db8:2::1", 64, NULL);
	set_address(host.outside, "eth0", "192.0.2.2", 24, "192.0.2.1");
	set_address(host.outside, "eth0", "2001:db8:2::2", 64, "2001:db8:2::1");
}

static void note_event(void *owner, const struct event *e)
{
	strv_addf(&host.events, "%s %s", e->type, e->action);
}

void open_set(void)
{
	struct err e = {0};
	scoped(strv) struct strv dns = STRV_INIT;
	strv_add(&dns, "127.0.0.78"); /* nobody there: the next one is asked */
	strv_add(&dns, UPSTREAM);
	const struct network_options o = {.bridge = PREFIX, .dns = &dns, .settings = host.settings};
	host.set = network_set_new(&host.loop, host.store, host.bus, &o, &e);
	if (!host.set) {
		fprintf(stderr, "# %s\n", e.msg);
	}
	assert_non_null(host.set);
}

int start_host(void **state)
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

void count_links(size_t *ret_bridges, size_t *ret_veths)
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

size_t count_published(void)
{
	size_t count = 0;
	scoped(close) int fd = nft_open(-1);
	nft_each_element(fd, NFPROTO_INET, "wherry-" PREFIX, "published", count_element, &count);
	nft_each_element(fd, NFPROTO_INET, "wherry-" PREFIX, "published_at", count_element, &count);
	nft_each_element(fd, NFPROTO_INET, "wherry-" PREFIX, "published6", count_element, &count);
	nft_each_element(
		fd, NFPROTO_INET, "wherry-" PREFIX, "published6_at", count_element, &count);
	return count;
}

int stop_host(void **state)
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

struct network *make_network(const char *text)
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

int attach(struct box *b, struct network *w, const char *name, const char *ports,
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
		.ports = doc};
	return network_attach(host.set, w, b->netns, &c, &b->info, ret_ports, e);
}

void must_attach(struct box *b, struct network *w, const char *name, const char *ports)
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

struct box make_box(const char *id)
{
	static const uint16_t port = 80;
	struct box b = {.id = id, .netns = netns_new()};
	need(b.netns);
	b.server = spawn_in(b.netns, serve, &port);
	return b;
}

void drop_box(struct box *b)
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

void drop_network(struct network *w)
{
	struct err e = {0};
	if (network_remove(host.set, w, &e) < 0) {
		fprintf(stderr, "# %s\n", e.msg);
		assert_true(false);
	}
}

void nothing_is_left(void)
{
	size_t bridges;
	size_t veths;
	count_links(&bridges, &veths);
	assert_int_equal(bridges, 1); /* the default one */
	assert_int_equal(veths, 0);
	assert_int_equal(count_published(), 0);
}

int lab_enter(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) {
		fprintf(stderr, "needs root\n");
		return LAB_SKIP;
	}
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return 0;
}
