/* From labels to what nginx reads. What nginx then does is in tests/integration/ingress_conf.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "ingress/conf.h"
#include "nginx_text.h"

static const char *stem_of(void *owner, const char *host)
{
	bool some = owner && (!*host || strcmp(host, "own.example") == 0);
	return some ? *host ? "/tls/own" : "/tls/default" : NULL;
}

/* What a container "app" at 10.0.0.1 gets; settings: JSON, or NULL. */
static char *text_of(json_t *take_labels, const char *settings, struct ingress_model m)
{
	struct err e = {0};
	static const uint16_t port = 8080;
	scoped(json) json_t *labels = take_labels;
	scoped(json) json_t *doc = settings ? json_loads(settings, 0, NULL) : NULL;
	scoped(ingress_settings) struct ingress_settings s;
	assert_int_equal(ingress_settings_read(doc, "box", &s, &e), 0);
	scoped(json) json_t *mounts =
		json_loads("[{\"Type\": \"volume\", \"Name\": \"site\", \"Source\": "
			   "\"/v/site\", \"Destination\": \"/srv\"}]",
			0, NULL);
	const struct route_source source = {"0123456789abcdef", "app", "", "", 1, labels,
		ROUTE_SERVING, ip_of4(0x0a000001), &port, 1, mounts};
	scoped(route_table_free) struct route_table *t = route_table_new(&s, &source, 1);
	assert_int_equal(t->n_refusals, 0);
	m.settings = &s;
	m.table = t;
	m.run_dir = m.run_dir ? m.run_dir : "/run/w";
	m.data_dir = "/var/w";
	m.certificate = stem_of;
	m.generation = 12;
	return ingress_conf_text(&m, &e);
}

static json_t *label(const char *field, const char *value)
{
	json_t *o = json_object();
	scoped(free) char *key = xasprintf("wherry.%s", field);
	json_put_str(o, key, value);
	return o;
}

#define HAS(...) assert_true(nginx_text_has(&t, __VA_ARGS__, NULL))
#define LACKS(...) assert_false(nginx_text_has(&t, __VA_ARGS__, NULL))

static void fields_are_directives(void **state)
{
	static const struct {
		const char *field, *value, *directive[4];
	} cases[] = {
		{"http.port", "81", {"server", "10.0.0.1:81"}},
		{"http.websocket", "true", {"server", "10.0.0.1:8080"}},
		{"http.host", "*.x.org", {"server_name", "*.x.org"}},
		{"http.path", "/a \"b\\{;$", {"location", "=", "/a \"b\\{;$"}},
		{"http.read_timeout", "2m", {"proxy_read_timeout", "120000ms"}},
		{"http.body_limit", "10k", {"client_max_body_size", "10240"}},
		{"http.buffering", "false", {"proxy_buffering", "off"}},
		{"http.backend", "https", {"proxy_pass", "https://up-app"}},
		{"http.backend", "grpcs", {"grpc_pass", "grpcs://up-app"}},
		{"http.rate", "5/m,2", {"limit_req", "zone=rate-app", "burst=2", "nodelay"}},
		{"http.headers", "X-A: \"$\\",
			{"add_header", "X-A", "\"${wherry_dollar}\\", "always"}},
		{"http.headers", "X-A:", {"proxy_hide_header", "X-A"}},
		{"http.redirect", "https://{host}x{uri}$y,308",
			{"return", "308", "https://${host}x${request_uri}${wherry_dollar}y"}},
		{"http.root", "/srv/$x", {"alias", "/v/site/${wherry_dollar}x/"}},
		{"http.root", "site/x", {"alias", "/v/site/x/"}},
		{"http.error_page", "none", {"error_page", "418", "/.wherry/pages/error.html"}},
		{"http.tls", "passthrough", {"listen", "unix:/run/w/https.sock", "ssl", "http2"}},
		{"stream.m", "listen=1883", {"listen", "1883", "so_keepalive=on"}},
		{"stream.m", "listen=1883,protocol=udp", {"listen", "1883", "udp"}},
		{"stream.m", "listen=1883,tls=terminate",
			{"listen", "1883", "ssl", "so_keepalive=on"}},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *const *d = cases[i].directive;
		scoped(free) char *text = text_of(label(cases[i].field, cases[i].value), NULL,
			(struct ingress_model){.owner = "", .login = true});
		scoped(nginx_text) struct nginx_text t;
		assert_true(nginx_text_read(text, &t));
		bool found =
			strcmp(d[1], "unix:/run/w/https.sock") == 0
				? nginx_text_has(&t, d[0], d[1], d[2], d[3], "proxy_protocol", NULL)
				: nginx_text_has(&t, d[0], d[1], d[2], d[2] ? d[3] : NULL, NULL);
		if (!found) {
			fail_msg("%s=%s: no %s in\n%s", cases[i].field, cases[i].value, d[0], text);
		}
	}
}

static void settings_are_listened_on(void **state)
{
	scoped(free) char *text = text_of(label("http.host", "own.example"),
		"{\"http-port\": 8080, \"https-port\": 8443, \"addresses\": [\"192.0.2.1\", \"2001:db8::1\"], "
		"\"trusted-proxies\": [\"10.1.2.3/8\"]}",
		(struct ingress_model){.owner = ""});
	scoped(nginx_text) struct nginx_text t;
	assert_true(nginx_text_read(text, &t));
	HAS("listen", "192.0.2.1:8080", "default_server");
	HAS("listen", "[2001:db8::1]:8443", "ssl", "http2");
	HAS("set_real_ip_from", "10.0.0.0/8");
	HAS("10.0.0.0/8", "trusted");
	HAS("return", "301", "https://$host:8443$request_uri");
	HAS("ssl_certificate", "/tls/own.crt");
	HAS("ssl_certificate_key", "/tls/default.key");
	HAS("return", "200", "12\n");
	LACKS("stream");
}

static void without_certificates_nothing_asks_for_them(void **state)
{
	scoped(free) char *text = text_of(label("http.port", "1"), NULL, (struct ingress_model){0});
	scoped(nginx_text) struct nginx_text t;
	assert_true(nginx_text_read(text, &t));
	assert_int_equal(nginx_text_count(&t, "ssl_certificate"), 0);
	LACKS("listen", "443", "ssl", "http2");
	HAS("return", "503");
}

static void a_login_without_its_door_lets_nobody_in(void **state)
{
	for (int login = 0; login < 2; login++) {
		scoped(free) char *text = text_of(label("http.auth", "login"), NULL,
			(struct ingress_model){.owner = "", .login = login});
		scoped(nginx_text) struct nginx_text t;
		assert_true(nginx_text_read(text, &t));
		/* both locations of the route, of requests and of what stays open */
		assert_int_equal(nginx_text_count(&t, "auth_request"), login ? 2 : 0);
		assert_int_equal(nginx_text_count(&t, "deny"), login ? 0 : 2);
	}
}

static void users_of_the_api_are_names_only(void **state)
{
	char *users[] = {"alice:0a1b", "x\" \"y:1", "a:..", "b.o_b:2", NULL};
	const struct strv list = {users, 4};
	scoped(free) char *text = text_of(label("http.port", "1"), "{\"api-port\": 2376}",
		(struct ingress_model){.owner = "", .api_ca = "/ca.crt", .api_users = &list});
	scoped(nginx_text) struct nginx_text t;
	assert_true(nginx_text_read(text, &t));
	HAS("CN=alice:0a1b", "unix:/run/w/api/0a1b.sock");
	HAS("CN=b.o_b:2", "unix:/run/w/api/2.sock");
	HAS("ssl_verify_client", "on");
	HAS("proxy_half_close", "on");
	assert_null(strstr(text, "\"y"));
	assert_null(strstr(text, "/...sock"));
}

static void folders_that_cannot_be_written_are_an_error(void **state)
{
	scoped(free) char *dollar = text_of(
		label("http.port", "1"), NULL, (struct ingress_model){.run_dir = "/run/$x"});
	assert_null(dollar);
	scoped(free) char *quoted = text_of(
		label("http.port", "1"), NULL, (struct ingress_model){.run_dir = "/run/a \"b;{"});
	scoped(nginx_text) struct nginx_text t;
	assert_true(nginx_text_read(quoted, &t));
	HAS("pid", "/run/a \"b;{/nginx.pid");
}

static void users_with_hashes_are_a_file(void **state)
{
	struct err e = {0};
	scoped(json) json_t *labels = json_pack("{ss ss}", "wherry.http.auth", "basic",
		"wherry.http.users", "bob:$apr1$a$b, eve:{SHA}x");
	scoped(ingress_settings) struct ingress_settings s;
	assert_int_equal(ingress_settings_read(NULL, "box", &s, &e), 0);
	const struct route_source source = {
		.id = "0", .name = "app", .project = "", .service = "", .labels = labels};
	scoped(route_table_free) struct route_table *t = route_table_new(&s, &source, 1);
	const struct ingress_model m = {.settings = &s, .table = t};
	scoped(json) json_t *files = ingress_conf_files(&m);
	assert_int_equal(json_object_size(files), 1);
	assert_string_equal(json_str(files, "htpasswd/app"), "bob:$apr1$a$b\neve:{SHA}x\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_directives),
		cmocka_unit_test(settings_are_listened_on),
		cmocka_unit_test(without_certificates_nothing_asks_for_them),
		cmocka_unit_test(a_login_without_its_door_lets_nobody_in),
		cmocka_unit_test(users_of_the_api_are_names_only),
		cmocka_unit_test(folders_that_cannot_be_written_are_an_error),
		cmocka_unit_test(users_with_hashes_are_a_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
