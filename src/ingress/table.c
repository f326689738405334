/* Invariants
 * 1. A group is what answers for one set of routes: the containers of one service of a compose
 * project, or one container. One of them says what the routes are: the newest of the best life.
 * 2. Groups are gone through in the order of their claims, so the first that asks for a host and a
 * path has it, and what is refused never depends on the order of the sources.
 * 3. Everything in the table points into its sets, which live as long as it does.
 */
#include "ingress/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "ingress/host.h"

#define DEFAULT_PORT 80
#define KEY_ID_BYTES 12

struct member {
	const struct route_source *source;
	const struct route_set *set;
};

struct group {
	struct member *members;
	size_t n;
	const struct member *says; /* whose routes count */
	bool live;
	int64_t oldest_ns;
};

struct building {
	struct route_table *table;
	const struct ingress_settings *settings;
	struct group *groups;
	size_t n_groups;
	struct map *hosts; /* name to struct served_host */
	struct map *keys;  /* of routes and streams, to anything */
};

/* --- refusals --- */

static void PRINTF(3, 4) refuse(struct route_table *t, const char *id, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	t->refusals = xrealloc(t->refusals, t->n_refusals + 1, sizeof(*t->refusals));
	t->refusals[t->n_refusals++] = (struct route_refusal){xstrdup(id), xvasprintf(fmt, args)};
	va_end(args);
}

/* --- groups --- */

static bool is_service(const struct route_source *s)
{
	return *s->project && *s->service;
}

static struct group *group_of(struct building *b, const struct route_source *s)
{
	for (size_t i = 0; i < b->n_groups; i++) {
		const struct route_source *first = b->groups[i].members[0].source;
		if (is_service(s) && strcmp(first->project, s->project) == 0 &&
			strcmp(first->service, s->service) == 0) {
			return &b->groups[i];
		}
	}
	b->groups = xrealloc(b->groups, b->n_groups + 1, sizeof(*b->groups));
	b->groups[b->n_groups] = (struct group){.oldest_ns = s->created_ns};
	return &b->groups[b->n_groups++];
}

/* Of the lives, which one speaks for its group. */
static int rank(enum route_life life)
{
	static const int ranks[] = {
		[ROUTE_STOPPED] = 0, [ROUTE_STANDBY] = 1, [ROUTE_COMING] = 2, [ROUTE_SERVING] = 3};
	return ranks[life];
}

static bool goes_before(const struct route_source *a, const struct route_source *b)
{
	if (rank(a->life) != rank(b->life)) {
		return rank(a->life) > rank(b->life);
	}
	return a->created_ns != b->created_ns ? a->created_ns > b->created_ns
					      : strcmp(a->id, b->id) > 0;
}

static void add_member(
	struct building *b, const struct route_source *s, const struct route_set *set)
{
	struct group *g = group_of(b, s);
	g->members = xrealloc(g->members, g->n + 1, sizeof(*g->members));
	g->members[g->n++] = (struct member){s, set};
	g->live = g->live || s->life != ROUTE_STOPPED;
	g->oldest_ns = s->created_ns < g->oldest_ns ? s->created_ns : g->oldest_ns;
}

static int compare_groups(const void *a, const void *b)
{
	const struct group *x = a;
	const struct group *y = b;
	if (x->live != y->live) {
		return x->live ? -1 : 1;
	}
	if (x->oldest_ns != y->oldest_ns) {
		return x->oldest_ns < y->oldest_ns ? -1 : 1;
	}
	return strcmp(x->members[0].source->id, y->members[0].source->id);
}

static int compare_members(const void *a, const void *b)
{
	const struct member *x = a;
	const struct member *y = b;
	return strcmp(x->source->id, y->source->id);
}

static void choose_speakers(struct building *b)
{
	for (size_t i = 0; i < b->n_groups; i++) {
		struct group *g = &b->groups[i];
		qsort(g->members, g->n, sizeof(*g->members), compare_members);
		g->says = &g->members[0];
		for (size_t k = 1; k < g->n; k++) {
			if (goes_before(g->members[k].source, g->says->source)) {
				g->says = &g->members[k];
			}
		}
	}
	if (b->n_groups > 1) {
		qsort(b->groups, b->n_groups, sizeof(*b->groups), compare_groups);
	}
}

/* --- names --- */

static char *unique_key(struct building *b, const struct group *g, const char *name)
{
	const struct route_source *s = g->says->source;
	scoped(free) char *whole =
		is_service(s) ? xasprintf("%s-%s", s->project, s->service) : xstrdup(s->name);
	scoped(free) char *base = host_label(whole);
	char *key = xasprintf("%s%s%s", base ? base : "route", *name ? "-" : "", name);
	for (int n = 1; map_get(b->keys, key); n++) { /* of another project with the same letters */
		free(key);
		key = xasprintf("%s%s%s-%.*s-%d", base ? base : "route", *name ? "-" : "", name,
			KEY_ID_BYTES, g->members[0].source->id, n);
	}
	map_put(b->keys, key, b);
	return key;
}

/* What a route without a host is called after. */
static char *default_host(const struct ingress_settings *settings, const struct route_source *s)
{
	scoped(free) char *label = host_label(is_service(s) ? s->service : s->name);
	return label ? xasprintf("%s.%s.local", label, settings->name) : NULL;
}

static char *full_host(const struct ingress_settings *settings, const char *host)
{
	scoped(free) char *own = xasprintf("%s.local", settings->name);
	if (strcmp(host, ROUTE_HOST_OWN) == 0 || strcmp(host, own) == 0) {
		return xstrdup(ROUTE_HOST_OWN);
	}
	return strchr(host, '.') ? xstrdup(host) : xasprintf("%s.%s", host, own);
}

static void list_hosts(
	const struct building *b, const struct group *g, const struct route *r, struct strv *ret)
{
	for (size_t i = 0; i < r->hosts.n; i++) {
		scoped(free) char *host = full_host(b->settings, r->hosts.v[i]);
		if (!strv_has(ret, host)) {
			strv_add(ret, host);
		}
	}
	char *dflt = r->hosts.n == 0 ? default_host(b->settings, g->says->source) : NULL;
	if (dflt) {
		strv_take(ret, dflt);
	}
}

/* --- where to --- */

static uint16_t port_of(const struct route *r, const struct route_source *s)
{
	return r->port ? r->port : s->n_ports == 1 ? s->ports[0] : DEFAULT_PORT;
}

static const struct route *route_named(const struct route_set *set, const char *name)
{
	for (size_t i = 0; i < set->n_routes; i++) {
		if (strcmp(set->routes[i]->name, name) == 0) {
			return set->routes[i];
		}
	}
	return NULL;
}

static const struct stream_route *stream_named(const struct route_set *set, const char *name)
{
	for (size_t i = 0; i < set->n_streams; i++) {
		if (strcmp(set->streams[i]->name, name) == 0) {
			return set->streams[i];
		}
	}
	return NULL;
}

/* The port of one member for what another one's labels name; 0: it has no such. */
static uint16_t member_port(
	const struct member *m, const struct route *r, const struct stream_route *s)
{
	if (r) {
		const struct route *own = route_named(m->set, r->name);
		return own ? port_of(own, m->source) : 0;
	}
	const struct stream_route *own = stream_named(m->set, s->name);
	return own ? own->port : 0;
}

static size_t list_servers(const struct group *g, const struct route *r,
	const struct stream_route *s, struct served_server **ret)
{
	struct served_server *list = xnew_array(struct served_server, g->n);
	size_t n = 0;
	for (size_t i = 0; i < g->n; i++) {
		const struct route_source *of = g->members[i].source;
		uint16_t port = member_port(&g->members[i], r, s);
		if (of->life == ROUTE_SERVING && of->address.size > 0 && port > 0) {
			list[n++] = (struct served_server){of->address, port, xstrdup(of->id)};
		}
	}
	*ret = list;
	return n;
}

/* --- http --- */

static struct served_host *host_of(struct building *b, const char *name)
{
	struct served_host *h = map_get(b->hosts, name);
	if (!h) {
		struct route_table *t = b->table;
		h = xnew(struct served_host);
		h->name = xstrdup(name);
		t->hosts = xrealloc(t->hosts, t->n_hosts + 1, sizeof(struct served_host *));
		t->hosts[t->n_hosts++] = h;
		map_put(b->hosts, name, h);
	}
	return h;
}

/* The route that stands in the way of r at this host. */
static const struct served_route *find_conflict(const struct served_host *h, const struct route *r)
{
	for (size_t i = 0; h && i < h->n_routes; i++) {
		const struct route *other = h->routes[i]->route;
		if (other->tls == ROUTE_TLS_PASSTHROUGH || r->tls == ROUTE_TLS_PASSTHROUGH ||
			strcmp(other->path, r->path) == 0) {
			return h->routes[i];
		}
	}
	return NULL;
}

static void put_at_host(struct building *b, const char *name, struct served_route *r)
{
	struct served_host *h = host_of(b, name);
	h->routes = xrealloc(h->routes, h->n_routes + 1, sizeof(struct served_route *));
	h->routes[h->n_routes++] = r;
	h->passthrough = h->passthrough || r->route->tls == ROUTE_TLS_PASSTHROUGH;
	h->plain = h->plain || r->route->tls == ROUTE_TLS_OFF;
}

/* By the volume's name, which compose has put its project's before, or by where it is mounted. */
static bool is_root(const struct route_source *s, const struct route *r, const json_t *mount)
{
	const char *name = json_str(mount, "Name");
	const char *at = json_str(mount, "Destination");
	size_t n = strlen(at);
	if (strcmp(json_str(mount, "Type"), "volume") != 0) {
		return false;
	}
	if (!*r->root_volume) {
		return strncmp(r->root_path, at, n) == 0 &&
		       (r->root_path[n] == '/' || !r->root_path[n]);
	}
	scoped(free) char *of_project = xasprintf("%s_%s", s->project, r->root_volume);
	return strcmp(name, r->root_volume) == 0 || strcmp(name, of_project) == 0;
}

static const json_t *find_root(const struct route_source *s, const struct route *r)
{
	const json_t *best = NULL;
	size_t i;
	json_t *mount;
	json_array_foreach (s->mounts, i, mount) {
		bool deeper = strlen(json_str(mount, "Destination")) >
			      strlen(json_str(best, "Destination"));
		if (is_root(s, r, mount) && (!best || deeper)) {
			best = mount;
		}
	}
	return best;
}

static void put_root(struct served_route *made, const json_t *mount)
{
	const struct route *r = made->route;
	size_t inside = *r->root_volume ? 0 : strlen(json_str(mount, "Destination"));
	made->root_from = xstrdup(json_str(mount, "Source"));
	const char *rest = r->root_path + inside;
	made->root_at = xasprintf("%s%s", made->root_from, strcmp(rest, "/") == 0 ? "" : rest);
}

static struct served_route *make_route(
	struct building *b, const struct group *g, const struct route *r)
{
	const struct route_source *s = g->says->source;
	struct served_route *made = xnew(struct served_route);
	made->route = r;
	made->key = unique_key(b, g, r->name);
	made->id = xstrdup(s->id);
	made->container = xstrdup(s->name);
	made->service = xstrdup(is_service(s) ? s->service : "");
	made->life = s->life;
	made->n_servers = list_servers(g, r, NULL, &made->servers);
	if (r->root_path) {
		put_root(made, find_root(s, r));
	}
	struct route_table *t = b->table;
	t->routes = xrealloc(t->routes, t->n_routes + 1, sizeof(struct served_route *));
	t->routes[t->n_routes++] = made;
	return made;
}

static void add_route(struct building *b, const struct group *g, const struct route *r)
{
	scoped(strv) struct strv hosts = STRV_INIT;
	struct served_route *made = NULL;
	const char *id = g->says->source->id;
	list_hosts(b, g, r, &hosts);
	if (r->root_path && !find_root(g->says->source, r)) {
		refuse(b->table, id, ROUTE_LABEL "*root: the container has no volume %.100s",
			*r->root_volume ? r->root_volume : r->root_path);
		return;
	}
	if (hosts.n == 0) {
		refuse(b->table, id,
			"a route needs " ROUTE_LABEL "host: no host can be named after %.60s",
			g->says->source->name);
	}
	for (size_t i = 0; i < hosts.n; i++) {
		const struct served_route *other = find_conflict(map_get(b->hosts, hosts.v[i]), r);
		if (other) {
			refuse(b->table, id, "%s%s is already the route of container %s",
				hosts.v[i], r->path, other->container);
			continue;
		}
		made = made ? made : make_route(b, g, r);
		put_at_host(b, hosts.v[i], made);
	}
}

/* --- streams --- */

static const char *taken_port(const struct building *b, const struct stream_route *s)
{
	const struct ingress_settings *set = b->settings;
	if (s->protocol == STREAM_TCP &&
		(s->listen == set->http_port || s->listen == set->https_port ||
			(set->api_port && s->listen == set->api_port))) {
		return "the device's own";
	}
	for (size_t i = 0; i < b->table->n_streams; i++) {
		const struct served_stream *other = b->table->streams[i];
		if (other->stream->listen == s->listen && other->stream->protocol == s->protocol) {
			return other->container;
		}
	}
	return NULL;
}

static void add_stream(struct building *b, const struct group *g, const struct stream_route *s)
{
	const struct route_source *source = g->says->source;
	const char *other = taken_port(b, s);
	if (other) {
		refuse(b->table, source->id, "port %u/%s is already the route of %s",
			(unsigned)s->listen, s->protocol == STREAM_UDP ? "udp" : "tcp", other);
		return;
	}
	scoped(free) char *name = xasprintf("stream-%s", s->name);
	struct served_stream *made = xnew(struct served_stream);
	made->stream = s;
	made->key = unique_key(b, g, name);
	made->id = xstrdup(source->id);
	made->container = xstrdup(source->name);
	made->service = xstrdup(is_service(source) ? source->service : "");
	made->host = s->host ? full_host(b->settings, s->host) : NULL;
	made->life = source->life;
	made->n_servers = list_servers(g, NULL, s, &made->servers);
	struct route_table *t = b->table;
	t->streams = xrealloc(t->streams, t->n_streams + 1, sizeof(struct served_stream *));
	t->streams[t->n_streams++] = made;
}

/* --- the whole --- */

static int compare_paths(const void *a, const void *b)
{
	const struct served_route *x = *(struct served_route *const *)a;
	const struct served_route *y = *(struct served_route *const *)b;
	size_t n = strlen(x->route->path);
	size_t m = strlen(y->route->path);
	return n != m ? (n > m ? -1 : 1) : strcmp(x->route->path, y->route->path);
}

static int compare_hosts(const void *a, const void *b)
{
	return strcmp(
		(*(struct served_host *const *)a)->name, (*(struct served_host *const *)b)->name);
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(
		(*(struct served_route *const *)a)->key, (*(struct served_route *const *)b)->key);
}

static int compare_ports(const void *a, const void *b)
{
	const struct stream_route *x = (*(struct served_stream *const *)a)->stream;
	const struct stream_route *y = (*(struct served_stream *const *)b)->stream;
	return x->listen != y->listen ? (int)x->listen - (int)y->listen
				      : (int)x->protocol - (int)y->protocol;
}

static void note_mixed_auth(const struct served_host *h)
{
	bool mixed = false;
	for (size_t i = 1; i < h->n_routes; i++) {
		mixed = mixed || h->routes[i]->route->auth != h->routes[0]->route->auth;
	}
	for (size_t i = 0; i < h->n_routes; i++) {
		h->routes[i]->mixed_auth = h->routes[i]->mixed_auth || mixed;
	}
}

static void sort_table(struct route_table *t)
{
	for (size_t i = 0; i < t->n_hosts; i++) {
		struct served_host *h = t->hosts[i];
		qsort(h->routes, h->n_routes, sizeof(struct served_route *), compare_paths);
		note_mixed_auth(h);
	}
	if (t->n_hosts > 1) {
		qsort(t->hosts, t->n_hosts, sizeof(struct served_host *), compare_hosts);
	}
	if (t->n_routes > 1) {
		qsort(t->routes, t->n_routes, sizeof(struct served_route *), compare_keys);
	}
	if (t->n_streams > 1) {
		qsort(t->streams, t->n_streams, sizeof(struct served_stream *), compare_ports);
	}
}

static void read_sources(struct building *b, const struct route_source *sources, size_t n)
{
	struct route_table *t = b->table;
	t->sets = xnew_array(struct route_set, n + 1);
	t->n_sets = n;
	for (size_t i = 0; i < n; i++) {
		struct err why = {0};
		if (route_set_read(sources[i].labels, &t->sets[i], &why) < 0) {
			refuse(t, sources[i].id, "%s", why.msg);
		} else if (t->sets[i].n_routes + t->sets[i].n_streams > 0) {
			add_member(b, &sources[i], &t->sets[i]);
		}
	}
}

static void fill(struct building *b)
{
	for (size_t i = 0; i < b->n_groups; i++) {
		const struct group *g = &b->groups[i];
		for (size_t k = 0; k < g->says->set->n_routes; k++) {
			add_route(b, g, g->says->set->routes[k]);
		}
		for (size_t k = 0; k < g->says->set->n_streams; k++) {
			add_stream(b, g, g->says->set->streams[k]);
		}
	}
}

struct route_table *route_table_new(
	const struct ingress_settings *s, const struct route_source *sources, size_t n)
{
	struct building b = {.table = xnew(struct route_table),
		.settings = s,
		.hosts = map_new(),
		.keys = map_new()};
	read_sources(&b, sources, n);
	choose_speakers(&b);
	fill(&b);
	sort_table(b.table);
	for (size_t i = 0; i < b.n_groups; i++) {
		free(b.groups[i].members);
	}
	free(b.groups);
	map_free(b.hosts);
	map_free(b.keys);
	return b.table;
}
