#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "ingress/table.h"

/* A container as a row of a test's table. */
struct row {
	const char *id, *name, *project, *service, *labels; /* "host=a path=/x" */
	int64_t created;
	enum route_life life;
	uint16_t port; /* the one that it exposes; 0: none */
};

#define ROWS_MAX 8

struct bench {
	struct ingress_settings settings;
	struct route_table *table;
};

static json_t *read_labels(const char *text)
{
	json_t *o = json_object();
	scoped(strv) struct strv words = STRV_INIT;
	strv_split(&words, text, ' ');
	for (size_t i = 0; i < words.n; i++) {
		const char *eq = strchr(words.v[i], '=');
		scoped(free) char *field = xstrndup(words.v[i], (size_t)(eq - words.v[i]));
		scoped(free) char *key = xasprintf("wherry.%s", field);
		json_put_str(o, key, eq + 1);
	}
	return o;
}

static void make(struct bench *b, const struct row *rows, size_t n)
{
	struct err e = {0};
	struct route_source sources[ROWS_MAX] = {0};
	json_t *labels[ROWS_MAX];
	assert_int_equal(ingress_settings_read(NULL, "Box.lan", &b->settings, &e), 0);
	for (size_t i = 0; i < n; i++) {
		labels[i] = read_labels(rows[i].labels);
		sources[i] = (struct route_source){rows[i].id, rows[i].name,
			rows[i].project ? rows[i].project : "",
			rows[i].service ? rows[i].service : "", rows[i].created, labels[i],
			rows[i].life, ip_of4(0x0a000001u + (uint32_t)i), &rows[i].port,
			rows[i].port ? 1 : 0, NULL};
	}
	b->table = route_table_new(&b->settings, sources, n);
	for (size_t i = 0; i < n; i++) {
		json_decref(labels[i]);
	}
}

static void drop(struct bench *b)
{
	route_table_free(b->table);
	ingress_settings_deinit(&b->settings);
}

/* "HOST PATH KEY SERVERS\n" of all. */
static char *shown(const struct route_table *t)
{
	struct buf b = BUF_INIT;
	for (size_t i = 0; i < t->n_hosts; i++) {
		for (size_t k = 0; k < t->hosts[i]->n_routes; k++) {
			const struct served_route *r = t->hosts[i]->routes[k];
			buf_printf(&b, "%s%s %s", t->hosts[i]->name, r->route->path, r->key);
			for (size_t s = 0; s < r->n_servers; s++) {
				char ip[IP_TEXT_MAX];
				buf_printf(&b, " %s:%u", ip_format(r->servers[s].address, ip),
					(unsigned)r->servers[s].port);
			}
			buf_putc(&b, '\n');
		}
	}
	return buf_take_str(&b);
}

static void expect(const struct row *rows, size_t n, const char *wanted, const char *refusals)
{
	struct bench b;
	make(&b, rows, n);
	scoped(free) char *got = shown(b.table);
	scoped(buf) struct buf errors = BUF_INIT;
	for (size_t i = 0; i < b.table->n_refusals; i++) {
		buf_printf(&errors, "%s: %s\n", b.table->refusals[i].id, b.table->refusals[i].text);
	}
	assert_string_equal(got, wanted);
	assert_string_equal(buf_str(&errors), refusals);
	drop(&b);
}

#define EXPECT(wanted, refusals, ...)                                             \
	do {                                                                      \
		static const struct row rows[] = {__VA_ARGS__};                   \
		expect(rows, sizeof(rows) / sizeof(*rows), (wanted), (refusals)); \
	} while (0)

static void a_route_is_named_after_its_service_or_container(void **state)
{
	EXPECT("my-app.box.local/ my-app 10.0.0.1:80\nweb.box.local/ shop-web 10.0.0.2:3000\n", "",
		{"1", "My_app", NULL, NULL, "http.websocket=true", 1, ROUTE_SERVING, 0},
		{"2", "shop-web-1", "shop", "web", "http.websocket=true", 2, ROUTE_SERVING, 3000});
}

static void hosts_are_made_full_and_the_longest_path_is_first(void **state)
{
	EXPECT("*.x.org/ c-b 10.0.0.1:80\n./own c-own 10.0.0.1:80\nfull.org/ c-a 10.0.0.1:80\n"
	       "wiki.box.local/a/b c-c 10.0.0.1:9\nwiki.box.local/ c-a 10.0.0.1:80\n",
		"",
		{"1", "c", NULL, NULL,
			"http.a.host=wiki,full.org,wiki.box.local http.b.host=*.x.org http.own.host=. "
			"http.own.path=/own http.c.host=wiki http.c.path=/a/b/ http.c.port=9",
			1, ROUTE_SERVING, 0});
}

static void of_two_the_one_that_runs_then_the_older_has_it(void **state)
{
	EXPECT("a.box.local/ old 10.0.0.2:80\n",
		"1: a.box.local/ is already the route of container old\n",
		{"1", "young", NULL, NULL, "http.host=a", 5, ROUTE_SERVING, 0},
		{"2", "old", NULL, NULL, "http.host=a", 4, ROUTE_SERVING, 0});
	EXPECT("a.box.local/ young\n", "2: a.box.local/ is already the route of container young\n",
		{"1", "young", NULL, NULL, "http.host=a", 5, ROUTE_COMING, 0},
		{"2", "old", NULL, NULL, "http.host=a", 4, ROUTE_STOPPED, 0});
	/* what one has wrong is nobody else's */
	EXPECT("a.box.local/ b 10.0.0.2:80\n",
		"1: wherry.http.port: must be a number from 1 to 65535, not 'x'\n",
		{"1", "a", NULL, NULL, "http.host=a http.port=x", 1, ROUTE_SERVING, 0},
		{"2", "b", NULL, NULL, "http.host=a", 2, ROUTE_SERVING, 0});
}

static void tls_of_a_container_is_of_a_whole_host(void **state)
{
	EXPECT("a.box.local/ one 10.0.0.1:443\n",
		"2: a.box.local/x is already the route of container one\n",
		{"1", "one", NULL, NULL, "http.host=a http.tls=passthrough http.port=443", 1,
			ROUTE_SERVING, 0},
		{"2", "two", NULL, NULL, "http.host=a http.path=/x", 2, ROUTE_SERVING, 0});
}

static void replicas_are_one_route(void **state)
{
	EXPECT("web.box.local/ p-web 10.0.0.1:80 10.0.0.3:81\n", "",
		{"1", "p-web-1", "p", "web", "http.port=80", 1, ROUTE_SERVING, 0},
		{"2", "p-web-2", "p", "web", "http.port=80", 2, ROUTE_COMING, 0},
		{"3", "p-web-3", "p", "web", "http.port=81", 3, ROUTE_SERVING, 0});
	EXPECT("web.box.local/q q-web 10.0.0.2:80\nweb.box.local/ p-web 10.0.0.1:80\n", "",
		{"1", "p-web-1", "p", "web", "http.port=80", 1, ROUTE_SERVING, 0},
		{"2", "q-web-1", "q", "web", "http.path=/q", 2, ROUTE_SERVING, 0});
}

static void a_replacement_serves_when_it_has_taken_over(void **state)
{
	EXPECT("web.box.local/old p-web 10.0.0.1:80\n", "",
		{"1", "p-web-1", "p", "web", "http.path=/old", 1, ROUTE_SERVING, 0},
		{"2", "p-web-2", "p", "web", "http.path=/new", 2, ROUTE_STANDBY, 0});
	EXPECT("web.box.local/new p-web 10.0.0.2:80\n", "",
		{"1", "p-web-1", "p", "web", "http.path=/old", 1, ROUTE_STANDBY, 0},
		{"2", "p-web-2", "p", "web", "http.path=/new", 2, ROUTE_SERVING, 0});
	EXPECT("web.box.local/ p-web\n", "",
		{"1", "p-web-1", "p", "web", "http.port=80", 1, ROUTE_STOPPED, 0},
		{"2", "p-web-2", "p", "web", "http.port=80", 2, ROUTE_COMING, 0});
}

static void keys_are_unique(void **state)
{
	EXPECT("a.box.local/ a-b 10.0.0.1:80\nb.box.local/ a-b-2-1 10.0.0.2:80\n", "",
		{"1", "a-b", NULL, NULL, "http.host=a", 1, ROUTE_SERVING, 0},
		{"2", "a_b", NULL, NULL, "http.host=b", 2, ROUTE_SERVING, 0});
}

static void the_order_of_sources_does_not_matter(void **state)
{
	static const struct row rows[] = {
		{"1", "p-web-1", "p", "web", "http.host=a,b", 3, ROUTE_SERVING, 0},
		{"2", "x", NULL, NULL, "http.host=b", 3, ROUTE_SERVING, 0},
		{"3", "p-web-2", "p", "web", "http.host=a,c", 4, ROUTE_SERVING, 0},
	};
	struct row other[3] = {rows[2], rows[1], rows[0]};
	struct bench b;
	make(&b, rows, 3);
	scoped(free) char *one = shown(b.table);
	drop(&b);
	make(&b, other, 3);
	scoped(json) json_t *doc = route_table_json(b.table, "box.local");
	assert_int_equal(json_array_size(json_object_get(doc, "Routes")), 3);
	assert_int_equal(b.table->n_hosts, 3);
	assert_non_null(strstr(one, "b.box.local/ x"));
	const char *said = route_table_error(b.table, "2");
	assert_null(said);
	drop(&b);
}

static void ports_are_one_containers_each(void **state)
{
	static const struct row rows[] = {
		{"1", "a", NULL, NULL, "stream.m=listen=1883", 1, ROUTE_SERVING, 0},
		{"2", "b", NULL, NULL, "stream.m=listen=1883 stream.u=listen=1883,protocol=udp", 2,
			ROUTE_SERVING, 0},
		{"3", "c", NULL, NULL, "stream.h=listen=443", 3, ROUTE_SERVING, 0},
	};
	struct bench b;
	make(&b, rows, 3);
	assert_int_equal(b.table->n_streams, 2);
	assert_string_equal(b.table->streams[0]->key, "a-stream-m");
	assert_string_equal(b.table->streams[1]->key, "b-stream-u");
	assert_string_equal(
		route_table_error(b.table, "2"), "port 1883/tcp is already the route of a");
	assert_string_equal(route_table_error(b.table, "3"),
		"port 443/tcp is already the route of the device's own");
	assert_true(!route_table_is_empty(b.table));
	drop(&b);
	make(&b, rows, 0);
	assert_true(route_table_is_empty(b.table));
	drop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_route_is_named_after_its_service_or_container),
		cmocka_unit_test(hosts_are_made_full_and_the_longest_path_is_first),
		cmocka_unit_test(of_two_the_one_that_runs_then_the_older_has_it),
		cmocka_unit_test(tls_of_a_container_is_of_a_whole_host),
		cmocka_unit_test(replicas_are_one_route),
		cmocka_unit_test(a_replacement_serves_when_it_has_taken_over),
		cmocka_unit_test(keys_are_unique),
		cmocka_unit_test(the_order_of_sources_does_not_matter),
		cmocka_unit_test(ports_are_one_containers_each),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
