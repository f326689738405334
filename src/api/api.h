/* api/api.h - the Docker Engine API (v1.24 to v1.45) over the objects of this daemon.
 *
 * The only place that knows API versions. One table (route.c) names every method and path and its
 * handler; there is one file for each resource.
 */
#pragma once
#include <jansson.h>

#include "user/user.h"

typedef struct uv_loop_s uv_loop_t;
struct builder;
struct gateway;
struct cgroup_features;
struct container_set;
struct device_set;
struct event_bus;
struct http_request;
struct image_store;
struct ingress;
struct job_pool;
struct network_set;
struct password_desk;
struct project_store;
struct session_set;
struct volume_set;

/* All borrowed; they outlive the api. */
struct api_deps {
	uv_loop_t *loop;
	struct event_bus *bus;
	struct image_store *images;
	struct container_set *containers;
	struct network_set *networks;
	struct volume_set *volumes;
	struct device_set *devices;
	struct project_store *projects;
	struct user_set *users;
	struct session_set *sessions;
	struct password_desk *passwords;
	struct ingress *ingress;
	struct builder *builder;
	struct gateway *gateway; /* BuildKit's connections */
	struct job_pool *jobs;
	const char *data_root;
	const json_t *config;                  /* the daemon's merged configuration, for /info */
	const struct cgroup_features *cgroups; /* what limits can be set, for /info */
};

struct api;
struct api *api_new(const struct api_deps *d);
void api_free(struct api *a); /* NULL is fine; after the HTTP server has closed its connections */
const char *api_engine_id(const struct api *a);
void api_handle(void *api, struct http_request *r); /* an http_handler_fn: everything is allowed */
/* The same for somebody whose role says what is; who he is is the owner of the handler. */
struct api_guest {
	struct api *api;
	enum user_role role;
	const char *user;
};
void api_handle_guest(void *guest, struct http_request *r);
/* The same for metrics-addr: GET /metrics, and nothing else. */
void api_handle_metrics(void *api, struct http_request *r);
/* For image-peers-listen: layers by diff id, and nothing else. */
void api_handle_peers(void *api, struct http_request *r);
