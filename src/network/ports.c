#include "network/ports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/scoped.h"
#include "network/relay.h"

/* net.ipv4.ip_local_port_range's default, from which Docker takes its ephemeral ports too. */
#define EPHEMERAL_FIRST 32768
#define EPHEMERAL_LAST 60999

static const struct {
	const char *name;
	uint8_t proto;
	int type;
} protocols[] = {
	{"tcp", IPPROTO_TCP, SOCK_STREAM},
	{"udp", IPPROTO_UDP, SOCK_DGRAM},
	{"sctp", IPPROTO_SCTP, SOCK_STREAM},
};
#define PROTOCOLS (sizeof(protocols) / sizeof(protocols[0]))

static void port_release(struct port *p)
{
	relay_stop(p->relay);
	p->relay = NULL;
	if (p->fd >= 0) {
		close(p->fd);
	}
	p->fd = -1;
}

void port_list_deinit(struct port_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		port_release(&l->v[i]);
	}
	free(l->v);
	*l = (struct port_list){0};
}

const char *port_proto_name(uint8_t proto)
{
	for (size_t i = 0; i < PROTOCOLS; i++) {
		if (protocols[i].proto == proto) {
			return protocols[i].name;
		}
	}
	return "";
}

static int socket_type(uint8_t proto)
{
	for (size_t i = 0; i < PROTOCOLS; i++) {
		if (protocols[i].proto == proto) {
			return protocols[i].type;
		}
	}
	return SOCK_STREAM;
}

int port_parse_key(const char *text, uint8_t *ret_proto, uint16_t *ret_port)
{
	char number[8];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	const char *name = slash ? slash + 1 : "tcp";
	if (n >= sizeof(number)) {
		return -EINVAL;
	}
	memcpy(number, text, n);
	number[n] = '\0';
	uint16_t port;
	if (parse_u16(number, &port) < 0 || port == 0) {
		return -EINVAL;
	}
	for (size_t i = 0; i < PROTOCOLS; i++) {
		if (strcmp(protocols[i].name, name) == 0) {
			*ret_proto = protocols[i].proto;
			*ret_port = port;
			return 0;
		}
	}
	return -EINVAL;
}

int port_parse_range(const char *text, uint16_t *ret_first, uint16_t *ret_last)
{
	char number[8];
	const char *dash = strchr(text, '-');
	size_t n = dash ? (size_t)(dash - text) : strlen(text);
	uint16_t first = 0;
	uint16_t last;
	if (n >= sizeof(number)) {
		return -EINVAL;
	}
	memcpy(number, text, n);
	number[n] = '\0';
	if (*text && parse_u16(number, &first) < 0) {
		return -EINVAL;
	}
	last = first;
	if (dash && (parse_u16(dash + 1, &last) < 0 || first == 0 || last < first)) {
		return -EINVAL;
	}
	*ret_first = first;
	*ret_last = last;
	return 0;
}

/* Binds so that nobody else can, but connections that ended here lately (TIME_WAIT) are no
 * obstacle, as they are none for a server. Takes fd: 0, or -errno and fd is closed. SO_REUSEADDR
 * alone would let another socket that has it share the port. Listening for a moment makes the
 * kernel look for such sockets (inet_csk_listen_start), the end of listening keeps the port of a
 * socket that was bound by name, and without the flag it is ours alone. */
static int bind_alone(int take_fd, uint8_t proto, const struct sockaddr *a, socklen_t n)
{
	int one = 1;
	int zero = 0;
	bool tcp = proto == IPPROTO_TCP;
	if ((tcp && setsockopt(take_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0) ||
		bind(take_fd, a, n) < 0 ||
		(tcp && (listen(take_fd, 0) < 0 || shutdown(take_fd, SHUT_RD) < 0 ||
				setsockopt(take_fd, SOL_SOCKET, SO_REUSEADDR, &zero, sizeof(zero)) <
					0))) {
		int r = -errno;
		close(take_fd);
		return r;
	}
	return 0;
}

/* Holds p->outside at p->host. */
static int port_hold(struct port *p)
{
	struct sockaddr_storage a;
	socklen_t n = ip_to_sockaddr(p->host, p->outside, &a);
	int fd = socket(a.ss_family, socket_type(p->proto) | SOCK_CLOEXEC, p->proto);
	if (fd < 0 && (errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT)) {
		return 0; /* SCTP without the kernel's own stack: nobody else can bind it either */
	}
	if (fd < 0) {
		return -errno;
	}
	int one = 1;
	int least = 1;
	if (p->host.size == IP6_BYTES) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	}
	if (!port_is_relayed(p)) {
		/* Broadcasts are not for the container, and nobody reads them here. */
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least));
	}
	int r = bind_alone(fd, p->proto, (struct sockaddr *)&a, n);
	if (r < 0) {
		return r;
	}
	p->fd = fd;
	return 0;
}

/* One host port at one address, or at all of IPv4 and all of IPv6: whoever listens on both would
 * miss half. */
struct claim {
	struct port v[2];
	size_t n;
};

static int claim_hold(struct claim *c, uint16_t outside)
{
	for (size_t i = 0; i < c->n; i++) {
		c->v[i].outside = outside;
		int r = port_hold(&c->v[i]);
		if (r < 0 && i == 1 && r != -EADDRINUSE) {
			c->n = 1; /* this host has no IPv6 */
			return 0;
		}
		if (r < 0) {
			port_release(&c->v[0]);
			return r;
		}
	}
	return 0;
}

static int hold_ephemeral(struct port_cursor *cursor, struct claim *c)
{
	const unsigned count = EPHEMERAL_LAST - EPHEMERAL_FIRST + 1;
	int r = -EADDRINUSE;
	for (unsigned i = 0; i < count; i++) {
		if (cursor->next < EPHEMERAL_FIRST || cursor->next > EPHEMERAL_LAST) {
			cursor->next = EPHEMERAL_FIRST;
		}
		r = claim_hold(c, cursor->next++);
		if (r != -EADDRINUSE) {
			return r;
		}
	}
	return r;
}

static int hold_range(struct claim *c, uint16_t first, uint16_t last)
{
	int r = -EADDRINUSE;
	for (unsigned port = first; port <= last && r == -EADDRINUSE; port++) {
		r = claim_hold(c, (uint16_t)port);
	}
	return r;
}

/* The words are moby's: clients and people search for them. */
static int say_taken(
	const struct port_request *q, const struct port *p, const char *range, int r, struct err *e)
{
	char host[IP_TEXT_MAX];
	char address[IP_TEXT_MAX];
	ip_format(p->host, host);
	if (r == -EADDRINUSE && strchr(range, '-')) {
		return err_set(e, ERR_SYSTEM, "all ports are allocated");
	}
	if (r == -EADDRINUSE) {
		const char *by =
			q->holder ? q->holder(q->holder_owner, p->outside, p->proto == IPPROTO_UDP)
				  : NULL;
		return err_set(e, ERR_SYSTEM,
			"Bind for %s:%u failed: port is already allocated%s%s", host, p->outside,
			by ? ": it is in use by " : "", by ? by : "");
	}
	return err_sys(e, -r, "failed to bind host port for %s:%u:%s:%u/%s", host, p->outside,
		ip_format(p->address, address), p->inside, port_proto_name(p->proto));
}

static void append(struct port_list *l, const struct port *p)
{
	l->v = xrealloc(l->v, l->n + 1, sizeof(*l->v));
	l->v[l->n++] = *p;
}

static struct ip target_of(struct ip host, struct ip address, struct ip address6)
{
	return host.size == IP6_BYTES && address6.size ? address6 : address;
}

/* Where a binding is to be, and where it leads. */
static int read_claim(const char *host, const struct port_request *r, const struct port *p,
	struct claim *ret, struct err *e)
{
	const struct ip everywhere[] = {ip_any(IP4_BYTES), ip_any(IP6_BYTES)};
	struct ip one = r->default_host;
	if (host && *host && ip_parse(host, &one) < 0) {
		return err_set(e, ERR_INVALID,
			"cannot publish a port at '%s': it must be an IP address", host);
	}
	ret->n = one.size ? 1 : 2;
	for (size_t i = 0; i < ret->n; i++) {
		ret->v[i] = *p;
		ret->v[i].fd = -1;
		ret->v[i].host = one.size ? one : everywhere[i];
		ret->v[i].address = target_of(ret->v[i].host, r->address, r->address6);
	}
	return 0;
}

/* All of the claim that its holder will hand over; an address that it does not have is left out. */
static bool claim_pending(struct claim *c, const struct port_request *r, uint16_t outside)
{
	size_t n = 0;
	for (size_t i = 0; r->is_handed_over && i < c->n; i++) {
		struct port p = c->v[i];
		p.outside = outside;
		if (r->is_handed_over(r->owner, &p)) {
			p.pending = true;
			c->v[n++] = p;
		}
	}
	c->n = n > 0 ? n : c->n;
	return n > 0;
}

static int reserve_one(struct port_cursor *cursor, const struct port_request *r,
	const struct port *p, const json_t *binding, struct claim *ret, struct err *e)
{
	const char *host;
	const char *range;
	uint16_t first;
	uint16_t last;
	if (!json_is_object(binding)) {
		return err_set(e, ERR_INVALID, "a port binding must be an object");
	}
	if (json_get_str(binding, "HostIp", &host, e) < 0 ||
		json_get_str(binding, "HostPort", &range, e) < 0 ||
		read_claim(host, r, p, ret, e) < 0) {
		return -1;
	}
	range = range ? range : "";
	if (port_parse_range(range, &first, &last) < 0) {
		return err_set(e, ERR_INVALID, "invalid port specification: \"%s\"", range);
	}
	if (first != last || first == 0) {
		uint16_t before = r->remembered ? r->remembered(r->owner, &ret->v[0]) : 0;
		if (before && (first == 0 || (before >= first && before <= last))) {
			first = last = before;
		}
	}
	if (first == last && first && claim_pending(ret, r, first)) {
		return 0;
	}
	int failed = first == 0 ? hold_ephemeral(cursor, ret) : hold_range(ret, first, last);
	if (failed && !(r->keep && first == last && first)) {
		return say_taken(r, &ret->v[0], range, failed, e);
	}
	return 0;
}

static int reserve_key(struct port_cursor *c, const struct port_request *r, const char *key,
	const json_t *bindings, struct port_list *l, struct err *e)
{
	struct port p = {.fd = -1};
	struct claim claim;
	if (port_parse_key(key, &p.proto, &p.inside) < 0) {
		return err_set(e, ERR_INVALID, "invalid port specification: \"%s\"", key);
	}
	size_t i;
	json_t *binding;
	json_array_foreach (bindings, i, binding) {
		if (l->n >= PORTS_MAX) {
			return err_set(e, ERR_INVALID, "a container publishes at most %d ports",
				PORTS_MAX);
		}
		if (reserve_one(c, r, &p, binding, &claim, e) < 0) {
			return -1;
		}
		for (size_t k = 0; k < claim.n; k++) {
			append(l, &claim.v[k]);
		}
	}
	return 0;
}

int port_list_reserve(
	struct port_cursor *c, const struct port_request *r, struct port_list *ret, struct err *e)
{
	struct port_list l = {0};
	const char *key;
	json_t *bindings;
	json_object_foreach ((json_t *)r->bindings, key, bindings) {
		if (reserve_key(c, r, key, bindings, &l, e) < 0) {
			port_list_deinit(&l);
			return -1;
		}
	}
	*ret = l;
	return 0;
}

void port_list_lead(struct port_list *l, struct ip address, struct ip address6)
{
	for (size_t i = 0; i < l->n; i++) {
		struct port *p = &l->v[i];
		relay_stop(p->relay);
		p->relay = NULL;
		p->address = target_of(p->host, address, address6);
	}
}

json_t *port_list_json(const struct port_list *l)
{
	json_t *o = json_object();
	for (size_t i = 0; i < l->n; i++) {
		const struct port *p = &l->v[i];
		if (p->pending) {
			continue;
		}
		char key[16];
		char number[8];
		char host[IP_TEXT_MAX];
		snprintf(key, sizeof(key), "%u/%s", p->inside, port_proto_name(p->proto));
		snprintf(number, sizeof(number), "%u", p->outside);
		json_t *rows = json_object_get(o, key);
		if (!rows) {
			rows = json_array();
			json_put(o, key, rows);
		}
		json_t *row = json_object();
		json_put_str(row, "HostIp", ip_format(p->host, host));
		json_put_str(row, "HostPort", number);
		json_array_append_new(rows, row);
	}
	return o;
}
