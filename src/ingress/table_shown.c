/* The table's end, and what it looks like from outside. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "ingress/table.h"

static void free_servers(struct served_server *servers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(servers[i].id);
	}
	free(servers);
}

static void free_route(struct served_route *r)
{
	free_servers(r->servers, r->n_servers);
	free(r->root_from);
	free(r->root_at);
	free(r->key);
	free(r->id);
	free(r->container);
	free(r->service);
	free(r);
}

static void free_stream(struct served_stream *s)
{
	free_servers(s->servers, s->n_servers);
	free(s->key);
	free(s->id);
	free(s->container);
	free(s->service);
	free(s->host);
	free(s);
}

void route_table_free(struct route_table *t)
{
	if (!t) {
		return;
	}
	for (size_t i = 0; i < t->n_hosts; i++) {
		free(t->hosts[i]->name);
		free(t->hosts[i]->routes);
		free(t->hosts[i]);
	}
	for (size_t i = 0; i < t->n_routes; i++) {
		free_route(t->routes[i]);
	}
	for (size_t i = 0; i < t->n_streams; i++) {
		free_stream(t->streams[i]);
	}
	for (size_t i = 0; i < t->n_refusals; i++) {
		free(t->refusals[i].id);
		free(t->refusals[i].text);
	}
	for (size_t i = 0; i < t->n_sets; i++) {
		route_set_deinit(&t->sets[i]);
	}
	free(t->hosts);
	free(t->routes);
	free(t->streams);
	free(t->refusals);
	free(t->sets);
	free(t);
}

bool route_table_is_empty(const struct route_table *t)
{
	return t->n_hosts == 0 && t->n_streams == 0;
}

const char *route_table_error(const struct route_table *t, const char *id)
{
	for (size_t i = 0; i < t->n_refusals; i++) {
		if (strcmp(t->refusals[i].id, id) == 0) {
			return t->refusals[i].text;
		}
	}
	return NULL;
}

const char *route_life_word(enum route_life l)
{
	static const char *const words[] = {[ROUTE_STOPPED] = "stopped",
		[ROUTE_COMING] = "coming",
		[ROUTE_SERVING] = "serving",
		[ROUTE_STANDBY] = "standby"};
	return words[l];
}

static json_t *servers_json(const struct served_server *servers, size_t n)
{
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++) {
		char ip[IP_TEXT_MAX];
		scoped(free) char *text =
			xasprintf(servers[i].address.size == IP6_BYTES ? "[%s]:%u" : "%s:%u",
				ip_format(servers[i].address, ip), (unsigned)servers[i].port);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

static json_t *route_json(const char *host, const struct served_route *s)
{
	const struct route *r = s->route;
	json_t *o = json_object();
	json_put_str(o, "Host", host);
	json_put_str(o, "Path", r->path);
	json_put_str(o, "Name", r->name);
	json_put_str(o, "Key", s->key);
	json_put_str(o, "Id", s->id);
	json_put_str(o, "Container", s->container);
	json_put_str(o, "Service", s->service);
	json_put_str(o, "State", route_life_word(s->life));
	json_put(o, "Servers", servers_json(s->servers, s->n_servers));
	json_put_str(o, "Auth", route_auth_word(r->auth));
	json_put_str(o, "Tls", route_tls_word(r->tls));
	json_put_str(o, "Backend", route_backend_word(r->backend));
	json_put(o, "Redirect", json_str_or_null(r->redirect));
	scoped(free) char *root =
		r->root_path ? xasprintf("%s%s", r->root_volume, r->root_path) : NULL;
	json_put(o, "Root", json_str_or_null(root));
	return o;
}

static json_t *stream_json(const struct served_stream *s)
{
	json_t *o = json_object();
	json_put(o, "Listen", json_integer(s->stream->listen));
	json_put_str(o, "Protocol", s->stream->protocol == STREAM_UDP ? "udp" : "tcp");
	json_put_str(o, "Tls", s->stream->tls == ROUTE_TLS_TERMINATE ? "terminate" : "none");
	json_put(o, "Host", json_str_or_null(s->host));
	json_put_str(o, "Name", s->stream->name);
	json_put_str(o, "Key", s->key);
	json_put_str(o, "Id", s->id);
	json_put_str(o, "Container", s->container);
	json_put_str(o, "Service", s->service);
	json_put_str(o, "State", route_life_word(s->life));
	json_put(o, "Servers", servers_json(s->servers, s->n_servers));
	return o;
}

json_t *route_table_json(const struct route_table *t, const char *own)
{
	json_t *routes = json_array();
	json_t *streams = json_array();
	json_t *errors = json_array();
	for (size_t i = 0; i < t->n_hosts; i++) {
		const struct served_host *h = t->hosts[i];
		const char *name = strcmp(h->name, ROUTE_HOST_OWN) == 0 ? own : h->name;
		for (size_t k = 0; k < h->n_routes; k++) {
			json_array_append_new(routes, route_json(name, h->routes[k]));
		}
	}
	for (size_t i = 0; i < t->n_streams; i++) {
		json_array_append_new(streams, stream_json(t->streams[i]));
	}
	for (size_t i = 0; i < t->n_refusals; i++) {
		json_t *o = json_object();
		json_put_str(o, "Id", t->refusals[i].id);
		json_put_str(o, "Error", t->refusals[i].text);
		json_array_append_new(errors, o);
	}
	return json_pack("{s:o,s:o,s:o}", "Routes", routes, "Streams", streams, "Errors", errors);
}
