/* container/container.h - containers: what they are, what state they are in, what may happen next.
 *
 * Owns table containers, DATA/containers/ID/ (upper, work, log, hosts, hostname, resolv.conf,
 * config.json) and RUN/containers/ID/ (shim socket, exit record). A container that runs is a shim
 * and its children in a mount and network namespace of their own: when they die the kernel takes
 * mounts, namespace and veth away, nothing has to be undone. Docker API v1.45 Container*; states
 * and words as moby's.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/strv.h"
#include "container/restart.h"

typedef struct uv_loop_s uv_loop_t;
struct store;
struct event_bus;
struct job_pool;
struct image_store;
struct network_set;
struct volume_set;
struct device;
struct device_set;
struct container_set;
struct volume;
struct container;
struct cgroup_features;

/* All borrowed; they outlive the set. */
struct container_deps {
	uv_loop_t *loop;
	struct store *store;
	struct event_bus *bus;
	struct job_pool *jobs;
	struct image_store *images;
	struct network_set *networks;
	struct volume_set *volumes;
	struct device_set *devices; /* NULL: nothing is known of devices that come and go */
	const char *data_root;
	const char *exec_root;
	const char *shim_path;
	const char *crun_path;                 /* runtime "crun", also under Docker's names */
	const char *seccomp_path;              /* Docker-format profile, or NULL */
	const char *cgroup_parent;             /* "wherry": a cgroup at the top of the tree */
	const struct cgroup_features *cgroups; /* what limits can be set */
	const json_t *settings;                /* of daemon.json, for defaults.c; NULL: none */
	/* Refuses what labels say (ERR_INVALID) that begin with wherry.http. or wherry.stream.;
	 * NULL */
	int (*check_routes)(const json_t *labels, struct err *e);
	const json_t *log_defaults; /* {"Type": "json-file", "Config": {...}} of the daemon's
				       configuration */
};

/* Loads the table and reconciles: connects to living shims, records the end of dead ones, then
 * applies restart policies (always, unless-stopped) from the loop, after this returns. */
struct container_set *container_set_new(const struct container_deps *d, struct err *e);
void container_set_free(struct container_set *s); /* containers go on */
/* Ends all containers because the machine goes down, each with its own stop signal and patience.
 * Nothing starts from now on; what a restart policy wants running starts with the next daemon. done
 * is called once, when none runs, perhaps before this returns. */
typedef void container_set_stopped_fn(void *owner);
void container_set_stop_all(struct container_set *s, container_set_stopped_fn *done, void *owner);

enum container_state {
	CONTAINER_CREATED,
	CONTAINER_STARTING,
	CONTAINER_RUNNING,
	CONTAINER_PAUSED,
	CONTAINER_STOPPING,
	CONTAINER_RESTARTING, /* waits for its back-off */
	CONTAINER_EXITED,
	CONTAINER_DEAD,
	CONTAINER_REMOVING,
	CONTAINER_STATE_MAX
};

/* By id, name (with or without '/'), unique id prefix. ERR_NOT_FOUND "No such container: x".
 * Borrowed: look it up again after every return to the loop. */
struct container *container_find(struct container_set *s, const char *name, struct err *e);
struct container *container_next(const struct container_set *s, size_t *pos);
size_t container_count(const struct container_set *s);
/* While the event "destroy" is told: the one that goes, which is found no more. Else NULL. */
const struct container *container_leaving(const struct container_set *s);
/* The running one that publishes that port of the host, or NULL. */
const struct container *container_publishing(
	const struct container_set *s, uint16_t port, bool udp);

const char *container_id(const struct container *c);
const char *container_name(const struct container *c); /* without '/' */
const char *container_image_id(const struct container *c);
json_t *container_layers(const struct container *c); /* diff ids, lowest first; new */
enum container_state container_state(const struct container *c);
bool container_is_running(const struct container *c); /* running, paused or stopping */
bool container_is_tty(const struct container *c);
bool container_open_stdin(const struct container *c);
const json_t *container_config(
	const struct container *c); /* Docker's Config, normalised; borrowed */
const json_t *container_host_config(
	const struct container *c); /* Docker's HostConfig, normalised; borrowed */
const json_t *container_labels(const struct container *c); /* object, never NULL; borrowed */
/* A label that its owner gave; one of its image's is "", for it must not steer other containers. Of
 * the keys in create.c's list. Borrowed. */
const char *container_own_label(const struct container *c, const char *key);
/* Those that begin with prefix, of the same list; new, NULL when there are none. */
json_t *container_own_labels(const struct container *c, const char *prefix);
/* Where this host reaches it while it runs: 127.0.0.1 on the host's network. ERR_CONFLICT with the
 * reason when it does not. */
struct ip;
int container_reach(const struct container *c, struct ip *ret, struct err *e);
/* It runs beside the container that it replaces, or that replaces it, which has its names. */
bool container_is_standby(const struct container *c);
/* What ps and inspect show of a route that is not served; NULL: all are. Whether it is news. */
bool container_set_route_error(struct container *c, const char *text);
/* An event of type container, with its labels, name and image. */
void container_event(const struct container *c, const char *action, json_t *take_more);
pid_t container_pid(const struct container *c); /* 0 when it does not run */
int container_exit_code(const struct container *c);
const char *container_image_ref(const struct container *c); /* as the user named it */
/* "healthy", "starting", "unhealthy", or "" without a health check that runs. Static. */
const char *container_health(const struct container *c);
int container_restarts(const struct container *c);       /* by its policy */
int64_t container_started_ns(const struct container *c); /* since 1970; 0: never */
/* Probes of all containers since this daemon started. */
void container_health_counts(
	const struct container_set *s, uint64_t *ret_all, uint64_t *ret_failed);
int64_t container_created_ns(const struct container *c);
void container_detached(struct container *c);          /* tells that a client left by its keys */
bool container_was_started(const struct container *c); /* ever */

/* The full GET /containers/x/json and one row of GET /containers/json; new. Sizes are the caller's
 * to add: what is below container_upper (the caller's string), and the image's bytes below that. */
json_t *container_inspect(const struct container *c);
json_t *container_summary(const struct container *c, int64_t now_ns);
/* What asks for a device: [{"container", "name", "rule": a label's name or a --device's path,
 * "path": in the container, "running"}]; new. */
json_t *container_device_uses(const struct container_set *s, const struct device *d);
char *container_upper(const struct container *c);
int64_t container_image_bytes(const struct container *c);

/* Limits of a process that is no container, a build's RUN: host has keys of HostConfig and is
 * normalised, what this kernel cannot do is left out. New: OCI linux.resources, process.rlimits. */
struct cgroup_features;
int container_limits(json_t *host, const struct cgroup_features *f, json_t **ret_resources,
	json_t **ret_rlimits, struct err *e);

/* body: POST /containers/create, and beside that "Platform", of several under one name the one that
 * is wanted, or "". name NULL: one is made up (adjective_surname, as Docker).
 * Validates everything that can be known now; makes anonymous volumes; ERR_NOT_FOUND "No such
 * image: x:latest", ERR_CONFLICT "Conflict. The container name \"/x\" is already in use by
 * container \"ID\". You have to remove (or rename) that container to be able to reuse that name."
 * *ret_warnings: a new array of strings. */
int container_create(struct container_set *s, const char *name, const json_t *body,
	struct container **ret, json_t **ret_warnings, struct err *e);

/* Steps that take time call done exactly once, possibly before they return, e NULL on success.
 * owner must stay valid until then. The container may be gone when done is called. */
typedef void container_done_fn(void *owner, const struct err *e);
void container_start(
	struct container *c, container_done_fn *done, void *owner); /* ERR_UNCHANGED when it runs */
/* signal 0: the container's stop signal; timeout_s < 0: the container's own (10). ERR_UNCHANGED
 * when it does not run. */
void container_stop(
	struct container *c, int signal, int timeout_s, container_done_fn *done, void *owner);
void container_restart(
	struct container *c, int signal, int timeout_s, container_done_fn *done, void *owner);
int container_kill(
	struct container *c, int signal, struct err *e); /* ERR_CONFLICT "... is not running" */
void container_remove(
	struct container *c, bool force, bool volumes, container_done_fn *done, void *owner);
/* DELETE /containers/A/ALIAS?link=1: A forgets its --link. ERR_NOT_FOUND "No such container: ...".
 */
int container_unlink(struct container_set *s, const char *name, struct err *e);
/* c gets the host ports of from that it waits for, and answers to its names from now on instead of
 * from; connections that exist stay where they are. The same the other way round takes it back.
 * ERR_CONFLICT when one does not run. */
int container_take_over(struct container *c, struct container *from, struct err *e);
/* {"Listening": [80], "Connections": 3}: of TCP, of its network namespace; new. NULL with *e. */
json_t *container_sockets(const struct container *c, struct err *e);
int container_rename(struct container *c, const char *name, struct err *e);
int container_pause(struct container *c, bool pause, struct err *e);
/* POST /containers/x/update. body: Resources and RestartPolicy; what is 0, "" or null stays.
 * container_update_check: ERR_INVALID, and what this kernel cannot do goes with a warning;
 * *ret_changes, *ret_warnings: new. container_update records the changes, then sets them in the
 * kernel when the container runs: when that fails they are taken back. ERR_CONFLICT "Cannot update
 * container ID: ...". */
int container_update_check(const struct container_set *s, const json_t *body, json_t **ret_changes,
	json_t **ret_warnings, struct err *e);
void container_update(
	struct container *c, const json_t *changes, container_done_fn *done, void *owner);
/* ERR_CONFLICT while it is paused or waits to be restarted; named is what the client called it. */
int container_check_attach(const struct container *c, const char *named, struct err *e);
int container_resize(struct container *c, unsigned rows, unsigned columns, struct err *e);

/* Waits. condition: "not-running" (default), "next-exit", "removed". fn is called once with the
 * exit code; never from inside. */
struct container_wait;
typedef void container_wait_fn(
	void *owner, int exit_code, const char *error); /* error NULL or a sentence */
struct container_wait *container_wait(struct container *c, const char *condition,
	container_wait_fn *fn, void *owner, struct err *e);
void container_wait_cancel(struct container_wait *w);

/* live networks: POST /networks/x/connect and disconnect */
int container_connect(
	struct container *c, const char *network, const json_t *endpoint_config, struct err *e);
int container_disconnect(struct container *c, const char *network, bool force, struct err *e);

/* Unmounts a volume that nobody uses, if it is mounted, so that it can be removed. */
void container_release_volume(
	struct container_set *s, struct volume *v, container_done_fn *done, void *owner);
/* Somebody looks at it: its server is asked, for the next one. */
void container_volume_shown(struct container_set *s, struct volume *v);
/* It has other credentials: what could not be mounted is tried again. */
void container_volume_retry(struct container_set *s, struct volume *v);
/* Who uses a volume or image: for removal checks. NULL when nobody; otherwise a container's id,
 * borrowed. */
bool container_uses_volume(const struct container *c, const char *volume);
const char *container_using_volume(const struct container_set *s, const char *volume);
const char *container_using_image(
	const struct container_set *s, const char *image_id, bool running_only);
/* The same of those that run. */
void container_set_pin_running(
	const struct container_set *s, void (*pin)(void *arg, const char *diff_id), void *arg);
void container_set_pin_layers(
	const struct container_set *s, void (*pin)(void *arg, const char *diff_id), void *arg);
