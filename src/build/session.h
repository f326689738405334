/* build/session.h - one build, from the daemon's side: a wherry-worker does the work and asks for
 * what only the daemon has.
 *
 * The worker (worker/build.c over build/dockerfile.h, build/plan.h ...) unpacks the context, parses
 * the Dockerfile, runs the steps one after another in a mount namespace of its own, and asks
 * (job.h, {"ask": OP, ...}) for: images and pulls, cache look-ups, a network for a RUN step's
 * namespace, adding finished layers and the image. When the client leaves, the worker is killed;
 * the kernel takes its mounts and namespaces, this module its cgroup, endpoint and temporary
 * directories.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

typedef struct uv_loop_s uv_loop_t;
struct store;
struct event_bus;
struct job_pool;
struct image_store;
struct network_set;
struct cgroup_features;
struct builder; /* owns table build_cache */
struct build_session;

#define GATEWAY_SOCKET "build.sock" /* in RUN: build/gateway.h */

struct builder_deps {
	uv_loop_t *loop;
	struct store *store;
	struct event_bus *bus;
	struct job_pool *jobs;
	struct image_store *images;
	struct network_set *networks;
	const struct cgroup_features *cgroups;
	const char *data_root, *exec_root, *crun_path, *seccomp_path, *cgroup_parent;
};
struct builder *builder_new(
	const struct builder_deps *d, struct err *e); /* also removes what a killed build left */
void builder_free(struct builder *b);
void builder_pin_layers(
	const struct builder *b, void (*pin)(void *arg, const char *diff_id), void *arg);

struct build_handlers {
	/* One object of the classic build stream: {"stream": "Step 1/3 : FROM x\n"}, {"aux": {"ID":
	 * ...}}, {"status": ...}; of option "progress": "vertices" those of worker/build_event.h.
	 * Before an error, {"source": {"file", "lines", "text"}}: where it is. Borrowed. */
	void (*progress)(void *owner, json_t *msg);
	/* Once. e NULL on success; result (borrowed) is then the job's: {"id": "sha256:...",
	 * "response": {name: text of an exporter}}; of option "check", id is "" and the response
	 * that of BuildKit's frontend.lint. code is the exit status of a failed RUN, or 1.
	 */
	void (*done)(void *owner, const json_t *result, int code, const struct err *e);
	/* The Dockerfile is parsed and the build begins: the 200 may leave. Errors before this are
	 * a 400. */
	void (*accepted)(void *owner);
};
/* options:
 * {"dockerfile","tags":[],"buildargs":{},"labels":{},"target","nocache","pull","networkmode","extrahosts":[],"quiet",
 * "platform","shmsize","auths":{}} of POST /build. */
struct build_session *build_start(struct builder *b, json_t *take_options,
	const struct build_handlers *h, void *owner, struct err *e);
bool build_feed(struct build_session *s, const char *data, size_t n, void (*drained)(void *owner),
	void *owner);
void build_feed_end(struct build_session *s);
void build_cancel(struct build_session *s); /* done follows */
