/* ingress/table.h - the routes of all containers together: which host and path leads where. Pure.
 *
 * The caller (ingress.h) says of each container what it is; the table makes full host names, one
 * upstream of the replicas of a compose service, and an error of what two containers both ask for:
 * who runs goes before who is stopped, then the older keeps it. Nothing in here looks at the clock
 * or at the kernel.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "ingress/route.h"
#include "ingress/settings.h"

enum route_life {
	ROUTE_STOPPED, /* it does not run, and nothing will start it: an error page */
	ROUTE_COMING,  /* it waits, starts, restarts, is unhealthy or paused: a page that reloads
			  itself */
	ROUTE_SERVING,
	ROUTE_STANDBY, /* it runs beside the one that it replaces and gets no requests yet */
};

/* A container with labels of ours. All borrowed for the call of route_table_new. */
struct route_source {
	const char *id;                /* 64 hex digits */
	const char *name;              /* without '/' */
	const char *project, *service; /* compose's own labels, "" without */
	int64_t created_ns;
	const json_t *labels; /* its owner's (container_own_labels), never its image's */
	enum route_life life;
	struct ip
		address; /* that it is reached at: 127.0.0.1 on the host's network; size 0: none */
	const uint16_t *ports; /* TCP ports that it publishes, else exposes */
	size_t n_ports;
	const json_t *mounts; /* Docker's "Mounts" of it, for `root`; NULL: none */
};

struct served_server {
	struct ip address;
	uint16_t port;
	char *id; /* the container */
};

/* One route of one host. */
struct served_route {
	const struct route *route;
	char *key; /* "PROJECT-SERVICE" or the container's name, "-NAME" of the route: [a-z0-9-],
		    * unique, the same after a replacement. Names files, upstreams, log lines,
		    * counters */
	char *id;  /* the container whose labels count: the newest of the best that there is */
	char *container, *service; /* its name, its service or "": for people */
	enum route_life life; /* the best of the replicas'; STANDBY only when no other is there */
	struct served_server *servers; /* those that are ROUTE_SERVING, or else ROUTE_STANDBY */
	size_t n_servers;
	char *root_from,
		*root_at; /* of `root`: the volume on the host, the folder in it; or NULL */
	bool mixed_auth;  /* another route of this host asks for another auth */
};

struct served_host {
	char *name;                   /* full, lower case; "*.x" for all below x; ROUTE_HOST_OWN */
	struct served_route **routes; /* borrowed from the table; the longest path first */
	size_t n_routes;
	bool passthrough; /* then it has one route */
	bool plain;       /* one of its routes has tls=off */
};

struct served_stream {
	const struct stream_route *stream;
	char *key, *id, *container, *service;
	char *host; /* full, or NULL */
	enum route_life life;
	struct served_server *servers;
	size_t n_servers;
};

/* What is not served, and why. */
struct route_refusal {
	char *id;
	char *text; /* a sentence: "app.box.local/ is already the route of container web" */
};

struct route_table {
	struct served_host **hosts; /* by name */
	size_t n_hosts;
	struct served_route **routes; /* by key; each may be of several hosts */
	size_t n_routes;
	struct served_stream **streams; /* by port */
	size_t n_streams;
	struct route_refusal *refusals; /* by container */
	size_t n_refusals;
	struct route_set *sets; /* of the sources; routes above point into it */
	size_t n_sets;
};

/* Never NULL. s is borrowed for the call. */
struct route_table *route_table_new(
	const struct ingress_settings *s, const struct route_source *sources, size_t n);
void route_table_free(struct route_table *t); /* NULL is fine */
SCOPED(struct route_table *, route_table_free)

/* Whether nginx has anything to serve. */
bool route_table_is_empty(const struct route_table *t);
/* The first refusal of a container, borrowed, or NULL: for ps and events. */
const char *route_table_error(const struct route_table *t, const char *id);
/* "serving", "coming", "stopped", "standby"; static. */
const char *route_life_word(enum route_life l);
/* For the API; new: {"Routes": [{"Host", "Path", "Container", "Id", "Service", "Name", "Key",
 * "State", "Servers": ["172.17.0.2:80"], "Auth", "Tls", "Backend", "Redirect", "Root"}], "Streams":
 * [{"Listen", "Protocol", "Tls", "Host", ...}], "Errors": [{"Id", "Error"}]}. ROUTE_HOST_OWN is
 * given as own. */
json_t *route_table_json(const struct route_table *t, const char *own);
