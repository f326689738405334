#include "api/api.h"

#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/handlers.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/text.h"

/* {} matches one path segment, {*} one or more (image names contain slashes). First match wins. */
static const struct route {
	const char *method;
	const char *pattern;
	handler_fn *handler;
} routes[] = {
	{"GET", "/_ping", system_ping},
	{"HEAD", "/_ping", system_ping},
	{"GET", "/version", system_version},
	{"GET", "/info", system_info},
	{"POST", "/auth", system_auth},
	{"GET", "/system/df", system_df},
	{"GET", "/events", system_events},
	{"GET", "/plugins", system_plugins},

	{"GET", "/containers/json", containers_list},
	{"POST", "/containers/create", containers_create},
	{"POST", "/containers/prune", containers_prune},
	{"GET", "/containers/{}/json", containers_inspect},
	{"GET", "/containers/{}/logs", containers_logs},
	{"POST", "/containers/{}/start", containers_start},
	{"POST", "/containers/{}/stop", containers_stop},
	{"POST", "/containers/{}/restart", containers_restart},
	{"POST", "/containers/{}/kill", containers_kill},
	{"POST", "/containers/{}/pause", containers_pause},
	{"POST", "/containers/{}/unpause", containers_unpause},
	{"POST", "/containers/{}/rename", containers_rename},
	{"POST", "/containers/{}/resize", containers_resize},
	{"GET", "/containers/{}/stats", containers_stats},
	{"GET", "/containers/{}/top", containers_top},
	{"POST", "/containers/{}/wait", containers_wait},
	{"POST", "/containers/{}/attach", containers_attach},
	{"DELETE", "/containers/{}", containers_remove},
	{"POST", "/containers/{}/exec", execs_create},
	{"POST", "/exec/{}/start", execs_start},
	{"POST", "/exec/{}/resize", execs_resize},
	{"GET", "/exec/{}/json", execs_inspect},

	{"GET", "/images/json", images_list},
	{"POST", "/images/create", images_create},
	{"POST", "/images/load", images_load},
	{"POST", "/images/prune", images_prune},
	{"GET", "/images/{*}/json", images_inspect},
	{"GET", "/images/{*}/history", images_history},
	{"POST", "/images/{*}/tag", images_tag},
	{"DELETE", "/images/{*}", images_remove},

	{"POST", "/build", builds_create},
	{"POST", "/build/prune", builds_prune},

	{"GET", "/networks", networks_list},
	{"POST", "/networks/create", networks_create},
	{"POST", "/networks/prune", networks_prune},
	{"GET", "/networks/{}", networks_inspect},
	{"POST", "/networks/{}/connect", networks_connect},
	{"POST", "/networks/{}/disconnect", networks_disconnect},
	{"DELETE", "/networks/{}", networks_remove},

	{"GET", "/volumes", volumes_list},
	{"POST", "/volumes/create", volumes_create},
	{"POST", "/volumes/prune", volumes_prune},
	{"GET", "/volumes/{}", volumes_inspect},
	{"DELETE", "/volumes/{}", volumes_remove},

	{"GET", "/swarm", system_no_swarm},
	{"GET", "/services", system_no_swarm},
	{"GET", "/tasks", system_no_swarm},
	{"GET", "/nodes", system_no_swarm},
	{"GET", "/secrets", system_no_swarm},
	{"GET", "/configs", system_no_swarm},
};

/* How far the next {} or {*} of a pattern reaches in path; tail is what must follow it. */
static const char *argument_end(const char *path, bool many, const char *tail)
{
	if (!many) {
		return strchrnul(path, '/');
	}
	size_t n = strlen(path);
	size_t m = strlen(tail);
	return n > m && strcmp(path + n - m, tail) == 0 ? path + n - m : NULL;
}

/* Matches and, when args is given, fills it with the decoded arguments. */
static bool route_match(const char *pattern, const char *path, char **args)
{
	size_t n_args = 0;
	for (;;) {
		size_t literal = strcspn(pattern, "{");
		if (strncmp(pattern, path, literal) != 0) {
			return false;
		}
		pattern += literal;
		path += literal;
		if (!*pattern) {
			return !*path;
		}
		bool many = pattern[1] == '*';
		pattern += many ? 3 : 2;
		const char *end = argument_end(path, many, pattern);
		if (!end || end == path) {
			return false;
		}
		struct buf arg = BUF_INIT;
		if (percent_decode(path, (size_t)(end - path), false, &arg) < 0) {
			buf_deinit(&arg);
			return false;
		}
		free(args[n_args]);
		args[n_args++] = buf_take_str(&arg);
		path = end;
	}
}

/* Takes "/v1.45" off the front. 0, or -1 with *e in dockerd's words. */
static int split_version(const char **path, int *ret_version, struct err *e)
{
	*ret_version = API_VERSION;
	const char *p = *path;
	if (p[0] != '/' || p[1] != 'v' || p[2] < '0' || p[2] > '9') {
		return 0;
	}
	size_t n = strcspn(p + 2, "/");
	scoped(free) char *text = xstrndup(p + 2, n);
	int minor;
	int major;
	char *dot = strchr(text, '.');
	if (!dot) {
		return err_set(e, ERR_INVALID, "invalid API version: %.16s", text);
	}
	*dot = '\0';
	if (parse_int(text, 0, 99, &major) < 0 || parse_int(dot + 1, 0, 999, &minor) < 0) {
		return err_set(e, ERR_INVALID, "invalid API version: %.16s.%.16s", text, dot + 1);
	}
	if (major < 1 || (major == 1 && minor < API_VERSION_MIN)) {
		return err_set(e, ERR_INVALID,
			"client version %d.%d is too old. Minimum supported API version is 1.%d, please upgrade "
			"your client to a newer version",
			major, minor, API_VERSION_MIN);
	}
	if (major > 1 || minor > API_VERSION) {
		return err_set(e, ERR_INVALID,
			"client version %d.%d is too new. Maximum supported API version is 1.%d",
			major, minor, API_VERSION);
	}
	*ret_version = minor;
	*path = p + 2 + n;
	return 0;
}

static const struct route *find_route(
	const char *method, const char *path, char **args, bool *ret_other_method)
{
	*ret_other_method = false;
	for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++) {
		if (!route_match(routes[i].pattern, path, args)) {
			continue;
		}
		if (strcmp(routes[i].method, method) == 0) {
			return &routes[i];
		}
		*ret_other_method = true;
	}
	return NULL;
}

struct api *api_new(const struct api_deps *d)
{
	struct api *a = xnew(struct api);
	a->d = *d;
	a->started_ns = clock_real_ns();
	id_new(a->engine_id);
	return a;
}

void api_free(struct api *a)
{
	free(a);
}

static void reply_not_found(struct call *c, bool other_method)
{
	json_t *doc = json_pack(
		"{ss}", "message", other_method ? "method not allowed" : "page not found");
	call_reply_json(c, other_method ? 405 : 404, doc);
}

void api_handle(void *owner, struct http_request *r)
{
	struct api *a = owner;
	const char *path = http_path(r);
	struct err e;
	int version;
	int r_version = split_version(&path, &version, &e);
	struct call *c = call_new(a, r, version);
	if (r_version < 0) {
		call_reply_error(c, &e);
		return;
	}
	scoped(free) char *trimmed = xstrdup(path);
	size_t n = strlen(trimmed);
	while (n > 1 && trimmed[n - 1] == '/') { /* "/networks/" is "/networks" */
		trimmed[--n] = '\0';
	}
	bool other_method;
	const struct route *route = find_route(http_method(r), trimmed, c->args, &other_method);
	log_debug("api", "request", "method", http_method(r), "path", http_path(r), NULL);
	if (!route) {
		reply_not_found(c, other_method);
		return;
	}
	call_ref(c); /* the handler may answer, and so end the request, before it returns */
	route->handler(c);
	call_unref(c);
}
