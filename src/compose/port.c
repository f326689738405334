#include "compose/port.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"

struct parts {
	char *ip, *host, *container, *protocol;
};

int port_range(const char *text, int *ret_first, int *ret_last)
{
	scoped(free) char *copy = xstrdup(text);
	char *dash = strchr(copy, '-');
	if (dash) {
		*dash = '\0';
	}
	if (parse_int(copy, 0, 65535, ret_first) < 0) {
		return -1;
	}
	*ret_last = *ret_first;
	return dash && (parse_int(dash + 1, 0, 65535, ret_last) < 0 || *ret_last < *ret_first) ? -1
											       : 0;
}

static bool is_ip(const char *text)
{
	unsigned char address[16];
	return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

static bool is_protocol(const char *text)
{
	return strcasecmp(text, "tcp") == 0 || strcasecmp(text, "udp") == 0 ||
	       strcasecmp(text, "sctp") == 0;
}

/* Splits in place, from the right: an address may hold colons when it stands in brackets. */
static struct parts split(char *text)
{
	struct parts p = {.ip = "", .host = "", .protocol = "tcp"};
	char *slash = strchr(text, '/');
	if (slash) {
		*slash = '\0';
		p.protocol = slash + 1;
	}
	char *colon = strrchr(text, ':');
	p.container = colon ? colon + 1 : text;
	if (!colon) {
		return p;
	}
	*colon = '\0';
	char *before = strrchr(text, ':');
	if (before && !(text[0] == '[' && strchr(before, ']'))) {
		*before = '\0';
		p.host = before + 1;
		p.ip = text;
	} else {
		p.host = text;
	}
	size_t n = strlen(p.ip);
	if (n > 1 && p.ip[0] == '[' && p.ip[n - 1] == ']') {
		p.ip[n - 1] = '\0';
		p.ip++;
	}
	return p;
}

static void append(struct tree *t, const struct node *at, struct node *list, const struct parts *p,
	int target, const char *published)
{
	struct node *map = node_new(t, NODE_MAP, at);
	node_put(t, map, "mode", node_str(t, "ingress", at));
	if (*p->ip) {
		node_put(t, map, "host_ip", node_str(t, p->ip, at));
	}
	node_put(t, map, "target", node_int(t, target, at));
	if (*published) {
		node_put(t, map, "published", node_str(t, published, at));
	}
	scoped(free) char *protocol = xstrdup(p->protocol);
	for (char *c = protocol; *c; c++) {
		*c = (char)(*c | 0x20);
	}
	node_put(t, map, "protocol", node_str(t, protocol, at));
	node_append(t, list, map);
}

static int bad(const struct node *at, const char *why, struct err *e)
{
	return node_err(e, at,
		"port \"%s\": %s; [IP:][HOST:]CONTAINER[/PROTOCOL] is expected, as in 127.0.0.1:8080:80/tcp",
		at->text, why);
}

int port_expand(struct tree *t, const struct node *entry, struct node *list, struct err *e)
{
	scoped(free) char *copy = xstrdup(entry->text);
	struct parts p = split(copy);
	int first, last;
	int host_first = 0;
	int host_last = 0;
	if (*p.ip && !is_ip(p.ip)) {
		return bad(entry, "the address is not an IP", e);
	}
	if (!is_protocol(p.protocol)) {
		return bad(entry, "the protocol is none of tcp, udp, sctp", e);
	}
	if (port_range(p.container, &first, &last) < 0 || first == 0) {
		return bad(
			entry, "the container port is not a number from 1 to 65535 or a range", e);
	}
	if (*p.host && port_range(p.host, &host_first, &host_last) < 0) {
		return bad(entry, "the host port is not a number from 0 to 65535 or a range", e);
	}
	if (*p.host && last - first != host_last - host_first) {
		if (last != first) {
			return bad(entry, "the two ranges have different lengths", e);
		}
		append(t, entry, list, &p, first, p.host);
		return 0;
	}
	if (tree_check(t, entry, (size_t)(last - first + 1) * 6, e) < 0) {
		return -1;
	}
	for (int i = 0; i <= last - first; i++) {
		char published[16] = "";
		if (*p.host) {
			snprintf(published, sizeof(published), "%d", host_first + i);
		}
		append(t, entry, list, &p, first + i, published);
	}
	return 0;
}

int port_complete(struct tree *t, struct node *entry, struct err *e)
{
	const char *target = node_text(entry, "target");
	const char *published = node_text(entry, "published");
	const char *ip = node_text(entry, "host_ip");
	const char *protocol = node_text(entry, "protocol");
	int first, last;
	if (!target || port_range(target, &first, &last) < 0 || first == 0) {
		return node_err(e, entry, "a port needs target: a number from 1 to 65535");
	}
	if (published && *published && port_range(published, &first, &last) < 0) {
		return node_err(e, node_get(entry, "published"),
			"published: \"%s\" is not a port or a range", published);
	}
	if (ip && *ip && !is_ip(ip)) {
		return node_err(
			e, node_get(entry, "host_ip"), "host_ip: \"%s\" is not an IP address", ip);
	}
	if (protocol && !is_protocol(protocol)) {
		return node_err(e, node_get(entry, "protocol"),
			"protocol: one of tcp, udp, sctp is expected, not \"%s\"", protocol);
	}
	if (!node_get(entry, "mode")) {
		node_put(t, entry, "mode", node_str(t, "ingress", entry));
	}
	if (!protocol) {
		node_put(t, entry, "protocol", node_str(t, "tcp", entry));
	}
	if (published) {
		node_put(t, entry, "published",
			node_str(t, published, node_get(entry, "published")));
	}
	return 0;
}
