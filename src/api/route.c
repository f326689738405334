#include "api/api.h"

#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/handlers.h"
#include "api/version.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

/* {} matches one path segment, {*} one or more (image names contain slashes). First match wins. */
static const struct route {
	const char *method;
	const char *pattern;
	handler_fn *handler;
	enum user_role role; /* the least that may: ROLE_NONE, which is forgotten, means admin */
} routes[] = {
	{"GET", "/_ping", system_ping, ROLE_READ},
	{"HEAD", "/_ping", system_ping, ROLE_READ},
	{"GET", "/metrics", system_metrics, ROLE_READ},
	{"GET", "/version", system_version, ROLE_READ},
	{"GET", "/info", system_info, ROLE_READ},
	{"POST", "/auth", system_auth, ROLE_ADMIN},
	{"GET", "/system/df", system_df, ROLE_READ},
	{"GET", "/events", system_events, ROLE_READ},
	{"GET", "/plugins", absent_plugins, ROLE_READ},

	{"GET", "/containers/json", containers_list, ROLE_READ},
	{"POST", "/containers/create", containers_create, ROLE_ADMIN},
	{"POST", "/containers/prune", containers_prune, ROLE_ADMIN},
	{"GET", "/containers/{*}/json", containers_inspect,
		ROLE_READ}, /* a link's name has a slash */
	{"GET", "/containers/{}/logs", containers_logs, ROLE_OPERATE},
	{"POST", "/containers/{}/start", containers_start, ROLE_OPERATE},
	{"POST", "/containers/{}/stop", containers_stop, ROLE_OPERATE},
	{"POST", "/containers/{}/restart", containers_restart, ROLE_OPERATE},
	{"POST", "/containers/{}/kill", containers_kill, ROLE_OPERATE},
	{"POST", "/containers/{}/pause", containers_pause, ROLE_OPERATE},
	{"POST", "/containers/{}/unpause", containers_unpause, ROLE_OPERATE},
	{"POST", "/containers/{}/rename", containers_rename, ROLE_ADMIN},
	{"POST", "/containers/{}/resize", containers_resize, ROLE_OPERATE},
	{"GET", "/containers/{}/stats", containers_stats, ROLE_READ},
	{"GET", "/containers/{}/top", containers_top, ROLE_OPERATE},
	{"POST", "/containers/{}/update", containers_update, ROLE_ADMIN},
	{"POST", "/containers/{}/wait", containers_wait, ROLE_READ},
	{"POST", "/containers/{}/attach", containers_attach, ROLE_OPERATE},
	{"HEAD", "/containers/{}/archive", archives_head, ROLE_ADMIN},
	{"GET", "/containers/{}/archive", archives_get, ROLE_ADMIN},
	{"PUT", "/containers/{}/archive", archives_put, ROLE_ADMIN},
	{"GET", "/containers/{}/export", archives_export, ROLE_ADMIN},
	{"GET", "/containers/{}/changes", archives_changes, ROLE_OPERATE},
	{"POST", "/commit", commits_create, ROLE_ADMIN},
	{"GET", "/containers/{}/attach/ws", containers_attach_ws, ROLE_OPERATE},
	{"POST", "/containers/{}/exec", execs_create, ROLE_ADMIN},
	{"POST", "/exec/{}/start", execs_start, ROLE_ADMIN},
	{"POST", "/exec/{}/resize", execs_resize, ROLE_ADMIN},
	{"GET", "/exec/{}/json", execs_inspect, ROLE_OPERATE},

	{"GET", "/images/json", images_list, ROLE_READ},
	{"POST", "/images/create", images_create, ROLE_ADMIN},
	{"POST", "/images/load", images_load, ROLE_ADMIN},
	{"POST", "/images/prune", images_prune, ROLE_ADMIN},
	{"GET", "/images/get", images_save, ROLE_ADMIN},
	{"GET", "/images/{*}/get", images_save_one, ROLE_ADMIN},
	{"GET", "/images/{*}/json", images_inspect, ROLE_READ},
	{"GET", "/images/{*}/history", images_history, ROLE_READ},
	{"POST", "/images/{*}/tag", images_tag, ROLE_ADMIN},
	{"DELETE", "/images/{*}", images_remove, ROLE_ADMIN},

	{"POST", "/wherry/v1/images/verify", images_verify, ROLE_ADMIN},
	{"GET", "/wherry/v1/containers/{}/sockets", containers_sockets, ROLE_READ},
	{"POST", "/wherry/v1/containers/{}/takeover", containers_take_over, ROLE_ADMIN},
	{"GET", "/wherry/v1/devices", devices_list, ROLE_READ},
	{"GET", "/wherry/v1/devices/events", devices_events, ROLE_READ},
	{"GET", "/wherry/v1/devices/{*}", devices_get, ROLE_READ},
	{"GET", "/wherry/v1/ingress", ingress_get, ROLE_READ},
	{"GET", "/wherry/v1/projects", projects_list, ROLE_READ},
	{"GET", "/wherry/v1/projects/{}", projects_get, ROLE_ADMIN},
	{"PUT", "/wherry/v1/projects/{}", projects_put, ROLE_ADMIN},
	{"PUT", "/wherry/v1/volumes/{}/credentials", volumes_put_credentials, ROLE_ADMIN},
	{"DELETE", "/wherry/v1/projects/{}", projects_remove, ROLE_ADMIN},

	{"GET", "/wherry/v1/users", users_list, ROLE_ADMIN},
	{"POST", "/wherry/v1/users", users_create, ROLE_ADMIN},
	{"GET", "/wherry/v1/users/{}", users_get, ROLE_ADMIN},
	{"POST", "/wherry/v1/users/{}", users_update, ROLE_ADMIN},
	{"DELETE", "/wherry/v1/users/{}", users_remove, ROLE_ADMIN},
	{"PUT", "/wherry/v1/users/{}/password", users_password, ROLE_ADMIN},
	{"DELETE", "/wherry/v1/users/{}/sessions", users_sign_out, ROLE_ADMIN},
	{"POST", "/wherry/v1/users/{}/totp", users_totp_new, ROLE_ADMIN},
	{"PUT", "/wherry/v1/users/{}/totp", users_totp_set, ROLE_ADMIN},
	{"DELETE", "/wherry/v1/users/{}/totp", users_totp_remove, ROLE_ADMIN},
	{"POST", "/wherry/v1/users/{}/certificates", user_certificates_issue, ROLE_ADMIN},
	{"DELETE", "/wherry/v1/users/{}/certificates/{}", user_certificates_revoke, ROLE_ADMIN},

	{"POST", "/build", builds_create, ROLE_ADMIN},
	{"POST", "/build/prune", builds_prune, ROLE_ADMIN},

	{"GET", "/networks", networks_list, ROLE_READ},
	{"POST", "/networks/create", networks_create, ROLE_ADMIN},
	{"POST", "/networks/prune", networks_prune, ROLE_ADMIN},
	{"GET", "/networks/{}", networks_inspect, ROLE_READ},
	{"POST", "/networks/{}/connect", networks_connect, ROLE_ADMIN},
	{"POST", "/networks/{}/disconnect", networks_disconnect, ROLE_ADMIN},
	{"DELETE", "/networks/{}", networks_remove, ROLE_ADMIN},

	{"GET", "/volumes", volumes_list, ROLE_READ},
	{"POST", "/volumes/create", volumes_create, ROLE_ADMIN},
	{"POST", "/volumes/prune", volumes_prune, ROLE_ADMIN},
	{"GET", "/volumes/{}", volumes_inspect, ROLE_READ},
	{"DELETE", "/volumes/{}", volumes_remove, ROLE_ADMIN},

	{"GET", "/images/search", images_search, ROLE_ADMIN},
	{"POST", "/images/{*}/push", images_push, ROLE_ADMIN},
	{"GET", "/distribution/{*}/json", distribution_inspect, ROLE_ADMIN},
	{"POST", "/build/cancel", builds_cancel, ROLE_ADMIN},
	{"POST", "/grpc", buildkit_grpc, ROLE_ADMIN},
	{"POST", "/session", buildkit_session, ROLE_ADMIN},

	{"GET", "/plugins/privileges", absent_plugin_store, ROLE_ADMIN},
	{"POST", "/plugins/pull", absent_plugin_store, ROLE_ADMIN},
	{"POST", "/plugins/create", absent_plugin_store, ROLE_ADMIN},
	{"GET", "/plugins/{*}/json", absent_plugin, ROLE_READ},
	{"POST", "/plugins/{*}/enable", absent_plugin, ROLE_ADMIN},
	{"POST", "/plugins/{*}/disable", absent_plugin, ROLE_ADMIN},
	{"POST", "/plugins/{*}/push", absent_plugin, ROLE_ADMIN},
	{"POST", "/plugins/{*}/upgrade", absent_plugin, ROLE_ADMIN},
	{"POST", "/plugins/{*}/set", absent_plugin, ROLE_ADMIN},
	{"DELETE", "/plugins/{*}", absent_plugin, ROLE_ADMIN},

	{"GET", "/containers/{}/checkpoints", absent_experiment, ROLE_READ},
	{"POST", "/containers/{}/checkpoints", absent_experiment, ROLE_ADMIN},
	{"DELETE", "/containers/{}/checkpoints/{}", absent_experiment, ROLE_ADMIN},
	{"DELETE", "/containers/{*}", containers_remove,
		ROLE_ADMIN}, /* a link's name has a slash */

	{"POST", "/swarm/init", absent_swarm_start, ROLE_ADMIN},
	{"POST", "/swarm/join", absent_swarm_start, ROLE_ADMIN},
	{"POST", "/swarm/leave", absent_swarm_leave, ROLE_ADMIN},
	{"GET", "/swarm", absent_swarm, ROLE_READ},
	{"GET", "/swarm/unlockkey", absent_swarm, ROLE_READ},
	{"POST", "/swarm/update", absent_swarm, ROLE_ADMIN},
	{"POST", "/swarm/unlock", absent_swarm, ROLE_ADMIN},
	{"GET", "/services", absent_swarm, ROLE_READ},
	{"GET", "/services/{}", absent_swarm, ROLE_READ},
	{"POST", "/services/create", absent_swarm, ROLE_ADMIN},
	{"POST", "/services/{}/update", absent_swarm, ROLE_ADMIN},
	{"DELETE", "/services/{}", absent_swarm, ROLE_ADMIN},
	{"GET", "/services/{}/logs", absent_swarm, ROLE_READ},
	{"GET", "/nodes", absent_swarm, ROLE_READ},
	{"GET", "/nodes/{}", absent_swarm, ROLE_READ},
	{"DELETE", "/nodes/{}", absent_swarm, ROLE_ADMIN},
	{"POST", "/nodes/{}/update", absent_swarm, ROLE_ADMIN},
	{"GET", "/tasks", absent_swarm, ROLE_READ},
	{"GET", "/tasks/{}", absent_swarm, ROLE_READ},
	{"GET", "/tasks/{}/logs", absent_swarm, ROLE_READ},
	{"GET", "/secrets", absent_swarm, ROLE_READ},
	{"POST", "/secrets/create", absent_swarm, ROLE_ADMIN},
	{"GET", "/secrets/{}", absent_swarm, ROLE_READ},
	{"DELETE", "/secrets/{}", absent_swarm, ROLE_ADMIN},
	{"POST", "/secrets/{}/update", absent_swarm, ROLE_ADMIN},
	{"GET", "/configs", absent_swarm, ROLE_READ},
	{"POST", "/configs/create", absent_swarm, ROLE_ADMIN},
	{"GET", "/configs/{}", absent_swarm, ROLE_READ},
	{"DELETE", "/configs/{}", absent_swarm, ROLE_ADMIN},
	{"POST", "/configs/{}/update", absent_swarm, ROLE_ADMIN},
	{"PUT", "/volumes/{}", absent_cluster_volume, ROLE_ADMIN},
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

static enum action action_of(const struct call *c, handler_fn *handler)
{
	static const struct {
		handler_fn *handler;
		enum action action;
	} timed[] = {
		{archives_changes, ACTION_CONTAINER_CHANGES},
		{commits_create, ACTION_CONTAINER_COMMIT},
		{containers_create, ACTION_CONTAINER_CREATE},
		{containers_remove, ACTION_CONTAINER_DELETE},
		{containers_start, ACTION_CONTAINER_START},
		{images_remove, ACTION_IMAGE_DELETE},
		{images_history, ACTION_IMAGE_HISTORY},
		{networks_connect, ACTION_NETWORK_CONNECT},
		{networks_disconnect, ACTION_NETWORK_RELEASE},
		{system_info, ACTION_HOST_INFO},
		{system_version, ACTION_HOST_VERSION},
	};
	if (handler == images_create) { /* an import is none */
		return call_query_or(c, "fromImage", NULL) ? ACTION_IMAGE_PULL : ACTION_NONE;
	}
	for (size_t i = 0; i < sizeof(timed) / sizeof(*timed); i++) {
		if (timed[i].handler == handler) {
			return timed[i].action;
		}
	}
	return ACTION_NONE;
}

static const struct route *find_route(const char *method, const char *path, char **args)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++) {
		if (strcmp(routes[i].method, method) == 0 &&
			route_match(routes[i].pattern, path, args)) {
			return &routes[i];
		}
	}
	return NULL;
}

struct api *api_new(const struct api_deps *d)
{
	struct api *a = xnew(struct api);
	a->d = *d;
	a->started_ns = clock_real_ns();
	list_init(&a->kit_builds);
	list_init(&a->kit_uploads);
	id_new(a->engine_id);
	return a;
}

const char *api_engine_id(const struct api *a)
{
	return a->engine_id;
}

void api_free(struct api *a)
{
	free(a);
}

/* A path that has other methods only is "not found" too, as in dockerd; OPTIONS is always well. */
static void reply_no_route(struct call *c)
{
	if (strcmp(http_method(c->r), "OPTIONS") == 0) {
		call_reply_empty(c, 200);
	} else {
		call_reply_json(c, 404, json_pack("{ss}", "message", "page not found"));
	}
}

/* What dockerd's middleware puts on every answer of a route. */
static void put_headers(struct call *c)
{
	http_set_header(c->r, "Api-Version", API_VERSION_TEXT);
	http_set_header(c->r, "Docker-Experimental", "false");
	http_set_header(c->r, "Ostype", "linux");
}

/* What is forgotten in the table needs the role that may everything. */
static bool is_allowed(const struct route *route, const struct api_guest *g, struct call *c)
{
	struct err e;
	enum user_role least = route->role == ROLE_NONE ? ROLE_ADMIN : route->role;
	bool changes = strcmp(route->method, "GET") != 0 && strcmp(route->method, "HEAD") != 0;
	if (g->user && changes) {
		log_info("api", g->role >= least ? "remote_request" : "remote_request_refused",
			"user", g->user, "method", route->method, "path", http_path(c->r), NULL);
	}
	if (g->role >= least) {
		return true;
	}
	(void)err_set(&e, ERR_DENIED, "the role %s may not do this: %s %s needs the role %s",
		role_word(g->role), route->method, route->pattern, role_word(least));
	call_reply_error(c, &e);
	return false;
}

static void handle(const struct api_guest *g, struct http_request *r)
{
	struct api *a = g->api;
	struct err e;
	memory_give_back(&a->memory, clock_mono_ms());
	scoped(free) char *version = NULL;
	const char *path = version_split(http_path(r), &version);
	struct call *c = call_new(a, r, API_VERSION);
	c->role = g->role;
	scoped(free) char *trimmed = xstrdup(path);
	size_t n = strlen(trimmed);
	while (n > 1 && trimmed[n - 1] == '/') { /* "/networks/" is "/networks" */
		trimmed[--n] = '\0';
	}
	const struct route *route = find_route(http_method(r), trimmed, c->args);
	log_debug("api", "request", "method", http_method(r), "path", http_path(r), NULL);
	if (!route) {
		reply_no_route(c);
		return;
	}
	put_headers(c);
	if (version && version_read(version, &c->version, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	if (!is_allowed(route, g, c)) {
		return;
	}
	c->action = action_of(c, route->handler);
	c->began_ns = clock_mono_ns();
	call_ref(c); /* the handler may answer, and so end the request, before it returns */
	route->handler(c);
	call_unref(c);
}

void api_handle(void *owner, struct http_request *r)
{
	const struct api_guest g = {owner, ROLE_ADMIN, NULL};
	handle(&g, r);
}

void api_handle_guest(void *owner, struct http_request *r)
{
	handle(owner, r);
}
