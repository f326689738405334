/* wherry/compose.h - what the files compose*.c share: the project at hand, the engine's state,
 * progress, steps.
 *
 * `wherry compose` loads the files (compose/load.h), lists the state, plans (compose/plan.h) and
 * carries the plan out through the API. A subcommand is one function, named in the table of
 * compose.c.
 */
#pragma once
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>

#include "base/strv.h"
#include "compose/load.h"
#include "compose/plan.h"
#include "compose/request.h"
#include "wherry/command.h"
#include "wherry/flags.h"

struct compose_progress;
struct compose_health;
struct compose_output;

struct compose {
	struct cli *cli;
	struct strv files, env_files, profiles;
	const char *project_name, *project_directory, *ansi, *progress_mode;
	bool dry_run, compatibility, all_resources;
	int64_t parallel;               /* --parallel: at most so many at once; below 1: no limit */
	const struct load_options *how; /* what config alone sets; NULL */
	struct strv services; /* named on the command line: enables them whatever their profiles */
	struct project *project; /* NULL until compose_load */
	struct compose_progress *progress;
	int64_t wait_until_ms;         /* clock_mono_ms of --wait-timeout; 0: waits for ever */
	struct compose_health *health; /* listens while a plan is carried out; NULL */
	struct compose_output *output; /* of an attached `up`: hooks write there, too; NULL */
};

typedef int compose_fn(struct compose *c, int argc, char **argv);

/* ---- compose_options.c ---- */
/* Reads the flags before the subcommand and the COMPOSE_ variables; argv[1] is then the subcommand,
 * or nothing when help is wanted, for which *ret_list has the flags. -1 to go on, or the exit
 * status. */
int compose_options(struct compose *c, int *argc, char **argv, struct buf *ret_list);
/* flags_parse for a subcommand, with the flags that every one has. */
int compose_flags(struct compose *c, const struct syntax *s, const struct flag *flags, int *argc,
	char **argv);
/* A COMPOSE_ variable that is a switch: true, 1, yes, y. */
bool compose_switch(const char *name);

/* Loads the files and prints their warnings. names/n: services named on the command line. */
int compose_load(struct compose *c, char *const *names, int n, struct err *e);
/* The project's name, from the files or, when there are none, from -p alone; project stays NULL
 * then. */
int compose_load_or_name(
	struct compose *c, char *const *names, int n, const char **ret_name, struct err *e);

/* ---- compose_interrupt.c ---- */
/* SIGINT and SIGTERM end the program with docker compose's status 130, where nobody else waits for
 * them; with that text on stderr, which lives as long as the program. NULL: none. */
void compose_on_interrupt(const char *text);
#define COMPOSE_INTERRUPTED 130

/* ---- compose_state.c ---- */
struct compose_state {
	struct state s;
	json_t *containers, *networks, *volumes; /* what s borrows from */
	struct state_image *images;
	char **image_ids;
	size_t n_images;
};
int compose_state_fetch(
	struct compose *c, const char *project, struct compose_state *ret, struct err *e);
/* Asks what the image of each service means now; s.images has those that exist. */
int compose_state_images(struct compose *c, struct compose_state *s, struct err *e);
void compose_state_deinit(struct compose_state *s);
static inline void scoped_compose_state(struct compose_state *s)
{
	compose_state_deinit(s);
}
/* The running or stopped container of a service with that number (0: the lowest); NULL. */
const struct state_container *compose_container(
	const struct compose_state *s, const char *service, int number);
bool compose_is_running(const struct state_container *c);
/* The engine's own object of a container in the list; NULL. */
const json_t *compose_listed(const struct compose_state *s, const char *id);
/* Was the service named on the command line, or none at all? */
bool compose_is_named(const struct compose *c, const char *service);
int compose_check_names(const struct compose *c, struct err *e); /* "no such service: x" */

/* ---- compose_parallel.c ---- */
/* Calls fn for each i below n, --parallel of them at once, each with a copy of c that has a
 * connection of its own. -1 when one failed; the others go on. */
typedef int compose_job_fn(struct compose *c, void *owner, size_t i, struct err *e);
int compose_parallel(struct compose *c, size_t n, compose_job_fn *fn, void *owner, struct err *e);

/* ---- compose_each.c ---- */
/* Restarts c->services (empty: all) and, unless no_deps, what is to be restarted with them. */
int compose_restart_services(
	struct compose *c, const char *project, int64_t timeout_s, bool no_deps, struct err *e);

/* ---- compose_one.c ---- */
/* Loads, lists, and chooses a running container of the service: that number, or the lowest when
 * index is 0. "service "x" is not running". *ret borrows from *state, which the caller gives back
 * in any case. */
int compose_one(struct compose *c, const char *service, int64_t index, struct compose_state *state,
	const struct state_container **ret, struct err *e);

/* ---- compose_progress.c ---- */
struct compose_progress *compose_progress_new(
	const char *mode, const char *ansi, const char *title);
void compose_progress_free(struct compose_progress *p); /* leaves the final lines on the screen */
#define COMPOSE_DRY_RUN " DRY-RUN MODE - "
/* c->progress anew, as the flags before the command say; title: of the list on a terminal. */
void compose_begin(struct compose *c, const char *title);
/* "ID TEXT STATUS", of which text or status may be "". */
void compose_progress_event(
	struct compose_progress *p, const char *id, const char *text, const char *status);
/* kind: "Container", "Network", ...; verb: "Creating", "Created", ...: the event "KIND NAME"
 * without a text. */
void compose_progress_say(
	struct compose_progress *p, const char *kind, const char *name, const char *verb);
/* Does each id keep its line on the screen? */
bool compose_progress_redraws(const struct compose_progress *p);
/* Others are about to print: what is on the screen stays there, and the next line begins a new
 * list. */
void compose_progress_leave(struct compose_progress *p);
/* For a terminal: what labels of anybody's containers say does not command it. The caller's. */
char *compose_shown(const char *text);
void compose_warn(const char *text); /* a line that docker compose would log as a warning */

/* ---- compose_images.c ---- */
struct compose_image_options {
	bool build, no_build, quiet_pull, quiet_build;
	const char *pull; /* "always", "missing", "never"; NULL: pull_policy */
};
/* Pulls or builds what the selected services need. */
int compose_images_ensure(struct compose *c, const bool *selected,
	const struct compose_image_options *o, struct err *e);
/* 1 when the engine has the image, and then *ret_id (the caller's, may be NULL) is set; 0 when not;
 * -1. */
int compose_image_find(struct compose *c, const char *image, char **ret_id, struct err *e);

/* ---- compose_build.c ---- */
struct compose_build_options {
	bool no_cache, pull, quiet, push;
	bool check;  /* nothing is built: what the Dockerfile's checks say is printed */
	bool print;  /* nothing is built: the builds as a bake file */
	bool to_run; /* for this engine: of several platforms only the one of the service */
	int64_t memory_bytes;
	const struct strv *args, *ssh; /* may be NULL */
};
/* All at once, with one display; what failed was said. services: of the project, each with a build.
 * Returns 0, or -1 with *e: which one failed. */
int compose_build_services(struct compose *c, const struct service *const *services, size_t n,
	const struct compose_build_options *o, struct err *e);

/* ---- compose_carry.c ---- */
struct compose_carry {
	struct compose *c;
	const struct compose_state *state;
	int timeout_s;       /* -1: each container's own */
	bool renew_volumes;  /* anonymous volumes are not carried over to the new container */
	bool remove_volumes; /* anonymous volumes go with their containers */
	/* of containers that were made now: "service=id" and "/name=id"; under the lock */
	struct strv fresh;
	bool takes_over; /* the engine can hand ports and names over: doc/own-api.md */
	pthread_mutex_t lock;
	struct tree *strings; /* what was handed out of fresh */
	pthread_mutex_t telling;
	const _Atomic bool *canceled; /* once it is true nothing is begun; NULL */
	/* called after each start, by one thread at a time; may be NULL */
	void (*on_start)(void *owner, const char *id, const char *name, const struct service *s);
	void *owner;
};
int compose_carry_step(struct compose_carry *carry, struct compose *c, const struct step *step,
	struct err *e); /* c: with a connection that nobody else uses now */
/* compose_runner.c: several steps at once, on as many connections, c->parallel of them at most. A
 * failure lets those that were begun end. */
int compose_carry_out(struct compose_carry *carry, const struct plan *plan, struct err *e);
int compose_stop_container(
	struct compose *c, const char *id, const char *name, int timeout_s, struct err *e);
/* All at once, each on a connection of its own, because each may take its whole grace period. */
struct compose_target {
	const char *id, *name;
};
int compose_stop_containers(struct compose *c, const struct compose_target *targets, size_t n,
	int timeout_s, struct err *e);
/* Calls compose_stop_containers for each level of what runs, dependents first. wanted may be NULL:
 * all. */
typedef bool compose_wanted_fn(const void *owner, const struct state_container *container);
int compose_stop_levels(struct compose *c, const struct compose_state *s, compose_wanted_fn *wanted,
	const void *owner, int timeout_s, struct err *e);
int compose_remove_container(struct compose *c, const char *id, const char *name, bool volumes,
	bool force, struct err *e);
/* compose_condition.c: blocks until every container of the service is as the condition says. */
int compose_wait_condition(
	struct compose *c, const struct service *s, enum condition condition, struct err *e);

/* ---- compose_kept.c ---- */
/* Has it the calls below /wherry/v1? */
bool compose_engine_is_own(struct compose *c);
void compose_keep(struct compose *c); /* the engine keeps c->project; a failure is a warning */
void compose_forget(struct compose *c, const char *name);
json_t *compose_kept_list(struct compose *c); /* new; [] where none are kept */
json_t *compose_kept_get(struct compose *c, const char *name, struct err *e); /* new, or NULL */
/* c->project from what is kept under the name given by -p, when no file was named. -1 when there is
 * none, and then *e is as it was; ERR_NOT_FOUND also for one that cannot be loaded. */
int compose_load_kept(struct compose *c, struct err *e);
/* The engine's own socket, for use_api_socket; NULL when it is elsewhere. */
const char *compose_socket(const struct compose *c);

/* ---- compose_hooks.c ---- */
/* The hooks of a service, in a container that has been started. -1 when one failed: "SERVICE hook
 * exited with status N". s may be NULL: none. */
int compose_post_start(struct compose *c, const struct service *s, const char *id, const char *name,
	struct err *e);
/* Those of its service before a container is stopped; one that does not run has none. */
int compose_pre_stop(struct compose *c, const char *id, const char *name, struct err *e);

/* ---- compose_files.c: configs and secrets that are not files of this machine ---- */
/* For request_container.read_file. */
char *compose_read_text(void *owner, const char *path, struct err *e);
/* The label wherry.compose.files of the service's containers (compose/content.h); the caller's,
 * NULL. */
char *compose_content(const struct service *s);
int compose_put_files(struct compose *c, const struct service *s, const char *id, struct err *e);

/* ---- compose_output.c: the logs of several containers at once ---- */
struct compose_output;
struct compose_output_options {
	bool follow, timestamps, no_prefix, no_color;
	bool together;                    /* everything to stdout */
	const char *tail, *since, *until; /* NULL */
};
struct compose_output *compose_output_new(
	struct compose *c, const struct compose_output_options *o);
/* Space for the names is made before the first line is printed. */
void compose_output_reserve(struct compose_output *o, const char *name);
/* Begins to copy the log of a container on a thread of its own. since: NULL, or only what comes
 * after. */
int compose_output_add(struct compose_output *o, const char *id, const char *name,
	const char *since, struct err *e);
#define COMPOSE_LINE_MAX (64u << 10) /* longer lines are cut */
/* One line of something that is no container, with that name in front. */
void compose_output_line(struct compose_output *o, const char *name, const char *line, size_t n);
void compose_output_say(struct compose_output *o,
	const char *text); /* a line of ours between those of the containers */
/* What the watch says, beside the names. */
void compose_output_watch(struct compose_output *o, const char *text);
/* "web-1 exited with code 7" */
void compose_output_exited(struct compose_output *o, const char *container, int code);
void compose_output_end(
	struct compose_output *o, const char *id);   /* waits a little for the rest of one log */
void compose_output_drain(struct compose_output *o); /* until every log ended */
/* pthread_create with the signals that end us blocked: they are for the main thread. */
int compose_thread(void *(*run)(void *), void *owner, pthread_t *ret, struct err *e);
void compose_output_free(struct compose_output *o); /* ends what still runs */
/* "db-1" of "project-db-1", to be shown. The caller's. */
char *compose_short_name(const struct compose *c, const char *container);

/* ---- compose_attached.c: `up` without -d ---- */
struct compose_attached;
struct compose_attached_options {
	bool abort_on_exit, abort_on_failure, timestamps, no_prefix, no_color;
	const char *exit_code_from; /* service; NULL */
	const bool *shown;          /* whose output: by service of the project */
	int timeout_s;              /* -1: each container's own */
	_Atomic bool *canceled;     /* set when an interrupt comes before everything was started */
};
/* Begins to listen, before anything is started. selected[i] is for project->services[i]. NULL with
 * *e. */
struct compose_attached *compose_attached_new(struct compose *c,
	const struct compose_attached_options *o, const bool *selected, struct err *e);
void compose_attached_free(struct compose_attached *a); /* NULL is fine */
/* Tells which containers the plan will start or keep, before it is carried out. */
void compose_attached_expect(struct compose_attached *a, const struct plan *plan);
/* For compose_carry.on_start, with the attached as owner. */
void compose_attached_started(
	void *owner, const char *id, const char *name, const struct service *s);
/* For a watch on another thread: a line of its own, and that containers are being replaced, so that
 * nothing running is not the end. */
void compose_attached_watch(void *attached, const char *text);
void compose_attached_hold(void *attached, bool begins);
/* From here on interrupts stop the containers, also while they are started; the second is to be
 * called then, after which only compose_attached_run hears them: was there one? What runs has been
 * stopped then. */
int compose_attached_guard(struct compose_attached *a, struct err *e);
bool compose_attached_unguard(struct compose_attached *a);
/* Shows the output until the containers have ended; the first interrupt stops them, the second
 * kills. The exit status. */
int compose_attached_run(struct compose_attached *a);

/* ---- subcommands ---- */
compose_fn compose_attach;
compose_fn compose_build;
compose_fn compose_commit;
compose_fn compose_config;
compose_fn compose_cp;
compose_fn compose_create;
compose_fn compose_diff;
compose_fn compose_down;
compose_fn compose_events;
compose_fn compose_exec;
compose_fn compose_export;
compose_fn compose_images;
compose_fn compose_kill;
compose_fn compose_logs;
compose_fn compose_ls;
compose_fn compose_pause;
compose_fn compose_port;
compose_fn compose_ps;
compose_fn compose_pull;
compose_fn compose_push;
compose_fn compose_restart;
compose_fn compose_rm;
compose_fn compose_run;
compose_fn compose_scale;
compose_fn compose_start;
compose_fn compose_stats;
compose_fn compose_stop;
compose_fn compose_top;
compose_fn compose_unpause;
compose_fn compose_up;
compose_fn compose_version;
compose_fn compose_volumes;
compose_fn compose_wait;
compose_fn compose_watch;
