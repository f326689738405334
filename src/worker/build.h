/* worker/build.h - one build in one process: the parts of the "build" job (build.c) share these
 * structures.
 *
 * Request: {"options": as in build/session.h, "tmp": {"dir": DATA/layers/tmp/JOB, "name": JOB},
 * "layers_dir", "crun", "seccomp", "cgroup": "/wherry/build-X", "cache_dir": where cache mounts
 * live}; fd 0 is the context. Messages: {"accepted": true}, {"exit_code": N} before the error of a
 * failed RUN; the rest is the classic build stream. Questions: "image" {name, platform, pull} ->
 * {id, config, layers: [diff ids], dirs: [names below layers_dir, lowest first]}; "cache" {key} ->
 * {diff_id, dir} or {}; "cache-put" {key, diff_id}; "add-layer" {diff_id, tmp, size} -> {dir};
 *   "network" {fd, mode} -> {resolv, gateway}, fd -1 for the host's;
 *   "add-image" {config, key, tags: []} -> {id, tags: [as the user knows them]}.
 *
 * Everything on disk is below the tmp directory, which the daemon removes whatever happens:
 *   context/  the unpacked context      N/  what step N changes (overlay upper; renamed by
 * add-layer) work/     overlay's               root/  where a step's root is mounted src/ where
 * COPY --from's source is mounted      bundle/  crun's
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/strv.h"
#include "build/config.h"
#include "build/dockerfile.h"
#include "build/ignore.h"
#include "build/plan.h"

struct rpc;

#define BUILD_LAYERS_MAX 125

struct build_stage {
	struct build_config c;
	struct strv layers; /* diff ids, lowest first */
	struct strv dirs;   /* their directories below layers_dir */
	char state[65];     /* a digest of all that led here: what "---> id" shows */
};

struct build {
	struct rpc *rpc;
	const json_t *request; /* borrowed */
	const json_t *options; /* request's */
	const char *tmp_dir;
	const char *tmp_name;
	const char *layers_dir;
	int tmp_fd;
	int context_fd;
	struct ignore *ignore;
	struct dockerfile d;
	struct plan plan;
	char *platform;                    /* of this machine */
	char *target_platform;             /* "" unless asked for */
	struct strv build_args, used_args; /* NAME=value; names */
	struct build_stage *stages;        /* one for each of plan's */
	size_t step;
	size_t n_steps;
	int n_layers; /* directories made so far */
	int netns_fd; /* the build's network, made for the first RUN that wants it; -1 before */
	char *resolv; /* resolv.conf there */
	char gateway[16];
	bool no_cache;
};

/* What one instruction works on. i may be of an ONBUILD trigger, then d is not the Dockerfile. */
struct build_step {
	struct build *b;
	struct build_stage *s;
	size_t stage; /* index in the plan */
	const struct dockerfile *d;
	const struct df_instruction *i;
};

/* --- build.c: talk --- */
void build_say(struct build *b, const char *fmt, ...) PRINTF(2, 3); /* one {"stream"} message */
void build_say_id(struct build *b, const struct build_stage *s);    /* " ---> 0123456789ab" */
void build_mix(char state[static 65], const char *text); /* state = digest of state and text */
void build_say_text(
	struct build *b, const char *text, size_t n); /* a program's bytes, made valid UTF-8 */

/* --- build_stage.c --- */
int build_stage_begin(struct build *b, size_t index, struct err *e);
/* An instruction that changes no file; also WORKDIR, which may make its directory. */
int build_step_config(const struct build_step *t, struct err *e);
void build_stage_deinit(struct build_stage *s);
void build_history(struct build_stage *s, const char *text, bool empty_layer);
/* Layers of an image by reference or of an earlier stage: directories lowest first, and what
 * identifies them. */
int build_source_dirs(const struct build_step *t, const char *from, struct strv *ret_dirs,
	char ret_chain[static 65], struct err *e);
int build_ask_image(
	struct build *b, const char *name, const char *platform, json_t **ret, struct err *e);
/* Expansion with the stage's variables; "FILE:LINE: " in errors. The result is the caller's. */
int build_expand(const struct build_step *t, const char *text, char **ret, struct err *e);
/* The error in *e becomes "FILE:LINE: ...": returns -1. */
int build_fail(const struct build_step *t, struct err *e);

/* --- build_layer.c: a step that changes files --- */
struct build_layer {
	struct build *b;
	int n; /* directory number */
	bool mounted;
	int root_fd; /* the merged root, while mounted */
	char *root;  /* its absolute path */
};
int build_layer_begin(const struct build_step *t, struct build_layer *ret, struct err *e);
/* Makes path and its missing parents in the layer's root, owned as given. */
int build_layer_mkdirs(
	struct build_layer *l, const char *path, uid_t uid, gid_t gid, struct err *e);
/* Unmounts, hashes, hands over and records under the keys (may be NULL); the stage gets the layer.
 */
int build_layer_end(
	const struct build_step *t, struct build_layer *l, const struct strv *keys, struct err *e);
void build_layer_abort(struct build_layer *l); /* after begin, unless end succeeded; NULL-safe */
static inline void scoped_build_layer(struct build_layer *l)
{
	build_layer_abort(l);
}
/* 1: the stage got the cached layer; 0: nothing under this key; -1 with *e. */
int build_cache_look(const struct build_step *t, const char *key, struct err *e);
/* The digest of the stage's layers: where keys of steps begin. */
void build_chain(const struct strv *layers, char ret[static 65]);
/* A read-only view at SRC: an fd; unmount with build_source_close. */
int build_source_open(struct build *b, const struct strv *dirs, struct err *e);
void build_source_close(struct build *b, int take_fd);

/* --- the steps with files --- */
int build_step_copy(const struct build_step *t, struct err *e); /* COPY and ADD: build_copy.c */
int build_step_run(const struct build_step *t, struct err *e);  /* build_run.c */

/* --- build_network.c --- */
/* The network namespace of a step. mode: "default", "none", "host" or a network's name. *ret_fd:
 * borrowed, or the caller's when *ret_own; -1: none, the host's. */
int build_network_open(
	struct build *b, const char *mode, int *ret_fd, bool *ret_own, struct err *e);
char *build_hosts_text(const struct build *b); /* /etc/hosts, the caller's */

/* --- build_fetch.c: ADD of a URL --- */
struct build_fetched {
	int64_t mtime; /* Last-Modified, or -1 */
	char digest[72];
};
/* Into the open, empty file. */
int build_fetch(const char *url, int to_fd, struct build_fetched *ret, struct err *e);
