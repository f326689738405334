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
#include "ingress/route.h"

/* {"host": "x"}: the fields of the one route without a name. */
static json_t *labels_of(const char *fields)
{
	json_t *o = json_object();
	scoped(json) json_t *doc = json_loads(fields, 0, NULL);
	assert_non_null(doc);
	const char *key;
	json_t *value;
	json_object_foreach (doc, key, value) {
		scoped(free) char *label = xasprintf(ROUTE_LABEL "%s", key);
		json_object_set(o, label, value);
	}
	return o;
}

static struct route_set read_fields(const char *fields)
{
	struct route_set s;
	struct err e = {0};
	scoped(json) json_t *labels = labels_of(fields);
	if (route_set_read(labels, &s, &e) < 0) {
		fail_msg("%s: %s", fields, e.msg);
	}
	return s;
}

static void a_route_has_its_defaults(void **state)
{
	scoped(route_set) struct route_set s = read_fields("{\"port\": \"8080\"}");
	assert_int_equal(s.n_routes, 1);
	const struct route *r = s.routes[0];
	assert_string_equal(r->name, "");
	assert_int_equal(r->hosts.n, 0);
	assert_string_equal(r->path, "/");
	assert_int_equal(r->port, 8080);
	assert_true(r->websocket && r->buffering && !r->strip_prefix);
	assert_int_equal(r->auth, ROUTE_AUTH_NONE);
	assert_int_equal(r->tls, ROUTE_TLS_TERMINATE);
	assert_int_equal(r->backend, ROUTE_BACKEND_HTTP);
	assert_int_equal(r->read_timeout_ms, 0);
	assert_null(r->error_page);
}

/* What a field's text becomes, as text. */
static char *shown(const struct route *r, const char *field)
{
	struct buf b = BUF_INIT;
	if (strcmp(field, "host") == 0) {
		for (size_t i = 0; i < r->hosts.n; i++) {
			buf_printf(&b, "%s|", r->hosts.v[i]);
		}
	} else if (strcmp(field, "path") == 0) {
		buf_puts(&b, r->path);
	} else if (strcmp(field, "read_timeout") == 0) {
		buf_printf(&b, "%lld", (long long)r->read_timeout_ms);
	} else if (strcmp(field, "body_limit") == 0) {
		buf_printf(&b, "%lld", (long long)r->body_limit_bytes);
	} else if (strcmp(field, "rate") == 0) {
		buf_printf(&b, "%d in %lld, %d more", r->rate, (long long)r->rate_per_s,
			r->rate_burst);
	} else if (strcmp(field, "root") == 0) {
		buf_printf(&b, "%s:%s", r->root_volume, r->root_path);
	} else if (strcmp(field, "redirect") == 0) {
		buf_printf(&b, "%d %s", r->redirect_status, r->redirect);
	} else {
		for (size_t i = 0; i < r->n_headers; i++) {
			buf_printf(&b, "%s=%s|", r->headers[i].name, r->headers[i].value);
		}
	}
	return buf_take_str(&b);
}

static void each_field_has_its_forms(void **state)
{
	static const struct {
		const char *field, *text, *becomes;
	} cases[] = {
		{"host", "Wiki.Example.org, *.x.example,wiki ,, .",
			"wiki.example.org|*.x.example|wiki|.|"},
		{"host", "a\nb\na", "a|b|"},
		{"path", "/a/../b//c/", "/b/c"},
		{"path", "/", "/"},
		{"path", "/\303\274 \"{};$", "/\303\274 \"{};$"},
		{"path", "/.wherryx", "/.wherryx"},
		{"read_timeout", "90", "90000"},
		{"read_timeout", "1m30s", "90000"},
		{"body_limit", "1.5k", "1536"},
		{"body_limit", "0", "0"},
		{"rate", "10/s", "10 in 1, 10 more"},
		{"rate", "100/m, 5", "100 in 60, 5 more"},
		{"rate", "1/s,0", "1 in 1, 0 more"},
		{"root", "site", "site:/"},
		{"root", "site/a/../b", "site:/b"},
		{"root", "site/../../etc", "site:/etc"},
		{"root", "/srv/www/", ":/srv/www"},
		{"redirect", "/new", "302 /new"},
		{"redirect", "https://x.example/a,b, 301", "301 https://x.example/a,b"},
		{"redirect", "http://{host}:3000{uri}", "302 http://{host}:3000{uri}"},
		{"redirect", "/a,999", "302 /a,999"},
		{"headers", "X-A: 1; X-B: 2", "X-A=1|X-B=2|"},
		{"headers", "X-A: max-age=1; includeSubDomains; X-B: x",
			"X-A=max-age=1; includeSubDomains|X-B=x|"},
		{"headers", "X-A: b; c\nX-D:\n", "X-A=b; c|X-D=|"},
		{"headers", "X-A: 1;", "X-A=1|"},
		{"headers", "{\"X-A\": \"\\\"; }\", \"X-B\": null}", "X-A=\"; }|X-B=|"},
		{"headers", "X-A: http://x:1/", "X-A=http://x:1/|"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(json) json_t *fields = json_pack("{ss}", cases[i].field, cases[i].text);
		scoped(free) char *text = json_text(fields);
		scoped(route_set) struct route_set s = read_fields(text);
		scoped(free) char *got = shown(s.routes[0], cases[i].field);
		assert_string_equal(got, cases[i].becomes);
	}
}

static void what_is_wrong_is_said_with_its_label(void **state)
{
	static const struct {
		const char *fields, *says;
	} cases[] = {
		{"{\"hots\": \"a\"}",
			"wherry.http.hots: there is no 'hots'; there are: host, path,"},
		{"{\"a.b.host\": \"a\"}", "wherry.http.a.b.host: there is no 'b.host'"},
		{"{\"A.host\": \"a\"}", "wherry.http.A.host: the name of a route"},
		{"{\"path.host\": \"a\"}", "wherry.http.path.host: the name of a route"},
		{"{\"host\": \" \"}", "wherry.http.host: has no value"},
		{"{\"host\": \",\"}", "wherry.http.host: names no host"},
		{"{\"host\": \"a b\"}", "wherry.http.host: 'a b' is not a host's name"},
		{"{\"host\": \"m\\u00fcller.example\"}",
			"wherry.http.host: must be in its ASCII form (xn--...)"},
		{"{\"path\": \"a\"}", "wherry.http.path: must begin with '/'"},
		{"{\"path\": \"/a?b\"}", "without '?'"},
		{"{\"path\": \"/a%20b\"}", "as it reads"},
		{"{\"path\": \"/a\\nb\"}", "control characters"},
		{"{\"path\": \"/a\\u0085\"}", "control characters"},
		{"{\"path\": \"/.wherry/x\"}", "the device's own"},
		{"{\"path\": \"/x/../.wherry\"}", "the device's own"},
		{"{\"path\": \"/.well-known/acme-challenge/\"}", "the device's own"},
		{"{\"port\": \"0\"}", "from 1 to 65535"},
		{"{\"port\": \"80;\"}", "from 1 to 65535"},
		{"{\"websocket\": \"maybe\"}", "must be true or false"},
		{"{\"auth\": \"digest\"}", "must be none, basic or login, not 'digest'"},
		{"{\"auth\": \"basic\"}", "auth=basic needs users"},
		{"{\"users\": \"bob\"}", "users says nothing without"},
		{"{\"auth\": \"basic\", \"users\": \"bob:secret\"}", "is not a hash"},
		{"{\"auth\": \"basic\", \"users\": \"bob\"}", "name:hash"},
		{"{\"auth\": \"basic\", \"users\": \"b:$1$x\\ny:$1$\\u0001\"}", "name:hash"},
		{"{\"auth\": \"login\", \"users\": \"/etc/x\"}", "are names, not a file"},
		{"{\"auth\": \"login\", \"users\": \"@root\"}", "neither a user's name"},
		{"{\"auth\": \"login\", \"users\": \"a\\\"b\"}", "neither a user's name"},
		{"{\"read_timeout\": \"1ms\"}", "from 1s to 576h"},
		{"{\"read_timeout\": \"x\"}", "must be a duration"},
		{"{\"body_limit\": \"-1\"}", "must be a size"},
		{"{\"headers\": \"X-A\"}", "not of the form Name: value"},
		{"{\"headers\": \"X A: b\"}", "is not a header's name"},
		{"{\"headers\": \"Connection: close\"}", "is the connection's"},
		{"{\"headers\": \"X: a; x: b\"}", "is given twice"},
		{"{\"headers\": \"{\\\"X\\\": 1}\"}", "must be text"},
		{"{\"headers\": \"{\\\"X\\\": \\\"a\\\\nb\\\"}\"}", "control characters"},
		{"{\"redirect\": \"//evil\"}", "must be http://"},
		{"{\"redirect\": \"javascript:x\"}", "must be http://"},
		{"{\"redirect\": \"/a b\"}", "must be an address"},
		{"{\"redirect\": \"/{x}\"}", "must be an address"},
		{"{\"redirect\": \"/a\", \"auth\": \"login\"}", "auth says nothing with redirect"},
		{"{\"error_page\": \"x\"}", "must begin with '/'"},
		{"{\"tls\": \"passthrough\", \"path\": \"/x\"}",
			"path cannot be with tls=passthrough"},
		{"{\"tls\": \"passthrough\", \"host\": \".\"}", "needs a host of its own"},
		{"{\"backend\": \"grpc\", \"strip_prefix\": \"true\"}",
			"strip_prefix says nothing with backend=grpc"},
		{"{\"backend\": \"grpcs\", \"tls\": \"off\"}",
			"tls=off cannot be with backend=grpcs"},
		{"{\"rate\": \"10\"}", "must be such as 10/s"},
		{"{\"rate\": \"0/s\"}", "must be such as 10/s"},
		{"{\"rate\": \"1/h\"}", "must be such as 10/s"},
		{"{\"root\": \"../x\"}", "must be a volume"},
		{"{\"root\": \"v\", \"port\": \"80\"}", "port says nothing with root"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = {0};
		struct route_set s;
		scoped(json) json_t *labels = labels_of(cases[i].fields);
		assert_int_equal(route_set_read(labels, &s, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_memory_equal(e.msg, "wherry.http.", 12);
		if (!strstr(e.msg, cases[i].says)) {
			fail_msg("%s: %s", cases[i].fields, e.msg);
		}
	}
}

static void names_make_several_routes(void **state)
{
	scoped(route_set) struct route_set s = read_fields(
		"{\"b.host\": \"b\", \"a.port\": \"1\", \"a.host\": \"a\", \"host\": \"x\"}");
	assert_int_equal(s.n_routes, 3);
	assert_string_equal(s.routes[0]->name, "");
	assert_string_equal(s.routes[1]->name, "a");
	assert_int_equal(s.routes[1]->port, 1);
	assert_string_equal(s.routes[2]->name, "b");
}

static void there_are_limits(void **state)
{
	struct err e = {0};
	struct route_set s;
	scoped(json) json_t *many = json_object();
	for (int i = 0; i <= ROUTES_MAX; i++) {
		scoped(free) char *key = xasprintf(ROUTE_LABEL "r%d.port", i);
		json_put_str(many, key, "80");
	}
	assert_int_equal(route_set_read(many, &s, &e), -1);
	assert_non_null(strstr(e.msg, "more than 32 routes"));

	static const char *const fields[] = {"host", "path", "users", "headers", "redirect",
		"error_page", "root", "rate", "port", "auth"};
	scoped(free) char *long_text = xcalloc(1, 100001);
	memset(long_text, 'a', 100000);
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		scoped(json) json_t *one = json_object();
		scoped(free) char *key = xasprintf(ROUTE_LABEL "%s", fields[i]);
		long_text[0] = strcmp(fields[i], "path") == 0 ? '/' : 'a';
		json_put_str(one, key, long_text);
		assert_int_equal(route_set_read(one, &s, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

/* A token of nginx's ends at 4096 bytes; each dollar is written with 16. */
static void what_quoting_makes_too_long_is_refused(void **state)
{
	static const struct {
		char c;
		int most;
	} cases[] = {{'$', ROUTE_WRITTEN_MAX / 16}, {'"', ROUTE_WRITTEN_MAX / 2},
		{'v', ROUTE_WRITTEN_MAX}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (int more = 0; more < 2; more++) {
			struct err e = {0};
			scoped(route_set) struct route_set s = {0};
			char value[ROUTE_WRITTEN_MAX + 2] = {0};
			memset(value, cases[i].c, (size_t)(cases[i].most + more));
			scoped(json) json_t *labels = json_object();
			scoped(free) char *text = xasprintf("X-A: %s", value);
			json_put_str(labels, ROUTE_LABEL "headers", text);
			assert_int_equal(route_set_read(labels, &s, &e), -more);
		}
	}
}

static void ports_are_read_in_both_forms(void **state)
{
	struct err e = {0};
	scoped(route_set) struct route_set s;
	scoped(json) json_t *labels = json_pack("{ss ss ss}", STREAM_LABEL "mqtt",
		"listen=8883,port=1883,tls=terminate,host=Mqtt", STREAM_LABEL "dns",
		"{\"listen\": 53, \"protocol\": \"udp\"}", "other", "x");
	assert_int_equal(route_set_read(labels, &s, &e), 0);
	assert_int_equal(s.n_streams, 2);
	assert_string_equal(s.streams[0]->name, "dns");
	assert_int_equal(s.streams[0]->port, 53);
	assert_int_equal(s.streams[0]->protocol, STREAM_UDP);
	assert_int_equal(s.streams[1]->listen, 8883);
	assert_int_equal(s.streams[1]->port, 1883);
	assert_int_equal(s.streams[1]->tls, ROUTE_TLS_TERMINATE);
	assert_string_equal(s.streams[1]->host, "mqtt");
}

static void wrong_ports_are_refused(void **state)
{
	static const char *const cases[][2] = {
		{"port=1", "listen must be a number"},
		{"listen=0", "listen must be a number from 1"},
		{"listen=70000", "listen must be a number"},
		{"listen=1,protocol=sctp", "protocol: must be tcp or udp"},
		{"listen=1,tls=terminate,protocol=udp", "tls is of tcp"},
		{"listen=1,host=a", "host is whose certificate"},
		{"listen=1,tls=terminate,host=a b", "host: 'a b'"},
		{"listen=1,x=y", "unknown setting 'x'"},
		{"", "not of the form"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = {0};
		struct route_set s;
		scoped(json) json_t *labels = json_pack("{ss}", STREAM_LABEL "x", cases[i][0]);
		assert_int_equal(route_set_read(labels, &s, &e), -1);
		assert_memory_equal(e.msg, STREAM_LABEL "x", strlen(STREAM_LABEL "x"));
		if (*cases[i][0] && !strstr(e.msg, cases[i][1])) {
			fail_msg("%s: %s", cases[i][0], e.msg);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_route_has_its_defaults),
		cmocka_unit_test(each_field_has_its_forms),
		cmocka_unit_test(what_is_wrong_is_said_with_its_label),
		cmocka_unit_test(names_make_several_routes),
		cmocka_unit_test(there_are_limits),
		cmocka_unit_test(what_quoting_makes_too_long_is_refused),
		cmocka_unit_test(ports_are_read_in_both_forms),
		cmocka_unit_test(wrong_ports_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
