/* docker exec: a further process in a running container, held by a shim of its own.
 *
 * Invariants
 * 1. An exec is in set->execs from creation until it is freed.
 * 2. x->shim is set exactly while its shim may live.
 */
#include "container/exec.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "codec/detach.h"
#include "codec/shim_frame.h"
#include "container/internal.h"
#include "container/runtime_words.h"
#include "container/shim.h"

#define FORGET_AFTER_MS (5 * 60 * 1000)
#define PROBE_OUTPUT_MAX 4096

struct exec {
	struct container_set *set;
	char id[ID_LEN + 1];
	char container_id[ID_LEN + 1];
	json_t *body;
	char *dir; /* RUN/execs/<32 hex of id> */
	struct shim *shim;
	struct attach_point attaches;
	bool started, running, ended;
	pid_t pid;
	int pidfd;
	int exit_code;
	struct delay *later;         /* refused, then forget */
	char *refusal;               /* why it could not even be tried */
	container_done_fn *on_start; /* who waits for a detached start, or NULL */
	void *start_owner;
	/* a health probe: output is kept, fn called, then it is freed */
	exec_started_fn *probe_started;
	exec_probe_fn *probe;
	void *probe_owner;
	struct attach *probe_attach;
	struct buf output;
};

/* Tells who waits for the start, once. */
static void tell_start(struct exec *x, const struct err *e)
{
	container_done_fn *fn = x->on_start;
	x->on_start = NULL;
	if (fn) {
		fn(x->start_owner, e);
	}
}

static void exec_free(struct exec *x)
{
	struct err gone;
	(void)err_set(&gone, ERR_CONFLICT, "exec %s ended before it was started", x->id);
	tell_start(x, &gone);
	shim_free(x->shim);
	delay_cancel(x->later);
	free(x->refusal);
	attach_free(x->probe_attach);
	attach_point_end(&x->attaches);
	map_remove(x->set->execs, x->id);
	if (x->pidfd >= 0) {
		close(x->pidfd);
	}
	json_decref(x->body);
	buf_deinit(&x->output);
	free(x->dir);
	free(x);
}

static void forget(void *owner)
{
	struct exec *x = owner;
	x->later = NULL;
	exec_free(x);
}

/* --- creation --- */

/* [rows, columns], or NULL. */
static json_t *console_size(const json_t *body)
{
	json_t *size = json_object_get(body, "ConsoleSize");
	bool whole = json_array_size(size) == 2 && json_is_integer(json_array_get(size, 0)) &&
		     json_is_integer(json_array_get(size, 1));
	return whole ? json_incref(size) : NULL;
}

/* What runc would refuse, and crun takes to mean something. */
static int check_process(const struct strv *env, const char *cwd, struct err *e)
{
	if (cwd && *cwd && *cwd != '/') {
		return err_set(e, ERR_INVALID,
			"OCI runtime exec failed: exec failed: Cwd must be an absolute path: unknown");
	}
	if (cwd && strlen(cwd) >= PATH_MAX) { /* crun 1.8.1 hangs on one over 64 KiB */
		return err_set(e, ERR_INVALID, "the working directory is longer than %d bytes",
			PATH_MAX - 1);
	}
	for (size_t i = 0; i < env->n; i++) {
		if (*env->v[i] == '=' || !*env->v[i]) {
			return err_set(e, ERR_INVALID,
				"OCI runtime exec failed: exec failed: unable to start container process: invalid environment variable: name cannot be empty: unknown");
		}
	}
	return 0;
}

static int read_body(const json_t *body, json_t **ret, struct err *e)
{
	static const char *const flags[] = {
		"AttachStdin", "AttachStdout", "AttachStderr", "Tty", "Privileged"};
	scoped(json) json_t *out = json_object();
	scoped(strv) struct strv cmd = STRV_INIT;
	scoped(strv) struct strv env = STRV_INIT;
	const char *user;
	const char *cwd;
	const char *keys;
	if (json_get_strv(body, "Cmd", &cmd, e) < 0 || json_get_strv(body, "Env", &env, e) < 0 ||
		json_get_str(body, "User", &user, e) < 0 ||
		json_get_str(body, "WorkingDir", &cwd, e) < 0 ||
		json_get_str(body,
			json_object_get(body, "detachKeys") ? "detachKeys" : "DetachKeys", &keys,
			e) < 0) { /* docker-py writes it small; Go's decoder takes both */
		return -1;
	}
	if (cmd.n == 0) {
		return err_set(e, ERR_INVALID, "No exec command specified");
	}
	if (check_process(&env, cwd, e) < 0) {
		return -1;
	}
	struct detach ignored;
	if (keys && *keys && detach_parse(keys, &ignored, e) < 0) {
		return err_set(e, ERR_INVALID, "Invalid escape keys (%.64s) provided", keys);
	}
	if (env.n > CONTAINER_ENV_MAX) {
		return err_set(
			e, ERR_INVALID, "more than %d environment variables", CONTAINER_ENV_MAX);
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		bool value;
		if (json_get_bool(body, flags[i], false, &value, e) < 0) {
			return -1;
		}
		json_put(out, flags[i], json_boolean(value));
	}
	json_put(out, "ConsoleSize", console_size(body));
	json_put(out, "Cmd", json_strv(&cmd));
	json_put(out, "Env", json_strv(&env));
	json_put_str(out, "User", user);
	json_put_str(out, "WorkingDir", cwd);
	json_put_str(out, "DetachKeys", keys);
	*ret = TAKE(out);
	return 0;
}

static int check_container(const struct container *c, struct err *e)
{
	if (c->state == CONTAINER_PAUSED) {
		return err_set(e, ERR_CONFLICT,
			"Container %s is paused, unpause the container before exec", c->name);
	}
	if (!container_is_running(c)) {
		return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	}
	return 0;
}

static struct exec *exec_new(struct container_set *s, const char *container_id, json_t *take_body)
{
	struct exec *x = xnew(struct exec);
	x->set = s;
	id_new(x->id);
	snprintf(x->container_id, sizeof(x->container_id), "%s", container_id);
	x->body = take_body;
	x->dir = xasprintf("%s/execs/%.32s", s->d.exec_root, x->id);
	x->pidfd = -1;
	attach_point_init(&x->attaches);
	map_put(s->execs, x->id, x);
	return x;
}

static void publish(const struct exec *x, const char *what)
{
	struct err ignored;
	const struct container *c = container_find(x->set, x->container_id, &ignored);
	scoped(buf) struct buf action = BUF_INIT;
	size_t i;
	json_t *arg;
	if (!c) {
		return;
	}
	buf_puts(&action, what);
	if (strcmp(what, "exec_die") != 0 && strcmp(what, "exec_detach") != 0) {
		const json_t *cmd = json_object_get(x->body, "Cmd");
		buf_puts(&action, ":");
		json_array_foreach (cmd, i, arg) {
			buf_printf(&action, " %s", json_string_value(arg));
		}
		buf_puts(&action, json_array_size(cmd) == 1 ? " " : ""); /* as dockerd joins them */
	}
	json_t *more = json_pack("{ss}", "execID", x->id);
	if (strcmp(what, "exec_die") == 0) {
		char code[16];
		snprintf(code, sizeof(code), "%d", x->exit_code);
		json_put_str(more, "exitCode", code);
	}
	container_event(c, buf_str(&action), more);
}

struct exec *exec_create(struct container *c, const json_t *body, struct err *e)
{
	json_t *read;
	if (read_body(body, &read, e) < 0) {
		return NULL;
	}
	int r = c->state == CONTAINER_RESTARTING
			? err_set(e, ERR_CONFLICT,
				  "Container %s is restarting, wait until the container is running",
				  c->id)
			: check_container(c, e);
	if (r < 0) {
		json_decref(read);
		return NULL;
	}
	struct exec *x = exec_new(c->set, c->id, read);
	publish(x, "exec_create");
	return x;
}

struct exec *exec_find(struct container_set *s, const char *id, struct err *e)
{
	struct exec *x = map_get(s->execs, id);
	if (!x) {
		(void)err_set(e, ERR_NOT_FOUND, "No such exec instance: %.100s", id);
	}
	return x;
}

const char *exec_id(const struct exec *x)
{
	return x->id;
}

const char *exec_detach_keys(const struct exec *x)
{
	return json_str(x->body, "DetachKeys");
}

void exec_detached(struct exec *x)
{
	publish(x, "exec_detach");
}

bool exec_is_tty(const struct exec *x)
{
	return json_bool(x->body, "Tty");
}

void exec_set_console_size(struct exec *x, const json_t *start_body)
{
	json_put(x->body, "ConsoleSize", console_size(start_body));
}

json_t *exec_inspect(const struct exec *x)
{
	json_t *args = json_deep_copy(json_object_get(x->body, "Cmd"));
	json_t *first = json_incref(json_array_get(args, 0));
	json_array_remove(args, 0);
	json_t *process = json_pack("{sb so so sb}", "tty", exec_is_tty(x), "entrypoint", first,
		"arguments", args, "privileged", json_bool(x->body, "Privileged"));
	if (*json_str(x->body, "User")) {
		json_put_str(process, "user", json_str(x->body, "User"));
	}
	return json_pack("{ss sb so so sb sb sb sb ss ss si}", "ID", x->id, "Running", x->running,
		"ExitCode", x->ended ? json_integer(x->exit_code) : json_null(), "ProcessConfig",
		process, "OpenStdin", json_bool(x->body, "AttachStdin"), "OpenStderr",
		json_bool(x->body, "AttachStderr"), "OpenStdout",
		json_bool(x->body, "AttachStdout"), "CanRemove", 0, "ContainerID", x->container_id,
		"DetachKeys", json_str(x->body, "DetachKeys"), "Pid", x->running ? (int)x->pid : 0);
}

/* --- what the shim says --- */

static void on_ready(void *owner)
{
	struct exec *x = owner;
	if (shim_pid(x->shim) == 0) { /* an earlier daemon's: it is just ending with that one */
		return;
	}
	attach_point_connect(&x->attaches, x->dir);
	shim_go(x->shim);
}

static void on_started(void *owner, pid_t init, int64_t at_ns)
{
	struct exec *x = owner;
	x->pid = init;
	x->pidfd = (int)syscall(SYS_pidfd_open, init, 0);
	x->running = true;
	if (x->probe_started) {
		x->probe_started(x->probe_owner);
	}
	tell_start(x, NULL);
}

static void finish(struct exec *x, int exit_code)
{
	struct err lost;
	(void)err_set(&lost, ERR_SYSTEM, "exec %s was lost while it started", x->id);
	tell_start(x, &lost); /* nobody is left to tell but after a crash of the shim */
	shim_free(TAKE(x->shim));
	bool ran = x->running;
	x->running = false;
	x->ended = true;
	x->exit_code = exit_code;
	if (x->pidfd >= 0) { /* the rest of it stays for those who inspect it */
		close(x->pidfd);
		x->pidfd = -1;
	}
	/* again, when a crun that was killed has just made a file there */
	for (int tries = 0; tries < 3 && path_remove_tree(AT_FDCWD, x->dir) == -ENOTEMPTY;
		tries++) {
	}
	if (ran) {
		publish(x, "exec_die");
	}
	attach_point_end(&x->attaches);
	if (!x->probe) {
		x->later = delay_start(x->set->d.loop, FORGET_AFTER_MS, forget, x);
	}
}

/* As dockerd: it is said on stdout, also when there is no tty. */
static void on_failed(void *owner, const char *text)
{
	struct exec *x = owner;
	const char *arg0 = json_string_value(json_array_get(json_object_get(x->body, "Cmd"), 0));
	struct err e;
	int exit_code = runtime_failure(RUNTIME_EXEC, arg0 ? arg0 : "", text, &e);
	scoped(free) char *line = xasprintf("%s\r\n", e.msg);
	attach_point_say(&x->attaches, SHIM_STDOUT, line);
	tell_start(x, &e);
	finish(x, exit_code);
}

static void on_exited(void *owner, int exit_code, int64_t at_ns, bool oom)
{
	finish(owner, exit_code);
}

static void on_lost(void *owner)
{
	finish(owner, 137);
}

/* --- start --- */

static const struct shim_handlers handlers = {on_ready, on_started, on_failed, on_exited, on_lost};

static int launch(struct exec *x, struct container *c, struct err *e)
{
	const struct container_deps *d = &x->set->d;
	scoped(free) char *file = xasprintf("%s/process.json", x->dir);
	scoped(strv) struct strv args = STRV_INIT;
	int r = path_mkdirs(x->dir, 0700);
	if (r < 0) {
		return err_sys(e, -r, "cannot make %s", x->dir);
	}
	strv_addf(&args, "--id=%s", c->id);
	strv_addf(&args, "--dir=%s", x->dir);
	runtime_shim_args(c, &args);
	strv_addf(&args, "--exec=%s", file);
	if (exec_is_tty(x)) {
		strv_add(&args, "--tty");
	}
	if (json_bool(x->body, "AttachStdin")) {
		strv_add(&args, "--stdin");
	}
	if (bundle_write_exec(c, x->body, file, e) == 0) {
		x->shim = shim_start(d->loop, d->shim_path, x->dir, &args, &handlers, x, e);
	}
	if (!x->shim) {
		path_remove_tree(AT_FDCWD, x->dir);
		return -1;
	}
	x->started = true;
	return 0;
}

static unsigned wanted_streams(const struct exec *x)
{
	return (json_bool(x->body, "AttachStdin") ? SHIM_WANT_STDIN : 0) |
	       (json_bool(x->body, "AttachStdout") || exec_is_tty(x) ? SHIM_WANT_STDOUT : 0) |
	       (json_bool(x->body, "AttachStderr") ? SHIM_WANT_STDERR : 0);
}

/* The stream is open already: like a command that cannot be run, the reason is its output. */
static void refused(void *owner)
{
	struct exec *x = owner;
	scoped(free) char *message = xasprintf("%s\r\n", x->refusal);
	x->later = NULL;
	attach_point_say(&x->attaches, SHIM_STDOUT, message);
	finish(x, 126);
}

int exec_start(struct exec *x, bool tty, const struct attach_handlers *h, void *owner,
	struct attach **ret_attach, struct err *e)
{
	if (x->started || x->ended || x->refusal) {
		return err_set(e, ERR_CONFLICT, "Error: Exec command %s has already run", x->id);
	}
	struct container *c = container_find(x->set, x->container_id, e);
	if (!c || check_container(c, e) < 0) {
		return -1;
	}
	publish(x, "exec_start"); /* also of one that then cannot be run, as in dockerd */
	if (launch(x, c, e) < 0) {
		if (!h || e->kind != ERR_INVALID) {
			return -1;
		}
		x->refusal = xstrdup(e->msg);
		x->later = delay_start(x->set->d.loop, 0, refused, x);
	}
	if (h) {
		*ret_attach = attach_open(
			x->set->d.loop, &x->attaches, NULL, wanted_streams(x), h, owner);
	}
	return 0;
}

void exec_start_detached(struct exec *x, container_done_fn *done, void *owner)
{
	struct err e;
	if (exec_start(x, exec_is_tty(x), NULL, NULL, NULL, &e) < 0) {
		done(owner, &e);
		return;
	}
	x->on_start = done;
	x->start_owner = owner;
}

int exec_resize(struct exec *x, unsigned rows, unsigned columns, struct err *e)
{
	if (x->ended) {
		return err_set(e, ERR_NOT_FOUND, "process does not exist %s: not found", x->id);
	}
	if (!x->running || !x->shim) {
		return err_set(e, ERR_INVALID, "exec process is not started");
	}
	shim_resize(x->shim, rows, columns);
	return 0;
}

void exec_kill(struct exec *x)
{
	if (x->pidfd >= 0) {
		syscall(SYS_pidfd_send_signal, x->pidfd, SIGKILL, NULL, 0);
	} else if (x->shim) {
		shim_kill(x->shim);
	}
}

/* --- probes --- */

static void probe_output(void *owner, int stream, const char *data, size_t n)
{
	struct exec *x = owner;
	size_t room = PROBE_OUTPUT_MAX - x->output.len;
	buf_append(&x->output, data, n < room ? n : room);
}

static void probe_ended(void *owner)
{
	struct exec *x = owner;
	x->probe(x->probe_owner, x->exit_code, buf_str(&x->output));
	exec_free(x);
}

struct exec *exec_probe(struct container *c, const struct strv *args, exec_started_fn *started,
	exec_probe_fn *fn, void *owner, struct err *e)
{
	static const struct attach_handlers probe_handlers = {probe_output, probe_ended};
	json_t *body = json_pack(
		"{so sb sb}", "Cmd", json_strv(args), "AttachStdout", 1, "AttachStderr", 1);
	struct exec *x = exec_new(c->set, c->id, body);
	x->probe_started = started;
	x->probe = fn;
	x->probe_owner = owner;
	publish(x, "exec_create");
	if (exec_start(x, false, &probe_handlers, x, &x->probe_attach, e) < 0) {
		exec_free(x);
		return NULL;
	}
	return x;
}

static void unwanted(void *owner, int exit_code, const char *output)
{
}

/* Its directory goes when it ends: until then crun may still make files there. */
void exec_drop(struct exec *x)
{
	if (x->set->closing) {
		exec_free(x);
		return;
	}
	x->probe = unwanted;
	x->probe_started = NULL;
}

/* --- all execs of a container --- */

void execs_forget(struct container *c)
{
	struct container_set *s = c->set;
	scoped(strv) struct strv ids = STRV_INIT;
	map_each (s->execs, const struct exec, x) {
		/* those that run end with the container, and say so themselves */
		if (strcmp(x->container_id, c->id) == 0 && !x->started) {
			strv_add(&ids, x->id);
		}
	}
	for (size_t i = 0; i < ids.n; i++) {
		exec_free(map_get(s->execs, ids.v[i]));
	}
}

void execs_free(struct container_set *s)
{
	size_t pos = 0;
	for (struct exec *x; (x = map_next(s->execs, &pos, NULL)); pos = 0) {
		exec_free(x);
	}
}

json_t *execs_ids(const struct container *c)
{
	json_t *ids = json_array();
	map_each (c->set->execs, const struct exec, x) {
		if (x->running && strcmp(x->container_id, c->id) == 0) {
			json_array_append_new(ids, json_string(x->id));
		}
	}
	if (json_array_size(ids) == 0) {
		json_decref(ids);
		return json_null();
	}
	return ids;
}

/* It goes on with nobody who knows its id; its directory goes when it ends. */
static bool adopt(struct container_set *s, const char *dir)
{
	struct exec *x = exec_new(s, "", json_object());
	free(x->dir);
	x->dir = xstrdup(dir);
	x->shim = shim_reconnect(s->d.loop, dir, &handlers, x);
	if (!x->shim) {
		exec_free(x);
		return false;
	}
	return true;
}

void execs_clean(struct container_set *s)
{
	scoped(free) char *path = xasprintf("%s/execs", s->d.exec_root);
	scoped(closedir) DIR *dir = opendir(path);
	if (!dir) {
		return;
	}
	for (struct dirent *d; (d = readdir(dir));) {
		scoped(free) char *one = xasprintf("%s/%s", path, d->d_name);
		if (d->d_name[0] != '.' && !adopt(s, one)) {
			path_remove_tree(dirfd(dir), d->d_name);
		}
	}
}
