/* Labels of several containers, as their owners may write them: what comes out of nginx's
 * configuration is what was meant, and its shape is that of harmless texts.
 *
 * Input: records with 0x1e between, KEY 0x1f VALUE each; the key "--" begins another container. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/ingress/nginx_text.h"
#include "base/json.h"
#include "base/mem.h"
#include "ingress/conf.h"

#define CONTAINERS_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct containers {
	json_t *labels[CONTAINERS_MAX];
	size_t n;
};

static void add_record(struct containers *c, const char *record, size_t n)
{
	const char *unit = memchr(record, 0x1f, n);
	scoped(free) char *key = xstrndup(record, unit ? (size_t)(unit - record) : n);
	if (strcmp(key, "--") == 0 && c->n < CONTAINERS_MAX) {
		c->labels[c->n++] = json_object();
	} else if (unit) {
		json_t *value = json_stringn(unit + 1, n - (size_t)(unit + 1 - record));
		if (value && json_object_set_new(c->labels[c->n - 1], key, value) < 0) {
			return; /* a key that is not UTF-8 */
		}
	}
}

static void read_input(struct containers *c, const char *data, size_t size)
{
	c->labels[c->n++] = json_object();
	for (size_t at = 0; at < size;) {
		const char *end = memchr(data + at, 0x1e, size - at);
		size_t n = end ? (size_t)(end - data) - at : size - at;
		add_record(c, data + at, n);
		at += n + 1;
	}
}

static const char *stem(void *owner, const char *host)
{
	return "/x/tls/some";
}

static char *text_of(const struct ingress_settings *s, const struct route_table *t)
{
	static const struct strv none = STRV_INIT;
	struct err e = {0};
	struct ingress_model m = {.settings = s,
		.table = t,
		.run_dir = "/x/run",
		.data_dir = "/x/data",
		.certificate = stem,
		.login = true,
		.api_users = &none,
		.own_pages = &none,
		.generation = 1};
	char *text = ingress_conf_text(&m, &e);
	assert(text); /* what a route may have can be written */
	return text;
}

/* --- what was meant is there --- */

static void check_location(const struct nginx_text *t, const struct route *r)
{
	bool top = strcmp(r->path, "/") == 0;
	scoped(free) char *below = xasprintf("%s%s", r->path, top ? "" : "/");
	assert(nginx_text_has(t, "location", "^~", below, NULL));
	assert(top || nginx_text_has(t, "location", "=", r->path, NULL));
}

static void check_headers(const struct nginx_text *t, const struct served_route *s)
{
	const struct route *r = s->route;
	for (size_t i = 0; i < r->n_headers && !r->redirect; i++) {
		const struct route_header *h = &r->headers[i];
		scoped(free) char *value = nginx_text_dollars(h->value);
		assert(!*value || s->n_servers == 0 ||
			nginx_text_has(t, "add_header", h->name, value, "always", NULL));
	}
	scoped(free) char *path = nginx_text_dollars(r->path);
	bool stripped = r->strip_prefix && strcmp(path, "/") != 0 && !r->redirect && !r->root_path;
	assert(!stripped || s->n_servers == 0 ||
		nginx_text_has(t, "proxy_set_header", "X-Forwarded-Prefix", path, NULL));
}

static void check_hosts(const struct nginx_text *t, const struct route_table *table)
{
	size_t of_http = 3 + table->n_hosts; /* status, unknown, own */
	size_t of_stream = 0;
	for (size_t i = 0; i < table->n_hosts; i++) {
		const struct served_host *h = table->hosts[i];
		of_http -= strcmp(h->name, ROUTE_HOST_OWN) == 0;
		assert(strcmp(h->name, ROUTE_HOST_OWN) == 0 ||
			nginx_text_has(t, "server_name", h->name, NULL));
		of_stream = h->passthrough ? 1 : of_stream;
	}
	size_t blocks = 0;
	for (size_t i = 0; i < t->n; i++) {
		blocks += t->v[i].block && t->v[i].depth == 1 &&
			  strcmp(t->v[i].args.v[0], "server") == 0;
	}
	for (size_t i = 0; i < table->n_routes; i++) {
		of_stream += table->routes[i]->route->tls == ROUTE_TLS_PASSTHROUGH &&
			     table->routes[i]->n_servers > 0;
	}
	for (size_t i = 0; i < table->n_streams; i++) {
		of_stream += table->streams[i]->n_servers > 0;
	}
	assert(blocks == of_http + of_stream);
}

/* --- the same with harmless texts --- */

static void tame(char *text, const char *kept)
{
	for (char *p = text; p && *p; p++) {
		*p = (char)(strchr(kept, *p) ? *p : 'x');
	}
}

static void tame_route(const struct route *r)
{
	tame(r->path, "/");
	for (size_t i = 0; i < r->n_headers; i++) {
		tame(r->headers[i].value, "");
	}
	for (size_t i = 0; i < r->users.n; i++) {
		tame(r->users.v[i], "");
	}
	tame(r->users_file, "/");
	tame(r->redirect, "");
	if (r->error_page && strcmp(r->error_page, "none") != 0) {
		tame(r->error_page, "/");
	}
}

static void check(const struct ingress_settings *s, const struct route_table *table)
{
	scoped(free) char *text = text_of(s, table);
	scoped(nginx_text) struct nginx_text t;
	assert(nginx_text_read(text, &t));
	check_hosts(&t, table);
	for (size_t i = 0; i < table->n_routes; i++) {
		const struct route *r = table->routes[i]->route;
		if (r->tls != ROUTE_TLS_PASSTHROUGH) {
			check_location(&t, r);
			check_headers(&t, table->routes[i]);
		}
	}
	for (size_t i = 0; i < table->n_routes; i++) {
		tame_route(table->routes[i]->route);
	}
	scoped(free) char *tamed = text_of(s, table);
	scoped(nginx_text) struct nginx_text u;
	assert(nginx_text_read(tamed, &u));
	scoped(free) char *one = nginx_text_shape(&t);
	scoped(free) char *other = nginx_text_shape(&u);
	assert(strcmp(one, other) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct containers c = {0};
	struct err e = {0};
	scoped(ingress_settings) struct ingress_settings s = {0};
	struct route_source sources[CONTAINERS_MAX] = {0};
	char ids[CONTAINERS_MAX][65];
	static const uint16_t port = 80;
	scoped(json) json_t *mounts =
		json_loads("[{\"Type\": \"volume\", \"Name\": \"vol\", \"Source\": "
			   "\"/x/vol\", \"Destination\": \"/srv\"}]",
			0, NULL);
	(void)ingress_settings_read(NULL, "box", &s, &e);
	read_input(&c, (const char *)data, size);
	for (size_t i = 0; i < c.n; i++) {
		snprintf(ids[i], sizeof(ids[i]), "%064zu", i);
		sources[i] = (struct route_source){ids[i], i % 2 ? "A.b_c" : "web",
			i > 5 ? "p" : "", i > 5 ? "s" : "", (int64_t)i, c.labels[i],
			i == 4 ? ROUTE_COMING : ROUTE_SERVING, ip_of4(0x7f000001), &port, i % 2,
			mounts};
	}
	scoped(route_table_free) struct route_table *table = route_table_new(&s, sources, c.n);
	check(&s, table);
	for (size_t i = 0; i < c.n; i++) {
		json_decref(c.labels[i]);
	}
	return 0;
}
