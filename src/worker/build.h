/* worker/build.h - one build in one process: the parts of the "build" job (build.c) share these
 * structures.
 *
 * Request: {"options": as in build/session.h, "tmp": {"dir": DATA/layers/tmp/JOB, "name": JOB},
 * "layers_dir", "journal": the daemon's records, "crun", "seccomp", "filters": oci/filter.h's
 * directory, "cgroup":
 * "/wherry/build-X", "cache_dir": where cache mounts live}; fd 0 is the context. Messages:
 * {"accepted": true}; {"exit_code": N} and {"source":
 * {"file", "lines": [[first, last]], "text": the Dockerfile}} before the error that they belong to;
 * all else is what build_event.h says. Questions: "image" {name, platform, pull, vertex, auth} ->
 * {id, config, layers: [diff ids], dirs: [names below layers_dir, lowest first]}, or {need: "auth"}
 * where the client's session knows the logins: the question again, with auth or null; "cache" {key}
 * -> {diff_id, dir, created: ns} or {}; "cache-put" {key, diff_id, parent: key or "", text: the
 * instruction}; "add-layer" {diff_id, tmp, size} -> {dir}; "layer" {diff_id} -> {dir} or {};
 * "settle" {}: both are recorded, all layers are on the disk; "emulate" {arch} -> {}; "network"
 * {fd, mode} -> {resolv, gateway}, fd -1 for the host's; "claim" {key, wait} -> {taken}, "unclaim"
 * {key}: build/claims.h; "registry" {reference} -> {config, auth}; "blobs" {diff_id} -> {blobs},
 * "learn-blob" {diff_id, blob}, "forget-blob" {diff_id, repository, digest}: image/blobs.h;
 * "add-image", "add-index", "name-digest" and "push": build/results.h.
 *
 * A job has one target for each platform wanted; a target has the plan's stages; a stage that runs
 * has a thread and a place of its own: directories and a control group, which one step after
 * another uses.
 *
 * Threads: what is in struct build and struct build_target is made before the first stage runs and
 * only read afterwards, but for the members that say otherwise. A stage, its place and its steps
 * belong to the thread that runs it; a stage that is done is only read. Nothing changes the working
 * directory, umask or environment of the process; a stage's thread has a working directory of its
 * own (CLONE_FS). Between fork and exec only what is async-signal-safe is called: argument vectors
 * are made before.
 *
 * Everything on disk is below the job's tmp directory, which the daemon removes whatever happens:
 *   context/  the unpacked context
 *   N/ N.recipe  what one step changed (overlay's upper; renamed by add-layer)
 *   stage-K/  a place: root/ where the step's root is mounted, work/ overlay's, src/ where COPY
 *             --from's source is mounted, bundle/ and crun/ crun's, crun.log, and whatever a step
 *             needs for a moment
 */
#pragma once
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/strv.h"
#include "build/config.h"
#include "build/dockerfile.h"
#include "build/ignore.h"
#include "build/lint.h"
#include "build/plan.h"
#include "worker/build_event.h"
#include "worker/build_time.h"

struct build_contexts;
struct rpc;

#define BUILD_LAYERS_MAX 125

/* The directories and the control group of a stage that runs. */
struct build_place {
	char name[24]; /* below tmp_dir; stays when the place is closed */
	char *dir;     /* absolute */
	char *cgroup;  /* absolute; of its steps, one after another */
	int fd;
};

struct build_stage {
	struct build_target *target; /* borrowed */
	size_t index;                /* in the plan */
	struct build_config c;
	struct strv layers;    /* diff ids, lowest first */
	struct strv dirs;      /* their directories below layers_dir */
	struct strv used_args; /* names of build args that a declaration took */
	int64_t made_ns;       /* when what its last layer holds was made, by this build or by the
				  one that the cache has it from; 0: not known */
	char cache_key[65];    /* under which the cache knows its last layer, or "" */
	char state[65];        /* a digest of all that led here: what "---> id" shows */
	struct build_place place;
	struct build_turn *turn; /* of its classic output (build_event.h) */
	size_t step;             /* number of the next step in classic output, from 1 */
	bool no_cache;           /* this stage takes nothing from the cache */
	int vertex;              /* of the step that runs, or 0 */
	int *vertices;           /* of the stage's instructions; 0: it has none */
	int metadata;            /* the vertex of what its base image is, or 0 */
	int last_vertex;         /* of the stage's result: the input of what is made from it */
	char claim[65];          /* key of the step that is being run, or "": the schedule's lock */
	bool cached;             /* the step that runs took its result from the cache */
	atomic_bool done;
};

/* The graph for one platform. */
struct build_target {
	struct build *b; /* borrowed */
	char *platform; /* "linux/arm64"; "" when none was asked for: any platform's base will do */
	struct plan plan;
	struct build_stage
		*stages; /* one for each of plan's; those that are not needed stay zero */
};

struct build {
	struct rpc *rpc;       /* thread-safe */
	const json_t *request; /* borrowed */
	const json_t *options; /* request's */
	const char *tmp_dir;
	const char *tmp_name;
	const char *layers_dir;
	int tmp_fd;
	int context_fd;
	struct build_contexts *contexts_kept; /* build_context.c's, thread-safe */
	struct ignore *ignore;
	struct dockerfile d;
	struct buf text; /* the Dockerfile's */
	char *platform;  /* of this machine */
	struct lint lint;
	int fetched;                  /* the vertex of the files that a session sent last */
	int definition;               /* the vertex "load build definition" */
	struct strv contexts;         /* named contexts: NAME=value */
	struct strv build_args;       /* NAME=value */
	struct build_target *targets; /* at least one */
	size_t n_targets;
	struct build_events *events; /* thread-safe */
	struct build_schedule *schedule;
	struct build_remotes *remotes; /* build_remote.c's, thread-safe */
	struct build_network *network; /* build_network.c's, thread-safe */
	struct build_caches *caches;   /* build_cache_remote.h's, thread-safe */
	struct build_imports *imports; /* the same */
	json_t *cache_images;        /* build_cache_image.c's, or NULL: the cache is not narrowed */
	size_t n_steps;              /* of all stages, in classic output */
	atomic_int n_layers;         /* directories made so far */
	atomic_llong settled_ms;     /* when layers were last recorded; monotonic */
	atomic_bool stopping;        /* the build has failed: nothing new begins */
	pthread_mutex_t filter_lock; /* of seccomp */
	char *seccomp;               /* build_filter.c's: the profile, once it is read */
	pthread_mutex_t images_lock; /* of layout_images, also while one comes */
	json_t *layout_images;       /* build_layout.c */
	pthread_mutex_t exec_lock;   /* of exec_ready */
	bool exec_ready;             /* build_exec.c: steps can run */
	int64_t epoch_ns;            /* SOURCE_DATE_EPOCH, or -1: build_time.h */
	bool rewrite;                /* nothing in a layer is later than that */
	bool no_cache;
	bool vertices; /* the form of what is said (build_event.h) */
};

/* What one instruction works on. i may be of an ONBUILD trigger, then d is not the Dockerfile. */
struct build_step {
	struct build *b;
	struct build_stage *s;
	const struct dockerfile *d;
	const struct df_instruction *i;
};

/* --- build.c --- */
void build_mix(char state[static 65], const char *text); /* state = digest of state and text */
/* What BuildKit's clients read of an error: of a RUN that failed, without the "FILE:LINE: " that
 * its source says in a better way. Borrowed from message. */
const char *build_message(const struct build *b, const char *message);
/* ERR_BUSY when the build has failed elsewhere. Between two pieces of work. */
int build_go_on(const struct build *b, struct err *e);

struct plan_options build_plan_options(const struct build *b, const struct build_target *g);

/* --- build_lint.c --- */
/* Checks the Dockerfile: lint. -1 with *e when a warning is to be an error. */
int build_lint(struct build *b, struct err *e);
void build_lint_say(struct build *b);
/* Option "check": the result of a job that only checks, {"id": "", "response": {"result.json",
 * "result.txt", "result.statuscode", "version"}} as BuildKit's frontend.lint. problem: why the file
 * cannot be built, or NULL. */
json_t *build_check(struct build *b, const struct err *problem, struct err *e);
/* Option "question", "frontend.targets" or "frontend.outline": {"id": "", "response":
 * {"result.json", "result.txt", "version"}}. NULL with *e. */
json_t *build_answer(struct build *b, const char *question, struct err *e);

/* --- build_named.c: a named context that is a directory --- */
/* For COPY --from and mounts: its directory (absolute), and what its files come to. */
int build_named_dir(const struct build_step *t, const char *context, struct strv *ret_dirs,
	char ret_digest[static 65], struct err *e);
/* For FROM: its files as the stage's first layer. */
int build_named_layer(const struct build_step *t, const char *context, struct err *e);

/* --- build_schedule.c --- */
/* Runs the stages that the targets need, several at a time. After an error other threads may still
 * run: *ret_idle is false then, and nothing of b may be freed. */
int build_schedule(struct build *b, bool *ret_idle, struct err *e);
void build_schedule_free(struct build_schedule *c);
/* An equal step of two stages is run once: waits while another stage runs the step with this key;
 * true when it did, and the cache may have the result. */
bool build_claim(struct build_stage *s, const char *key);
void build_unclaim(struct build_stage *s);
/* From a stage's thread, for a needed stage before it: until it is done. */
int build_stage_wait(struct build_stage *s, struct err *e);
static inline bool build_stage_is_done(const struct build_stage *s)
{
	return atomic_load(&s->done);
}

/* --- build_claim.c --- */
/* The same among all builds of the daemon: waits while another one runs the step. The cache may
 * have the result afterwards, also when nobody waited. -1 with *e. */
int build_claim_among_builds(const struct build_step *t, const char *key, struct err *e);
void build_unclaim_among_builds(const struct build_step *t, const char *key);

/* --- build_input.c --- */
/* The context, the Dockerfile, what is ignored: context_fd, text, d, ignore. */
int build_input(struct build *b, struct err *e);

/* --- build_remote.c: a context that is behind a URL --- */
bool build_remote_is(const struct build *b);
int build_remote_load(struct build *b, struct err *e); /* context_fd */
/* Named contexts (--build-context NAME=URL): loaded when a stage first wants one; a borrowed fd. */
struct build_remotes *build_remotes_new(void);
void build_remotes_free(struct build_remotes *r);
bool build_remote_is_named(const char *context);
int build_remote_named(struct build *b, const char *url, int *ret_fd, struct err *e);

/* --- build_place.c --- */
int build_place_open(struct build *b, struct build_place *p, struct err *e);
void build_place_close(struct build *b, struct build_place *p); /* also of a zero one */
/* Makes name in the place unless it is there. */
int build_place_mkdir(const struct build_place *p, const char *name, mode_t mode, struct err *e);

/* --- build_stage.c --- */
/* Tells the vertices of a stage; those that it needs are told before. */
void build_stage_announce(struct build_stage *s);
/* Runs all instructions of a stage whose base and sources are done. From the thread of the stage.
 */
int build_stage_run(struct build_stage *s, struct err *e);
/* An instruction that changes no file; also WORKDIR, which may make its directory. */
int build_step_config(const struct build_step *t, struct err *e);
void build_stage_deinit(struct build_stage *s);
void build_history(struct build_stage *s, const char *text, bool empty_layer);
/* The platform whose programs the stage runs: "linux/arm64". Borrowed. */
const char *build_stage_platform(const struct build_stage *s);
/* Layers of an image by reference or of an earlier stage: directories lowest first, and what
 * identifies them. */
int build_source_dirs(const struct build_step *t, const char *from, struct strv *ret_dirs,
	char ret_chain[static 65], struct err *e);
int build_ask_image(const struct build_step *t, const char *name, const char *platform,
	json_t **ret, struct err *e);
/* build_layout.c: the same for an image in an OCI layout of the client ("oci-layout://..."). */
int build_layout_image(
	struct build *b, const char *name, const char *platform, json_t **ret, struct err *e);
/* Expansion with the stage's variables; "FILE:LINE: " in errors. The result is the caller's. */
int build_expand(const struct build_step *t, const char *text, char **ret, struct err *e);
/* The error in *e becomes "FILE:LINE: ...", from which "source" is made: returns -1. */
int build_fail(const struct build_step *t, struct err *e);

/* --- build_layer.c: a step that changes files --- */
struct build_layer {
	const struct build_step *t;
	int n; /* directory number */
	bool mounted;
	int64_t began_ns; /* by the clock of files */
	int root_fd;      /* the merged root, while mounted */
	char *root;       /* its absolute path */
};
int build_layer_begin(const struct build_step *t, struct build_layer *ret, struct err *e);
/* Makes path and its missing parents in the layer's root, owned as given. */
int build_layer_mkdirs(
	struct build_layer *l, const char *path, uid_t uid, gid_t gid, struct err *e);
/* Unmounts, hashes, hands over and records under the keys (may be NULL); the stage gets the layer.
 */
int build_layer_end(
	const struct build_step *t, struct build_layer *l, const struct strv *keys, struct err *e);
/* Unmounts it before its end: an fd of what was changed so far (overlay's upper directory), to
 * change more. -1 with *e. */
int build_layer_detach(struct build_layer *l, struct err *e);
void build_layer_abort(struct build_layer *l); /* after begin, unless end succeeded; NULL-safe */
static inline void scoped_build_layer(struct build_layer *l)
{
	build_layer_abort(l);
}
/* 1: the stage got the cached layer, and whoever watches is told; 0: nothing under this key; -1
 * with *e. */
int build_cache_look(const struct build_step *t, const char *key, struct err *e);
/* The key that the cache has it under: another one when the times in the layer are those of an
 * epoch that was asked for (build_time.h). key, or own. */
const char *build_times_key(const struct build_step *t, const char *key, char own[static 65]);
/* What was handed over so far reaches the disk and is recorded, with its keys. Any thread. */
int build_settle(struct build *b, struct err *e);
/* For overlayfs: topmost first, each once; "empty" when there is none. */
void build_lower(const struct strv *dirs, struct strv *ret);
/* The digest of the stage's layers: where keys of steps begin. */
void build_chain(const struct strv *layers, char ret[static 65]);
/* A read-only view at the place's src/, one at a time: an fd; unmount with build_source_close. */
int build_source_open(const struct build_step *t, const struct strv *dirs, struct err *e);
void build_source_close(const struct build_step *t, int take_fd);

/* --- the steps with files --- */
int build_step_copy(const struct build_step *t, struct err *e); /* COPY and ADD: build_copy.c */
int build_step_run(const struct build_step *t, struct err *e);  /* build_run.c */

/* --- build_network.c --- */
/* The network of one step. */
struct build_net {
	int fd;       /* its namespace; -1: the host's */
	bool own;     /* fd is the step's alone: build_net_close closes it */
	char *resolv; /* resolv.conf there, or NULL: none */
	char gateway[16];
};
struct build_network *build_network_new(void);
void build_network_free(struct build_network *n);
/* mode: "default", "none", "host" or a network's name. The build's namespace is made for the first
 * step that wants it. */
int build_net_open(struct build *b, const char *mode, struct build_net *ret, struct err *e);
void build_net_close(struct build_net *n); /* also of a zero one */
static inline void scoped_build_net(struct build_net *n)
{
	build_net_close(n);
}
char *build_hosts_text(const struct build *b, const struct build_net *n); /* the caller's */

/* --- build_fetch.c: ADD of a URL --- */
struct build_fetched {
	int64_t mtime; /* Last-Modified, or -1 */
	char digest[72];
};
/* Into the open, empty file. */
int build_fetch(const char *url, int to_fd, struct build_fetched *ret, struct err *e);

/* --- build_output.c: what becomes of the targets' last stages --- */
/* The result of the job: {"id": "sha256:...", "response": {...}}; NULL with *e. */
json_t *build_output(struct build *b, struct err *e);
static inline struct build_stage *build_target_stage(const struct build_target *g)
{
	return &g->stages[g->plan.target];
}
