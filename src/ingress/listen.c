#include "ingress/listen.h"

#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "container/container.h"

static void add_port(json_t *list, const char *address, uint16_t port, bool udp)
{
	/* "[::1]" as well as "::1" */
	size_t skip = *address == '[';
	scoped(free) char *plain = xstrndup(address + skip, strcspn(address + skip, "]"));
	if (port) {
		json_array_append_new(list,
			json_pack("{ss si sb}", "address", plain, "port", (int)port, "udp", udp));
	}
}

static void add_everywhere(json_t *list, const struct ingress_settings *s, uint16_t port, bool udp)
{
	for (size_t i = 0; i < s->addresses.n; i++) {
		add_port(list, s->addresses.v[i], port, udp);
	}
	if (s->addresses.n == 0) {
		add_port(list, "0.0.0.0", port, udp);
		add_port(list, "::", port, udp);
	}
}

json_t *listen_ports(const struct ingress_settings *s, const struct route_table *t)
{
	json_t *list = json_array();
	add_everywhere(list, s, s->http_port, false);
	add_everywhere(list, s, s->https_port, false);
	add_everywhere(list, s, s->api_port, false);
	for (size_t i = 0; i < t->n_streams; i++) {
		const struct stream_route *r = t->streams[i]->stream;
		add_everywhere(list, s, r->listen, r->protocol == STREAM_UDP);
	}
	return list;
}

bool listen_is_taken(const json_t *taken, uint16_t port, bool udp)
{
	size_t i;
	json_t *o;
	json_array_foreach (taken, i, o) {
		if (json_i64(o, "port", 0) == port && json_bool(o, "udp") == udp) {
			return true;
		}
	}
	return false;
}

void listen_without(
	const struct ingress_settings *s, const json_t *taken, struct ingress_settings *ret)
{
	*ret = *s;
	uint16_t *const ports[] = {&ret->http_port, &ret->https_port, &ret->api_port};
	for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++) {
		*ports[i] = listen_is_taken(taken, *ports[i], false) ? 0 : *ports[i];
	}
}

size_t listen_hide_streams(struct route_table *t, const json_t *taken)
{
	size_t kept = 0;
	for (size_t i = 0; i < t->n_streams; i++) {
		struct served_stream *s = t->streams[i];
		if (!listen_is_taken(taken, s->stream->listen, s->stream->protocol == STREAM_UDP)) {
			t->streams[i] = t->streams[kept];
			t->streams[kept++] = s;
		}
	}
	return kept;
}

char *listen_words(const struct container_set *c, const json_t *taken)
{
	scoped(buf) struct buf text = BUF_INIT;
	size_t i;
	json_t *o;
	json_array_foreach (taken, i, o) {
		uint16_t port = (uint16_t)json_i64(o, "port", 0);
		const struct container *k = container_publishing(c, port, json_bool(o, "udp"));
		const char *by = json_str(o, "by");
		scoped(free) char *name = k ? xasprintf("container %s", container_name(k))
					    : xstrdup(*by ? by : "another process");
		scoped(free) char *one = xasprintf(
			"port %u%s is taken by %s", port, json_bool(o, "udp") ? "/udp" : "", name);
		if (!strstr(buf_str(&text), one)) { /* IPv4 and IPv6 */
			buf_printf(&text, "%s%s", i ? "; " : "", one);
		}
	}
	return text.len ? buf_take_str(&text) : NULL;
}
