/* container/internal.h - what the files of container/ share; nobody else includes it.
 *
 * record.c     the row in table containers      create.c   the body of POST /containers/create,
 * checked mounts.c     binds, volumes, tmpfs            limits.c   memory, CPU, ulimits as OCI
 * resources bundle.c     config.json (with security.c, etc.c, devices.c)   endpoints.c  a
 * container's places on networks run.c        start, end, restart              stop.c     stop,
 * kill, pause, remove reconcile.c  after a restart of the daemon    wait.c, inspect.c, health.c,
 * attach.c, exec.c, logs.c
 */
#pragma once
#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/text.h"
#include "container/attach.h"
#include "container/container.h"
#include "container/delay.h"
#include "container/health_rules.h"
#include "container/restart.h"
#include "container/state.h"
#include "network/network.h"

#define CONTAINER_NETWORKS_MAX 16
#define CONTAINER_MOUNTS_MAX 512
#define CONTAINER_ENV_MAX 4096 /* of image and user; each is compared with each */
#define DEFAULT_STOP_TIMEOUT_S 10

struct shim;
struct health;
struct job;
struct job_handlers;
struct oci_user;
struct patience;
struct plug;
struct storage;
struct storage_state;
struct cgroup_features;
struct volume;
struct oom_watch;
struct stats_sampler;
struct stats_source;

struct container_set {
	struct container_deps d;
	struct map *by_id;         /* -> struct container, in order of creation */
	struct map *by_name;       /* -> struct container */
	struct map *execs;         /* exec id -> struct exec */
	struct list readers;       /* log readers that follow */
	struct delay *policies;    /* restart policies are about to be applied */
	struct delay *boot_look;   /* boot.c will look at those that wait for others, */
	size_t boot_waiting;       /* so many */
	struct list volume_jobs;   /* mounts and unmounts that are on their way */
	struct patience *patience; /* patience.h: binds of mounts whose server is away */
	struct list volume_looks;  /* volume_watch.c: when a server is asked again */
	struct delay *left_again;  /* NULL, or groups.c tries again */
	struct strv left_groups;   /* to remove these, whose processes do not end, */
	struct strv left_above;    /* and then these */
	int64_t left_wait_ms;
	struct stats_sampler *sampler;           /* NULL before the first watcher */
	uint64_t probes, failed_probes;          /* of health checks */
	struct device_listener *device_listener; /* plug.c */
	struct storage_state *storage;           /* storage.c */
	const struct container *leaving;         /* container_leaving */
	bool closing;
	bool has_links;  /* a container has had links: their names are looked for */
	bool going_down; /* with the machine: nothing starts any more */
	container_set_stopped_fn *all_stopped;
	void *all_stopped_owner;
};

/* Those who attached before there was a shim, and those who are connected. */
struct attach_point {
	struct list waiting, live;
};

enum mount_kind { MOUNT_BIND, MOUNT_VOLUME, MOUNT_TMPFS, MOUNT_IMAGE, MOUNT_KINDS };

struct mount_point {
	enum mount_kind kind;
	char *name;   /* volume, or image as it was written */
	char *source; /* host path of a bind; a volume's is asked for at start; id of an image */
	char *target; /* absolute, clean */
	char *mode;   /* as the user wrote it: "ro,z" */
	char *propagation;  /* "rprivate" */
	char *options;      /* tmpfs: "size=64m,mode=1777" */
	char *subpath;      /* of a volume or an image, or NULL */
	struct strv layers; /* of an image: diff ids, lowest first */
	bool read_only;
	bool no_copy; /* the image's content is not offered to the volume */
	bool non_recursive;
	bool shallow_read_only; /* read-only without the mounts below it */
	bool forced_read_only;  /* with them, or not at all */
};

struct mount_list {
	struct mount_point *v;
	size_t n;
};

/* A container's place on one network: as asked for, and as it came to be while it runs. */
struct endpoint {
	char *network;  /* name, or id when asked for by id */
	json_t *config; /* EndpointSettings of the request: Aliases, IPAMConfig, MacAddress, Links
			 */
	bool live;
	struct endpoint_info info; /* network_id stays after the end, for inspect */
};

/* Somebody who waits for the end of a step. */
struct done_call {
	struct list node;
	container_done_fn *fn;
	void *owner;
};

struct container {
	struct container_set *set;
	char id[ID_LEN + 1];
	char *name;
	char *image_id;  /* "sha256:..." */
	char *image_ref; /* as the user named it */
	struct strv layers;
	int64_t created_ns;
	json_t *config, *host_config;
	json_t *warnings; /* of its creation, for the answer to it; then NULL */
	struct mount_list mounts;
	struct endpoint endpoints[CONTAINER_NETWORKS_MAX];
	size_t n_endpoints;
	json_t *ports;            /* NetworkSettings.Ports while it runs, or NULL */
	char *dir;                /* DATA/containers/ID */
	char *run_dir;            /* RUN/containers/<32 hex of ID> */
	char *cgroup;             /* "wherry/ID" */
	struct strv made_groups;  /* above it, of ours: groups.c */
	struct strv image_labels; /* of those that the engine obeys, who has them from its image */

	/* the state: changed by container_step and record.c only */
	enum container_state state;
	pid_t pid;
	int pidfd; /* -1 when it does not run */
	int exit_code;
	bool oom_killed;
	char *error;       /* why the last start failed, or NULL */
	json_t *without;   /* paths that this run does without: optional.c; NULL before the first */
	char *route_error; /* ingress.h: why a route of it is not served, or NULL */
	char *waits_for;   /* "device /dev/x": what its next start waits for, or NULL */
	int64_t boot_since_ms; /* boot.c is to start it, and waits since then; 0: not */
	bool was_started_now;  /* it has run under this daemon */
	struct unhealthy_history unhealthy;
	int64_t started_ns, finished_ns;
	bool stopped_by_user;
	bool kill_asked;      /* while it was starting: it is, as soon as it runs */
	bool was_running;     /* as the store said when the daemon started */
	bool resumes_waiting; /* for a device, since before this daemon began */
	int restart_count;
	int64_t last_wait_ms;
	struct restart_policy policy;

	struct shim *shim;
	struct attach_point attaches;
	struct list waits;
	struct list starting, stopping, removing; /* struct done_call */
	struct list file_works;                   /* files.c */
	struct delay *restart_delay, *kill_delay;
	struct job *seeding;
	size_t seed_next;
	int64_t begun_ms;   /* this start, or the last */
	bool awaits_volume; /* its launch goes on when a mount or unmount has ended */
	bool volumes_taken; /* their mount was told as an event */
	bool launch_held;   /* until the last of file_works ends */
	bool dns_started;
	bool remove_asked, remove_volumes; /* at its end */
	struct health *health;
	struct stats_source *stats; /* NULL while nobody watches */
	bool limits_stale;          /* changed after the bundle was written */
	char filter_key[65];        /* oci/filter.h: of what this start compiles anew, or "" */
	struct oom_watch *oom;      /* NULL without a memory limit */
	struct storage *storage;    /* storage.h; NULL: it asks for no disks */
	struct plug *plug;          /* plug.h; NULL: it asks for no devices */
};

/* --- record.c --- */
int container_record_save(struct container *c, struct err *e); /* writes the row */
void container_record_note(struct container *c);               /* the same; a failure is logged */
int container_record_load(
	void *set, const char *id, json_t *doc, struct err *e); /* a store_row_fn */
struct container *container_new(struct container_set *s, const char *id);
void container_free(struct container *c);

/* foreign.c: what an image for another architecture needs of the kernel; and what is missing, when
 * the runtime could not start a program (text: its words) for that reason. */
void container_foreign_prepare(const struct container *c);
void container_foreign_explain(const struct container *c, const char *text, struct err *e);
/* Checks the step with the table of state.c, does it and logs it. False when it is refused. */
bool container_step(struct container *c, enum container_input input);

/* --- create.c --- */
/* The fields of Config and HostConfig with their types and Docker's defaults; ERR_INVALID for a
 * wrong type. */
json_t *container_fields_config(const json_t *body, struct err *e);
/* Fills the gaps of config from base, an image's or a container's: moby merge(). */
int container_config_merge(json_t *config, const json_t *base, struct err *e);
/* Labels that the ingress obeys (ingress/route.h). */
#define HTTP_LABEL "wherry.http."
#define STREAM_LABEL "wherry.stream."
json_t *container_fields_host(const json_t *host, struct err *e);

/* --- defaults.c --- */
/* Completes HostConfig from the daemon's configuration (keys of daemon.json, checked). */
void container_defaults(json_t *host, const json_t *settings);
/* --- checks.c --- */
/* All that create can know of Config and HostConfig, their defaults filled in; sets c->policy and
 * c->warnings. */
int checks_run(struct container *c, struct err *e);

/* --- modes.c --- */
int modes_check(const json_t *config, const json_t *host, struct err *e); /* the words alone */
/* "container:NAME" becomes "container:ID"; ERR_INVALID when there is none. */
int modes_resolve(const struct container_set *s, json_t *host, struct err *e);
/* The container that a mode ("NetworkMode", "IpcMode", "PidMode") names, or NULL. */
const struct container *container_of_mode(const struct container *c, const char *key);
/* Whose hosts, hostname and resolv.conf it has: its own, or its network's owner's. */
const struct container *container_etc_owner(const struct container *c);
/* kind as in /proc/PID/ns; *ret: NULL for a new one, "host", or a path (the caller's). ERR_CONFLICT
 * when its owner does not run. */
int mode_namespace(
	const struct container *c, const char *key, const char *kind, char **ret, struct err *e);

/* --- groups.c: control groups when their container has ended --- */
void container_note_groups(struct container *c); /* before its start */
/* After its end: its own with all that is in it, now or later, then those above. */
void container_destroy_groups(struct container *c);
void container_groups_free(struct container_set *s);

/* --- runtime.c --- */
/* The control group of a container below a CgroupParent in the form of either of Docker's drivers
 * ("/a/b", "a-b.slice"), without a first '/'; the caller's. */
char *runtime_cgroup(const char *parent, const char *id);
void container_place(struct container *c); /* sets c->cgroup */
const char *runtime_default(const struct container_set *s);
int runtime_check(const struct container_set *s, json_t *host, struct err *e);
bool runtime_is_own(const struct container *c);      /* crun, whose options we know */
const char *runtime_path(const struct container *c); /* borrowed until daemon.json is read again */
void runtime_shim_args(const struct container *c, struct strv *args);
/* --- security.c --- */
void security_keep_filter(struct container *c); /* crun has started it */

bool mount_is_pinned(const struct mount_point *m);
char *mount_pin_path(
	const struct container *c, size_t i); /* where the shim puts it; the caller's */
void mounts_shim_args(const struct container *c, struct strv *args);

/* --- optional.c --- */
bool optional_mount_is_missing(const struct container *c, const struct mount_point *m);
void optional_note(struct container *c); /* sets c->without: it is about to start */

/* --- waiting.c --- */
bool waiting_is_absent(const char *path);
bool waiting_is_bind_absent(const struct container *c, const struct mount_point *m);
char *waiting_for(const struct container *c);           /* what is missing, or NULL; the caller's */
void waiting_set(struct container *c, char *take_what); /* with its event when it is news */
bool waiting_goes_on(struct container *c); /* true: planned again, nothing else to do */
/* It lacks a device of a label: it waits without a restart policy, too. */
bool waiting_is_patient(const struct container *c);
/* restart_decide for one that lacks something or not. */
bool waiting_decide(const struct container *c, const struct restart_facts *f, int64_t *ret_wait_ms);
/* A device has come: those that wait for one look now. */
void waiting_look(struct container_set *s);

/* --- boot.c --- */
void boot_apply_policies(void *set); /* a delay_fn: once, when the daemon starts */
/* Something that others may wait for has changed; cheap when none waits. */
void boot_look_again(struct container_set *s);

/* --- names.c --- */
void container_name_random(char *ret, size_t n);
bool container_name_is_valid(const char *name);
/* Is it a name ("web" or "/web"), and free? */
int container_name_check(const struct container_set *s, const char *name, struct err *e);

/* --- mounts.c --- */
/* Everything that is mounted, from Binds, Mounts, Tmpfs, VolumesFrom and the image's volumes.
 * shallow: read-only binds that say nothing else are so without the mounts below them, as before
 * API 1.44. Volumes are made; names of those that are new go to *ret_made, so that a failure can
 * take them back. */
int mounts_read(struct container_set *s, const json_t *config, const json_t *host, bool shallow,
	struct mount_list *ret, struct strv *ret_made, struct err *e);
void mounts_deinit(struct mount_list *m);
/* mount_shown.c */
const char *mount_kind_word(enum mount_kind kind); /* "bind"; static */
json_t *mounts_record(const struct mount_list *m);
int mounts_restore(const json_t *record, struct mount_list *ret);
json_t *mounts_inspect(const struct container *c);
/* Host path of a mount (volume or bind), or NULL with *e; the caller's. Of a subpath, which exists,
 * it is the volume's. */
char *mount_source(const struct container *c, const struct mount_point *m, struct err *e);

struct mount_point *mounts_find(const struct mount_list *list, const char *target); /* or NULL */

/* --- files.c --- */
/* Whether a launch must wait; then files.c calls container_launch when it need not any more. */
bool container_files_hold(struct container *c);
void container_files_cancel(struct container *c);
void container_files_forget(struct container *c); /* the container goes */

/* --- limits.c --- */
/* OCI linux.resources and process.rlimits of a normalised HostConfig. */
int limits_resources(const json_t *host, json_t **ret, struct err *e);
int limits_rlimits(const json_t *host, json_t **ret, struct err *e);
/* OomScoreAdj, or the nearest to it that we may set. */
int limits_oom_score(const json_t *host);

/* --- limits_check.c --- */
/* Refuses in dockerd's words (ERR_INVALID); drops from host what this kernel cannot do and says so
 * in warnings, an array. update: host holds changes only. */
int limits_check(json_t *host, const struct cgroup_features *f, bool update, json_t *warnings,
	struct err *e);
void limits_put_defaults(json_t *host); /* what dockerd records for what was left out */

/* --- oom.c --- */
void oom_start(struct container *c); /* it runs, or has a limit from now on */
void oom_stop(struct container *c);

/* --- update.c --- */
/* It was updated while it was being started: the bundle had the old limits. */
void update_started(struct container *c);

/* --- bundle.c --- */
int bundle_write(
	struct container *c, struct err *e); /* config.json, hosts, hostname, resolv.conf, rootfs */
int bundle_write_hosts(struct container *c, struct err *e); /* again, when addresses are known */
int bundle_write_exec(struct container *c, const json_t *exec, const char *file, struct err *e);
/* user: "name", "uid:gid" ... as the container's own passwd and group say, with GroupAdd. */
int bundle_find_user(
	const struct container *c, const char *user, struct oci_user *ret, struct err *e);
int bundle_check(
	const json_t *config, const json_t *host, struct err *e); /* what create can know */

/* --- endpoint_check.c --- */
/* config: EndpointSettings of a request, or NULL. w NULL: the network is not there yet. ERR_INVALID
 * with all that is wrong, in Docker's words. */
int endpoint_check(const struct network *w, const json_t *config, struct err *e);
/* DriverOpts has it, also of networks whose driver knows no options (Docker API v1.48). Borrowed,
 * or NULL. */
const char *endpoint_wanted_ifname(const json_t *config);

/* --- endpoints.c --- */
int endpoints_read(struct container *c, const json_t *body, struct err *e);
json_t *endpoints_record(const struct container *c);
void endpoints_restore(struct container *c, const json_t *record);
int endpoints_ready(const struct container *c, struct err *e); /* its networks are there */
int endpoints_attach(struct container *c, int netns_fd, struct err *e);
void endpoints_detach(struct container *c);
void endpoints_reattach(struct container *c); /* the daemon is back, the container never stopped */
bool container_has_own_netns(const struct container *c);
bool container_uses_dns(const struct container *c);
json_t *endpoints_inspect(const struct container *c); /* NetworkSettings */
void endpoints_note_ports(struct container *c);       /* asks which host ports it has now */
const char *container_network_mode(const struct container *c);

/* --- takeover.c --- a container with the label wherry.replaces */
#define LABEL_REPLACES "wherry.replaces"
/* The id of the running container that it is to replace; NULL. Borrowed. */
const char *takeover_partner(const struct container *c);
/* Somebody ended: those that were to replace it may have its ports. */
void takeover_note_ports(struct container_set *s);

/* --- published.c --- */
int published_check(const struct container *c, struct err *e); /* ExposedPorts, PortBindings */
void published_expose(struct container *c); /* published ports are exposed ports */
json_t *published_wanted(const struct container *c);
json_t *published_inspect(const struct container *c);

/* --- links.c: --link of the default bridge, where there is no DNS --- */
/* HostConfig.Links "CONTAINER[:ALIAS]" name containers that are there. */
int links_check(struct container *c, struct err *e);
/* Those containers run, before this one starts. */
int links_ready(const struct container *c, struct err *e);
void links_add_env(const struct container *c, struct strv *ret);
void links_add_hosts(const struct container *c, struct buf *text);
/* The container that "A/ALIAS" is, or NULL. */
struct container *links_find(struct container_set *s, const char *name);
void links_add_names(const struct container *c, json_t *names);
json_t *links_inspect(const struct container *c); /* HostConfig.Links as dockerd shows it; new */

/* --- shown.c: as inspect shows them; new --- */
json_t *shown_config(const struct container *c);
json_t *shown_host_config(const struct container *c);

/* --- run.c --- */
void container_launch(struct container *c);
/* Whether m is a volume that has not got what the image has there; the job that copies it. */
bool container_wants_seed(const struct container *c, const struct mount_point *m);
struct job *container_seed(const struct container *c, const struct mount_point *m,
	const struct job_handlers *h, void *owner, struct err *e);
void container_died(struct container *c, int exit_code, int64_t at_ns, bool oom);
void container_listen(struct container *c, struct shim *s);
const struct shim_handlers *container_shim_handlers(void);
void container_restart_later(struct container *c, int64_t wait_ms);
void container_restart_now(void *container); /* a delay_fn: what that has planned */
/* Takes away what a run left: endpoints, cgroup, runtime state, directory. */
void container_clean_run(struct container *c);
void done_add(struct list *l, container_done_fn *fn, void *owner);
void done_take(struct list *from, struct list *to);
void done_all(struct list *l, const struct err *e);
int container_signal(struct container *c, int signal, struct err *e);
/* The stop signal to a container that runs, SIGKILL when its patience is over. */
void container_ask_to_stop(struct container *c, int signal, int timeout_s);
void container_set_note_end(struct container_set *s); /* one has ended: perhaps it was the last */
void container_opened_pid(struct container *c, pid_t pid);
void container_start_failed(struct container *c, const struct err *e);

/* --- volume_use.c --- */
/* 1: everything it uses is mounted; 0: container_launch or container_start_failed is called when it
 * is; -1 with *e. */
int container_volumes_ready(struct container *c, struct err *e);
void container_volumes_taken(struct container *c);         /* events: it starts with them */
void container_volumes_let_go(struct container *c);        /* it has ended, or did not start */
void container_volumes_reconcile(struct container_set *s); /* what a killed daemon left mounted */
/* What a start waits for, or a copy of files: it is mounted, and its server answered. */
bool container_volume_is_there(const struct volume *v);
bool container_volume_is_wanted(const struct container_set *s, const char *name); /* now */
bool container_uses_volume_mount(const struct container *c, const char *name);
/* Asks the server of a watched one now, unless that is being done; nothing when nobody wants it. */
void container_volume_look(struct container_set *s, struct volume *v);
/* One that nobody uses: unmounted, then removed; a failure is logged. */
void container_volume_discard(struct container_set *s, struct volume *v);
/* It is mounted read-only, which crun's bind would undo. */
bool container_volume_read_only(const struct container *c, const struct mount_point *m);
/* Mount points of volumes that are mounted, but not for it. */
void container_volumes_foreign(const struct container *c, struct strv *ret);

/* --- stop.c --- */
void container_remove_now(struct container *c, bool volumes);
int container_stop_signal(const struct container *c);
int container_stop_timeout(const struct container *c);

/* --- wait.c --- */
void waits_fire(struct container *c, bool died, bool removed);
void waits_free(struct container *c);

/* --- attach.c --- */
void attach_point_init(struct attach_point *p);
void attach_point_connect(struct attach_point *p, const char *dir);
/* The process has ended and what is known about it is recorded: those attached may hear the end. */
void attach_point_end(struct attach_point *p);
void attach_point_say(struct attach_point *p, int stream, const char *text);
/* dir NULL: waits for attach_point_connect. */
struct attach *attach_open(uv_loop_t *l, struct attach_point *point, const char *dir, unsigned want,
	const struct attach_handlers *h, void *owner);

/* --- exec.c --- */
typedef void exec_probe_fn(void *owner, int exit_code, const char *output);
typedef void exec_started_fn(void *owner);
struct exec *exec_probe(struct container *c, const struct strv *args, exec_started_fn *started,
	exec_probe_fn *fn, void *owner, struct err *e);
void exec_kill(struct exec *x);
void exec_drop(struct exec *x);           /* nobody wants its result any more */
void execs_forget(struct container *c);   /* the container has ended */
void execs_free(struct container_set *s); /* the daemon ends: also those whose containers are gone;
					     their processes go on */
json_t *execs_ids(const struct container *c);
void execs_clean(struct container_set *s); /* what execs of an earlier daemon left */

/* --- logs.c --- */
void log_readers_poke(struct container_set *s, const struct container *c);
char *container_log_path(const struct container *c);

/* --- health.c --- */
void health_start(struct container *c);
void health_stop(struct container *c);
json_t *health_inspect(const struct container *c);  /* NULL when none is configured */
const char *health_word(const struct container *c); /* "healthy", "starting", "unhealthy" or "" */
int health_check_config(const json_t *config, struct err *e);

bool health_is_configured(const struct container *c);
enum health_status health_status(
	const struct container *c); /* HEALTH_STARTING until a probe says */

/* --- stats.c --- */
void stats_forget(struct container *c); /* it is removed: its watchers hear the end */
void stats_free(struct container_set *s);
