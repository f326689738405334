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
} routes[] = {
	{"GET", "/_ping", system_ping},
	{"HEAD", "/_ping", system_ping},
	{"GET", "/metrics", system_metrics},
	{"GET", "/version", system_version},
	{"GET", "/info", system_info},
	{"POST", "/auth", system_auth},
	{"GET", "/system/df", system_df},
	{"GET", "/events", system_events},
	{"GET", "/plugins", absent_plugins},

	{"GET", "/containers/json", containers_list},
	{"POST", "/containers/create", containers_create},
	{"POST", "/containers/prune", containers_prune},
	{"GET", "/containers/{*}/json", containers_inspect}, /* a link's name has a slash */
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
	{"POST", "/containers/{}/update", containers_update},
	{"POST", "/containers/{}/wait", containers_wait},
	{"POST", "/containers/{}/attach", containers_attach},
	{"HEAD", "/containers/{}/archive", archives_head},
	{"GET", "/containers/{}/archive", archives_get},
	{"PUT", "/containers/{}/archive", archives_put},
	{"GET", "/containers/{}/export", archives_export},
	{"GET", "/containers/{}/changes", archives_changes},
	{"POST", "/commit", commits_create},
	{"GET", "/containers/{}/attach/ws", containers_attach_ws},
	{"POST", "/containers/{}/exec", execs_create},
	{"POST", "/exec/{}/start", execs_start},
	{"POST", "/exec/{}/resize", execs_resize},
	{"GET", "/exec/{}/json", execs_inspect},

	{"GET", "/images/json", images_list},
	{"POST", "/images/create", images_create},
	{"POST", "/images/load", images_load},
	{"POST", "/images/prune", images_prune},
	{"GET", "/images/get", images_save},
	{"GET", "/images/{*}/get", images_save_one},
	{"GET", "/images/{*}/json", images_inspect},
	{"GET", "/images/{*}/history", images_history},
	{"POST", "/images/{*}/tag", images_tag},
	{"DELETE", "/images/{*}", images_remove},

	{"POST", "/wherry/v1/images/verify", images_verify},
	{"GET", "/wherry/v1/containers/{}/sockets", containers_sockets},
	{"POST", "/wherry/v1/containers/{}/takeover", containers_take_over},
	{"GET", "/wherry/v1/devices", devices_list},
	{"GET", "/wherry/v1/devices/events", devices_events},
	{"GET", "/wherry/v1/devices/{*}", devices_get},
	{"GET", "/wherry/v1/projects", projects_list},
	{"GET", "/wherry/v1/projects/{}", projects_get},
	{"PUT", "/wherry/v1/projects/{}", projects_put},
	{"PUT", "/wherry/v1/volumes/{}/credentials", volumes_put_credentials},
	{"DELETE", "/wherry/v1/projects/{}", projects_remove},

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

	{"GET", "/images/search", images_search},
	{"POST", "/images/{*}/push", images_push},
	{"GET", "/distribution/{*}/json", distribution_inspect},
	{"POST", "/build/cancel", builds_cancel},
	{"POST", "/grpc", buildkit_grpc},
	{"POST", "/session", buildkit_session},

	{"GET", "/plugins/privileges", absent_plugin_store},
	{"POST", "/plugins/pull", absent_plugin_store},
	{"POST", "/plugins/create", absent_plugin_store},
	{"GET", "/plugins/{*}/json", absent_plugin},
	{"POST", "/plugins/{*}/enable", absent_plugin},
	{"POST", "/plugins/{*}/disable", absent_plugin},
	{"POST", "/plugins/{*}/push", absent_plugin},
	{"POST", "/plugins/{*}/upgrade", absent_plugin},
	{"POST", "/plugins/{*}/set", absent_plugin},
	{"DELETE", "/plugins/{*}", absent_plugin},

	{"GET", "/containers/{}/checkpoints", absent_experiment},
	{"POST", "/containers/{}/checkpoints", absent_experiment},
	{"DELETE", "/containers/{}/checkpoints/{}", absent_experiment},
	{"DELETE", "/containers/{*}", containers_remove}, /* a link's name has a slash */

	{"POST", "/swarm/init", absent_swarm_start},
	{"POST", "/swarm/join", absent_swarm_start},
	{"POST", "/swarm/leave", absent_swarm_leave},
	{"GET", "/swarm", absent_swarm},
	{"GET", "/swarm/unlockkey", absent_swarm},
	{"POST", "/swarm/update", absent_swarm},
	{"POST", "/swarm/unlock", absent_swarm},
	{"GET", "/services", absent_swarm},
	{"GET", "/services/{}", absent_swarm},
	{"POST", "/services/create", absent_swarm},
	{"POST", "/services/{}/update", absent_swarm},
	{"DELETE", "/services/{}", absent_swarm},
	{"GET", "/services/{}/logs", absent_swarm},
	{"GET", "/nodes", absent_swarm},
	{"GET", "/nodes/{}", absent_swarm},
	{"DELETE", "/nodes/{}", absent_swarm},
	{"POST", "/nodes/{}/update", absent_swarm},
	{"GET", "/tasks", absent_swarm},
	{"GET", "/tasks/{}", absent_swarm},
	{"GET", "/tasks/{}/logs", absent_swarm},
	{"GET", "/secrets", absent_swarm},
	{"POST", "/secrets/create", absent_swarm},
	{"GET", "/secrets/{}", absent_swarm},
	{"DELETE", "/secrets/{}", absent_swarm},
	{"POST", "/secrets/{}/update", absent_swarm},
	{"GET", "/configs", absent_swarm},
	{"POST", "/configs/create", absent_swarm},
	{"GET", "/configs/{}", absent_swarm},
	{"DELETE", "/configs/{}", absent_swarm},
	{"POST", "/configs/{}/update", absent_swarm},
	{"PUT", "/volumes/{}", absent_cluster_volume},
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

void api_handle(void *owner, struct http_request *r)
{
	struct api *a = owner;
	struct err e;
	memory_give_back(&a->memory, clock_mono_ms());
	scoped(free) char *version = NULL;
	const char *path = version_split(http_path(r), &version);
	struct call *c = call_new(a, r, API_VERSION);
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
	c->action = action_of(c, route->handler);
	c->began_ns = clock_mono_ns();
	call_ref(c); /* the handler may answer, and so end the request, before it returns */
	route->handler(c);
	call_unref(c);
}
