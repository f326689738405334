/* worker/gateway.h - the job "buildkit": BuildKit's side of all clients, in one process.
 *
 * Request: {"idle_ms": it ends when nobody was there for so long}.
 * fd 4 is the daemon's listening socket RUN/build.sock. Whoever connects writes one JSON line:
 *   {"connection": "grpc" | "session", "early": N, ...} with a descriptor (build/gateway.h): a
 *     client's connection, upgraded; N bytes of it follow. We answer 101 and speak HTTP/2: as the
 *     server on /grpc (Control, LLBBridge), as the client on /session.
 *   {"session": ID, "else": ID or "" (when the first is not there), "method":
 * "/moby.filesync.v1.FileSync/DiffCopy", "metadata": {name: [value]}}: a build worker's call on a
 * client's session. The connection becomes the call (grpc_call_over), which we relay and know
 * nothing about. A build that a client asks for is run by the daemon (build/gateway.h says the
 * messages).
 *
 * Threads: the main one accepts and frees; each connection has one (grpc/h2.h), each call another,
 * each relay two. One lock guards the lists and every build; it is never held around a call's
 * functions (grpc/grpc.h), for what grpc_watch calls takes it.
 */
#pragma once
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "base/strv.h"
#include "control.pb-c.h"
#include "grpc/h2.h"

struct rpc;
struct status;

#define GATEWAY_WAIT_MS 10000 /* for a session, or a build, that a client is about to begin */

struct gateway {
	struct rpc *rpc;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* monotonic clock */
	int wake_fd;            /* the main thread has something to free */
	struct list conns;
	struct list builds;
	json_int_t last_id;  /* of questions to the daemon */
	struct list answers; /* that threads wait for */
	unsigned n_threads;  /* of greetings and relays */
	struct strv missed;  /* ids of shared sessions that did not come in time */
};

/* A client's connection. */
struct gateway_conn {
	struct list node;
	struct gateway *gateway;
	struct h2 *h2;
	char *session;  /* its id; NULL: of /grpc */
	unsigned users; /* relays */
	bool closed;
};

enum run_state { RUN_WAITS, RUN_RUNS, RUN_DONE };

/* One build by the daemon. */
struct gateway_run {
	struct list node;
	struct gateway_build *build;
	char ref[80];    /* how the client names its result */
	json_t *options; /* until it runs */
	json_int_t id;   /* how the daemon knows it */
	enum run_state state;
	json_t *result; /* or NULL: */
	char *message;  /* why */
	enum grpc_code code;
	json_t *source; /* where in the Dockerfile, or NULL */
};

/* What a client calls a build: all that has one Ref. */
struct gateway_build {
	struct list node;
	struct gateway *gateway;
	char *ref;
	struct status *status;
	json_t *control; /* {"session", "exporters", "imports", "exports", "entitlements"}; NULL
			    until Control.Solve came */
	char refs[65];   /* how the names of its runs begin */
	struct list runs;
	struct buf *events; /* packed StatusResponses, a ring */
	size_t n_events;    /* there were so far; the last EVENTS_MAX may be there */
	size_t event_bytes;
	size_t first_event;        /* number of the oldest that is kept */
	unsigned users;            /* calls that look at it */
	bool returned;             /* the client's frontend function has returned: */
	char *returned_ref;        /* "": no result */
	struct buf returned_error; /* a packed google.rpc.Status */
	bool failed;               /* that there is one */
	bool over;                 /* no more events will come */
	int64_t over_ms;           /* since when */
};

/* --- gateway.c --- */
/* For grpc_watch: gateway_gone(&w) sets gone, with the lock, when a call's client has left. */
struct gateway_watch {
	struct gateway *gateway;
	bool gone;
};
void gateway_gone(void *watch);
/* With the lock: waits for a change; false after until_ms (clock_mono_ms; -1: never). */
bool gateway_wait(struct gateway *g, int64_t until_ms);
void gateway_changed(struct gateway *g); /* with the lock */
/* A thread that counts in n_threads and ends with gateway_thread_end. */
int gateway_thread(struct gateway *g, void *(*run)(void *), void *arg);
void gateway_thread_end(struct gateway *g);

/* --- gateway_session.c --- */
/* The stream of a build worker, until it ends: take_fd is connected, early was read from it. */
void gateway_relay(struct gateway *g, int take_fd, const json_t *head, const struct buf *early);

/* --- gateway_build.c; all but ask and wait with the lock --- */
/* The build of that name, made when there is none; NULL: too many. Held until gateway_build_drop.
 */
struct gateway_build *gateway_build_get(struct gateway *g, const char *ref);
/* The same, but waits for Control.Solve. NULL with *e. */
struct gateway_build *gateway_build_wait(struct gateway *g, const char *ref, struct err *e);
void gateway_build_drop(struct gateway_build *b);
void gateway_build_over(struct gateway_build *b);
/* Frees those that are over for a while; all with at_end. Whether any is left that is not over. */
bool gateway_builds_sweep(struct gateway *g, bool at_end);
struct gateway_run *gateway_run_new(struct gateway_build *b, json_t *take_options);
struct gateway_run *gateway_run_find(struct gateway_build *b, const char *ref); /* NULL: none */
void gateway_run_start(struct gateway_run *r); /* nothing when it has begun */
void gateway_build_cancel(struct gateway_build *b);
/* Waits until it is done; false: the call's client has gone first (the build is cancelled). Starts
 * it when it waits. Without the lock. */
bool gateway_run_finish(struct gateway_run *r, struct grpc_call *c);
/* A message of the daemon. Without the lock. */
void gateway_message(struct gateway *g, json_t *take_msg);
/* A question and its answer, a new reference, or NULL with *e. Without the lock. */
json_t *gateway_ask(struct gateway *g, json_t *take_question, struct err *e);
/* The i-th event, or NULL: it is not there (any more); *i becomes the first that is. */
const struct buf *gateway_event(const struct gateway_build *b, size_t *i);

/* --- the services' handlers; their owner is the struct gateway --- */
extern const struct grpc_method gateway_methods[]; /* gateway_control.c */
grpc_handler_fn gateway_bridge_solve, gateway_bridge_ping, gateway_bridge_return,
	gateway_bridge_evaluate, gateway_bridge_inputs; /* gateway_bridge.c */

/* --- gateway_input.c: a result as another build's input --- */
/* The definition that stands for a run's result; a client gives it back as it is. */
struct gateway_definition;
struct gateway_definition *gateway_definition_new(const struct gateway_run *r);
void gateway_definition_free(struct gateway_definition *d);
Buildkit__Definition *gateway_definition_of(struct gateway_definition *d);
/* The result that a definition stands for: its build is held. NULL: it stands for none. With the
 * lock. */
struct gateway_run *gateway_input_find(struct gateway *g, const Buildkit__Definition *d);

/* --- gateway_answer.c: what every handler does --- */
/* Answers with a packed message and OK. */
void gateway_reply(struct grpc_call *c, const ProtobufCMessage *message);
/* The one request of a call, unpacked; NULL: the call was finished with the reason. To be freed
 * with protobuf_c_message_free_unpacked. */
ProtobufCMessage *gateway_request(struct grpc_call *c, const ProtobufCMessageDescriptor *type);
/* A run that is done and has failed: its reason. */
void gateway_fail_run(struct grpc_call *c, const struct gateway_run *r);
/* The call's end as the packed google.rpc.Status says. */
void gateway_fail_packed(struct grpc_call *c, const struct buf *status);
/* All of the machine's platforms as a worker's record. Freed with gateway_worker_free. */
struct gateway_worker;
struct gateway_worker *gateway_worker_new(void);
void gateway_worker_free(struct gateway_worker *w);
Buildkit__WorkerRecord *gateway_worker_record(struct gateway_worker *w);

/* --- gateway_pairs.c: maps of the wire <-> JSON --- */
json_t *pairs_json(Buildkit__Pair **pairs, size_t n);
json_t *exporters_json(Buildkit__Exporter **list, size_t n);
json_t *cache_json(Buildkit__CacheEntry **list, size_t n);
