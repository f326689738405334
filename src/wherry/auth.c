#include "wherry/auth.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/text.h"
#include "codec/ref.h"
#include "wherry/auth_helper.h"
#include "wherry/config_file.h"
#include "wherry/engine.h"

char *auth_default_server(struct cli *cli)
{
	struct err ignored;
	scoped(json) json_t *info = NULL;
	if (engine_json(cli, "GET", "/info", NULL, &info, &ignored) < 0 ||
		!*json_str(info, "IndexServerAddress")) {
		return xstrdup(REF_DEFAULT_DOMAIN);
	}
	return xstrdup(json_str(info, "IndexServerAddress"));
}

/* docker/cli ConvertToHostname: "https://host/v1/" is "host". */
static char *host_of(const char *server)
{
	const char *scheme = strstr(server, "://");
	const char *host = scheme ? scheme + 3 : server;
	return xstrndup(host, strcspn(host, "/"));
}

char *auth_server_key(const char *server)
{
	return host_of(server);
}

/* The helper that answers for a server, or NULL; borrowed from config. */
static const char *helper_for(const json_t *config, const char *server)
{
	const json_t *helpers = json_object_get(config, "credHelpers");
	scoped(free) char *host = host_of(server);
	const char *own = json_str(helpers, server);
	const char *of_host = json_str(helpers, host);
	const char *all = json_str(config, "credsStore");
	return *own ? own : *of_host ? of_host : *all ? all : NULL;
}

static json_t *auth_new(
	const char *server, const char *user, const char *password, const char *token)
{
	json_t *auth = json_object();
	json_put_str(auth, "username", user);
	if (*token) {
		json_put_str(auth, "identitytoken", token);
	} else {
		json_put_str(auth, "password", password);
	}
	json_put_str(auth, "serveraddress", server);
	return auth;
}

static json_t *ask_helper(const char *helper, const char *server)
{
	struct err e;
	scoped(buf) struct buf answer = BUF_INIT;
	if (auth_helper_run(helper, "get", server, AUTH_HELPER_TIMEOUT_MS, &answer, &e) < 0) {
		if (e.kind != ERR_NOT_FOUND) {
			fprintf(stderr, "WARNING: %s\n", e.msg);
		}
		return NULL;
	}
	scoped(json) json_t *doc =
		json_parse(buf_str(&answer), answer.len, "the credential helper's answer", &e);
	if (!doc) {
		fprintf(stderr, "WARNING: %s\n", e.msg);
		return NULL;
	}
	const char *user = json_str(doc, "Username");
	const char *secret = json_str(doc, "Secret");
	bool is_token = strcmp(user, "<token>") == 0;
	return auth_new(server, is_token ? "" : user, secret, is_token ? secret : "");
}

/* {"auth": base64("user:password"), "identitytoken": ...}; the older members "username" and
 * "password" too. */
static json_t *decode_entry(const char *server, const json_t *entry)
{
	scoped(buf) struct buf pair = BUF_INIT;
	const char *encoded = json_str(entry, "auth");
	const char *token = json_str(entry, "identitytoken");
	if (base64_decode(encoded, strlen(encoded), &pair) < 0) {
		fprintf(stderr, "WARNING: the credentials of %s in config.json are not base64\n",
			server);
		return NULL;
	}
	char *colon = pair.len ? strchr(pair.data, ':') : NULL;
	if (colon) {
		*colon = '\0';
		return auth_new(server, pair.data, colon + 1, token);
	}
	if (*json_str(entry, "username")) {
		return auth_new(
			server, json_str(entry, "username"), json_str(entry, "password"), token);
	}
	return *token ? auth_new(server, "", "", token) : NULL;
}

static json_t *find_in_file(const json_t *config, const char *server)
{
	json_t *auths = json_object_get(config, "auths");
	const json_t *entry = json_object_get(auths, server);
	scoped(free) char *wanted = host_of(server);
	const char *key;
	json_t *v;
	if (entry) {
		return decode_entry(server, entry);
	}
	json_object_foreach (auths, key, v) {
		scoped(free) char *host = host_of(key);
		if (strcmp(host, wanted) == 0) {
			return decode_entry(server, v);
		}
	}
	return NULL;
}

static json_t *find_with(const json_t *config, const char *server)
{
	const char *helper = helper_for(config, server);
	return helper ? ask_helper(helper, server) : find_in_file(config, server);
}

json_t *auth_find(struct cli *cli, const char *server)
{
	scoped(json) json_t *config = config_file_read_or_empty(cli);
	return find_with(config, server);
}

static bool has_credentials(const json_t *config)
{
	return json_object_size(json_object_get(config, "auths")) > 0 ||
	       *json_str(config, "credsStore") ||
	       json_object_size(json_object_get(config, "credHelpers")) > 0;
}

static void put_header(const char *name, const json_t *doc, struct buf *ret)
{
	scoped(free) char *text = json_text(doc);
	buf_printf(ret, "%s: ", name);
	size_t from = ret->len;
	base64_encode(text, strlen(text), ret);
	for (size_t i = from; i < ret->len;
		i++) { /* the URL alphabet, as the docker CLI sends it */
		char c = ret->data[i];
		ret->data[i] = c == '+' ? '-' : c == '/' ? '_' : c;
	}
	buf_puts(ret, "\r\n");
}

void auth_header_for_image(struct cli *cli, const char *image, struct buf *ret)
{
	struct err ignored;
	struct ref ref;
	scoped(json) json_t *config = config_file_read_or_empty(cli);
	if (!has_credentials(config) || ref_parse(image, &ref, &ignored) < 0) {
		return;
	}
	bool is_default = strcmp(ref.domain, REF_DEFAULT_DOMAIN) == 0;
	scoped(free) char *server = is_default ? auth_default_server(cli) : xstrdup(ref.domain);
	scoped(json) json_t *auth = find_with(config, server);
	if (auth) {
		put_header("X-Registry-Auth", auth, ret);
	}
}

static void add_helper_servers(const char *helper, json_t *all)
{
	struct err e;
	scoped(buf) struct buf answer = BUF_INIT;
	if (auth_helper_run(helper, "list", "unused", AUTH_HELPER_TIMEOUT_MS, &answer, &e) < 0) {
		return; /* helpers need not know list */
	}
	scoped(json) json_t *list =
		json_parse(buf_str(&answer), answer.len, "the credential helper's list", &e);
	const char *server;
	json_t *user;
	json_object_foreach (list, server, user) {
		json_put(all, server, ask_helper(helper, server));
	}
}

json_t *auth_all(struct cli *cli)
{
	scoped(json) json_t *config = config_file_read_or_empty(cli);
	json_t *all = json_object();
	const char *server;
	json_t *v;
	if (*json_str(config, "credsStore")) {
		add_helper_servers(json_str(config, "credsStore"), all);
	} else {
		json_object_foreach (json_object_get(config, "auths"), server, v) {
			json_put(all, server, decode_entry(server, v));
		}
	}
	json_object_foreach (json_object_get(config, "credHelpers"), server, v) {
		json_put(all, server, find_with(config, server));
	}
	return all;
}

void auth_header_for_build(struct cli *cli, struct buf *ret)
{
	scoped(json) json_t *all = auth_all(cli);
	if (json_object_size(all) > 0) {
		put_header("X-Registry-Config", all, ret);
	}
}

static int store_in_helper(const char *helper, const json_t *auth, struct err *e)
{
	scoped(buf) struct buf answer = BUF_INIT;
	const char *token = json_str(auth, "identitytoken");
	scoped(json) json_t *doc =
		json_pack("{ss ss ss}", "ServerURL", json_str(auth, "serveraddress"), "Username",
			*token ? "<token>" : json_str(auth, "username"), "Secret",
			*token ? token : json_str(auth, "password"));
	scoped(free) char *text = json_text(doc);
	return auth_helper_run(helper, "store", text, AUTH_HELPER_TIMEOUT_MS, &answer, e);
}

static json_t *auths_of(json_t *config)
{
	json_t *auths = json_object_get(config, "auths");
	if (!json_is_object(auths)) {
		auths = json_object();
		json_put(config, "auths", auths);
	}
	return auths;
}

/* What config.json says about the server; with a helper only that it is known. */
json_t *auth_entry(const json_t *auth)
{
	const char *token = json_str(auth, "identitytoken");
	scoped(free) char *pair = xasprintf(
		"%s:%s", json_str(auth, "username"), *token ? "" : json_str(auth, "password"));
	scoped(buf) struct buf encoded = BUF_INIT;
	json_t *entry = json_object();
	base64_encode(pair, strlen(pair), &encoded);
	json_put_str(entry, "auth", buf_str(&encoded));
	if (*token) {
		json_put_str(entry, "identitytoken", token);
	}
	return entry;
}

int auth_store(struct cli *cli, const json_t *auth, bool *ret_in_clear, struct err *e)
{
	scoped(json) json_t *config = config_file_read(cli, e);
	if (!config) {
		return -1;
	}
	const char *server = json_str(auth, "serveraddress");
	const char *helper = helper_for(config, server);
	if (helper && store_in_helper(helper, auth, e) < 0) {
		return err_wrap(e, "Error saving credentials");
	}
	scoped(json) json_t *entry = helper ? json_object() : auth_entry(auth);
	json_t *auths = auths_of(config);
	*ret_in_clear = false;
	if (json_equal(json_object_get(auths, server), entry)) {
		return 0;
	}
	json_put(auths, server, json_incref(entry));
	*ret_in_clear = !helper && !*json_str(auth, "identitytoken");
	return config_file_write(cli, config, e) < 0 ? err_wrap(e, "Error saving credentials") : 0;
}

int auth_erase(struct cli *cli, const char *server, struct err *e)
{
	scoped(json) json_t *config = config_file_read(cli, e);
	if (!config) {
		return -1;
	}
	const char *helper = helper_for(config, server);
	scoped(buf) struct buf answer = BUF_INIT;
	if (helper &&
		auth_helper_run(helper, "erase", server, AUTH_HELPER_TIMEOUT_MS, &answer, e) < 0) {
		return -1;
	}
	json_t *auths = json_object_get(config, "auths");
	return json_object_del(auths, server) == 0 ? config_file_write(cli, config, e) : 0;
}
