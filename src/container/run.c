/* A container's run from start to end: volumes are seeded, the shim is started, the network wired,
 * crun let go; then its end is recorded and the restart policy asked.
 *
 * Invariants
 * 1. c->shim is set exactly while a shim may live: from launch to failure or end.
 * 2. What a run made outside of its own namespaces is taken away by container_clean_run before the
 * next run begins.
 * 3. Every done call in c->starting is called exactly once: by started or start_failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <uv.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/scoped.h"
#include "container/internal.h"
#include "container/log_options.h"
#include "container/plug.h"
#include "container/runtime_words.h"
#include "container/shim.h"
#include "container/storage.h"
#include "container/volume_watch.h"
#include "event/event.h"
#include "image/image.h"
#include "job/job.h"
#include "volume/volume.h"

/* --- small tools --- */

void done_add(struct list *l, container_done_fn *fn, void *owner)
{
	struct done_call *d = xnew(struct done_call);
	d->fn = fn;
	d->owner = owner;
	list_append(l, &d->node);
}

void done_take(struct list *from, struct list *to)
{
	while (!list_empty(from)) {
		struct list *node = from->next;
		list_remove(node);
		list_append(to, node);
	}
}

/* The container may be gone after this, l with it: the list is emptied first. */
void done_all(struct list *l, const struct err *e)
{
	struct list calls = LIST_INIT(calls);
	done_take(l, &calls);
	list_each_safe (pos, &calls) {
		struct done_call *d = container_of(pos, struct done_call, node);
		d->fn(d->owner, e);
		free(d);
	}
}

void container_event(const struct container *c, const char *action, json_t *take_more)
{
	json_t *a = json_object();
	const char *key;
	json_t *value;
	json_object_foreach ((json_t *)container_labels(c), key, value) {
		json_put(a, key, json_incref(value));
	}
	json_put_str(a, "image", c->image_ref);
	json_put_str(a, "name", c->name);
	if (take_more) {
		json_object_update(a, take_more);
		json_decref(take_more);
	}
	event_publish(c->set->d.bus, "container", action, c->id, a);
}

/* By pidfd: the shim reaps the init before we hear of it, and its number may be somebody else's by
 * then. */
int container_signal(struct container *c, int signal, struct err *e)
{
	if (c->pidfd < 0) {
		return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	}
	if (syscall(SYS_pidfd_send_signal, c->pidfd, signal, NULL, 0) < 0 && errno != ESRCH) {
		return err_sys(e, errno, "cannot signal container %s", c->id);
	}
	return 0;
}

void container_opened_pid(struct container *c, pid_t pid)
{
	if (c->pidfd >= 0) {
		close(c->pidfd);
	}
	c->pid = pid;
	c->pidfd =
		(int)syscall(SYS_pidfd_open, pid, 0); /* -1: it has ended already, EXITED follows */
}

static void set_error(struct container *c, const char *text)
{
	free(c->error);
	c->error = text ? xstrdup(text) : NULL;
}

void container_clean_run(struct container *c)
{
	endpoints_detach(c);
	container_destroy_groups(c);
	scoped(free) char *crun_state = xasprintf("%s/crun/%s", c->set->d.exec_root, c->id);
	path_remove_tree(AT_FDCWD, crun_state);
	path_remove_tree(AT_FDCWD, c->run_dir);
	if (c->pidfd >= 0) {
		close(c->pidfd);
		c->pidfd = -1;
	}
	c->pid = 0;
}

/* --- failure --- */

static const char *first_arg(const struct container *c)
{
	const char *keys[] = {"Entrypoint", "Cmd"};
	for (int i = 0; i < 2; i++) {
		const json_t *list = json_object_get(c->config, keys[i]);
		if (json_array_size(list) > 0) {
			return json_string_value(json_array_get(list, 0));
		}
	}
	return "";
}

/* The policy is asked about starts of its own, and about those that only lack something. True when
 * it is waited for. */
static bool plan_after_failure(struct container *c, bool by_user)
{
	int64_t wait_ms;
	scoped(free) char *missing = waiting_for(c);
	const struct restart_facts facts = {.exit_code = c->exit_code,
		.count = c->restart_count,
		.last_wait_ms = c->last_wait_ms,
		.stopped_by_user = c->stopped_by_user,
		.waiting = missing != NULL};
	bool asked = !by_user || missing;
	if (!asked || !waiting_decide(c, &facts, &wait_ms)) {
		container_step(c, INPUT_FAILED);
		waiting_set(c, NULL);
		return false;
	}
	container_restart_later(c, wait_ms);
	waiting_set(c, missing ? xstrdup(missing) : NULL);
	return missing != NULL;
}

static void start_failed(struct container *c, const struct err *e, int exit_code)
{
	bool by_user = !list_empty(&c->starting);
	const struct err reason = *e;
	char id[ID_LEN + 1];
	struct container_set *s = c->set;
	shim_free(TAKE(c->shim));
	plug_ended(c);
	storage_changed(c);
	container_clean_run(c);
	c->exit_code = exit_code;
	set_error(c, reason.msg);
	log_warning("container", "start_failed", "id", c->id, "reason", reason.msg, NULL);
	bool waits = plan_after_failure(c, by_user);
	container_volumes_let_go(c);
	container_record_note(c);
	if (!waits) { /* else it has not even begun: who attached stays for the first byte */
		attach_point_end(&c->attaches);
		waits_fire(c, true, false);
	}
	memcpy(id, c->id, sizeof(id));
	bool remove = json_bool(c->host_config, "AutoRemove") || c->remove_asked;
	struct list starting = LIST_INIT(starting);
	struct list stopping = LIST_INIT(stopping);
	done_take(&c->starting, &starting);
	done_take(&c->stopping, &stopping);
	done_all(&stopping, NULL);
	c = map_get(s->by_id, id);
	if (c && remove && !(waits && !c->remove_asked)) {
		container_remove_now(c, true);
	}
	done_all(&starting, waits ? NULL : &reason);
	container_set_note_end(s);
	boot_look_again(s);
}

/* --- launch --- */

/* What stands in each line may be secret: it goes by a file, a command line is everybody's. */
static int write_log_extra(
	const struct container *c, const json_t *log, struct strv *args, struct err *e)
{
	scoped(buf) struct buf extra = BUF_INIT;
	scoped(free) char *path = xasprintf("%s/log.extra", c->run_dir);
	if (log_options_extra(c, json_str(log, "Type"), json_object_get(log, "Config"), &extra, e) <
		0) {
		return -1;
	}
	if (extra.len == 0) {
		return 0;
	}
	int r = path_write(AT_FDCWD, path, extra.data, extra.len, 0600, false);
	if (r < 0) {
		return err_sys(e, -r, "cannot write %s", path);
	}
	strv_addf(args, "--log-extra=%s", path);
	return 0;
}

static int add_log_args(const struct container *c, struct strv *args, struct err *e)
{
	const json_t *log = json_object_get(c->host_config, "LogConfig");
	const char *type = *json_str(log, "Type") ? json_str(log, "Type") : "json-file";
	struct log_settings s;
	if (strcmp(type, "none") == 0) {
		return 0;
	}
	if (log_options_read(type, json_object_get(log, "Config"), &s, e) < 0) {
		return -1;
	}
	scoped(free) char *path = container_log_path(c);
	strv_addf(args, "--log=%s", path ? path : "journal");
	strv_addf(args, "--log-format=%s", type);
	strv_addf(args, "--log-size=%lld", (long long)s.max_bytes);
	strv_addf(args, "--log-files=%d", s.files);
	strv_addf(args, "--log-buffer=%lld", (long long)s.buffer_bytes);
	if (s.compress) {
		strv_addf(args, "--log-compressor=%s", job_worker_path(c->set->d.jobs));
	}
	return write_log_extra(c, log, args, e);
}

static int shim_args(const struct container *c, struct strv *args, struct err *e)
{
	const struct container_deps *d = &c->set->d;
	scoped(free) char *lower = image_lowerdir(d->images, &c->layers);
	strv_addf(args, "--id=%s", c->id);
	strv_addf(args, "--dir=%s", c->run_dir);
	runtime_shim_args(c, args);
	strv_addf(args, "--cgroup=%s", c->cgroup);
	strv_addf(args, "--layers=%s", image_layers_dir(d->images));
	strv_addf(args, "--lower=%s", lower);
	strv_addf(args, "--upper=%s/upper", c->dir);
	strv_addf(args, "--work=%s/work", c->dir);
	storage_shim_args(c, args);
	volume_watch_shim_args(c, args);
	scoped(strv) struct strv foreign = STRV_INIT;
	container_volumes_foreign(c, &foreign);
	for (size_t i = 0; i < foreign.n; i++) {
		strv_addf(args, "--let-go=%s", foreign.v[i]);
	}
	if (container_has_own_netns(c)) {
		strv_add(args, "--netns");
	}
	mounts_shim_args(c, args);
	if (json_bool(c->config, "Tty")) {
		strv_add(args, "--tty");
	}
	if (json_bool(c->config, "OpenStdin")) {
		strv_add(args, "--stdin");
	}
	return add_log_args(c, args, e);
}

static void spawn(struct container *c)
{
	struct err e;
	scoped(strv) struct strv args = STRV_INIT;
	container_clean_run(c); /* invariant 2: also what a crash between two runs left */
	c->limits_stale = false;
	optional_note(c);
	if (links_ready(c, &e) < 0 || endpoints_ready(c, &e) < 0 || bundle_write(c, &e) < 0 ||
		shim_args(c, &args, &e) < 0) {
		container_start_failed(c, &e);
		return;
	}
	container_note_groups(c);
	container_foreign_prepare(c);
	struct shim *s = shim_start(c->set->d.loop, c->set->d.shim_path, c->run_dir, &args,
		container_shim_handlers(), c, &e);
	if (!s) {
		container_start_failed(c, &e);
		return;
	}
	c->shim = s;
	container_volumes_taken(c);
}

/* --- seeding: a new volume gets what the image has at its place --- */

static void seed_done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct container *c = owner;
	struct err reason;
	c->seeding = NULL;
	if (c->set->closing) {
		return;
	}
	if (!result) {
		reason = *e;
		(void)err_wrap(&reason, "cannot fill volume %s from the image",
			c->mounts.v[c->seed_next].name);
		container_start_failed(c, &reason);
		return;
	}
	struct volume *v = volume_find(c->set->d.volumes, c->mounts.v[c->seed_next].name, &reason);
	if (v && !c->mounts.v[c->seed_next].subpath) {
		volume_set_seeded(c->set->d.volumes, v);
	}
	c->seed_next++;
	container_launch(c);
}

bool container_wants_seed(const struct container *c, const struct mount_point *m)
{
	struct err ignored;
	if (m->kind != MOUNT_VOLUME || m->no_copy) {
		return false;
	}
	const struct volume *v = volume_find(c->set->d.volumes, m->name, &ignored);
	/* a directory of a volume that has others may still be empty; once, as for a new volume */
	bool wants = m->subpath ? !container_was_started(c) : v && volume_wants_seed(v);
	return v && wants && container_volume_is_there(v);
}

struct job *container_seed(const struct container *c, const struct mount_point *m,
	const struct job_handlers *h, void *owner, struct err *e)
{
	const struct volume *v = volume_find(c->set->d.volumes, m->name, e);
	if (!v) {
		return NULL;
	}
	scoped(free) char *lower = image_lowerdir(c->set->d.images, &c->layers);
	scoped(strv) struct strv names = STRV_INIT;
	strv_split(&names, lower, ':');
	json_t *request = json_pack("{ss so ss ss ss}", "layers_dir",
		image_layers_dir(c->set->d.images), "lower", json_strv(&names), "path", m->target,
		"target", volume_mountpoint(v), "subpath", m->subpath ? m->subpath : "");
	return job_start(c->set->d.jobs, "seed-volume", request, -1, false, h, owner, e);
}

/* Of its image, and of those that are mounted. */
static int check_layers(const struct container *c, struct err *e)
{
	const struct image_store *images = c->set->d.images;
	int r = image_check_layers(images, &c->layers, c->image_ref, e);
	for (size_t i = 0; r == 0 && i < c->mounts.n; i++) {
		const struct mount_point *m = &c->mounts.v[i];
		r = m->kind == MOUNT_IMAGE ? image_check_layers(images, &m->layers, m->name, e) : 0;
	}
	return r;
}

/* Volumes first, then what the image has for them, then the shim. Called again after each step that
 * takes its time. */
void container_launch(struct container *c)
{
	static const struct job_handlers handlers = {NULL, NULL, seed_done};
	struct err why;
	if (container_files_hold(c) || plug_hold(c)) {
		return; /* files.c or plug.c comes back here */
	}
	if (check_layers(c, &why) < 0) {
		container_start_failed(c, &why);
		return;
	}
	int ready = container_volumes_ready(c, &why);
	if (ready < 0) {
		container_start_failed(c, &why);
	}
	if (ready <= 0) {
		return;
	}
	for (; c->seed_next < c->mounts.n; c->seed_next++) {
		const struct mount_point *m = &c->mounts.v[c->seed_next];
		struct err e;
		if (container_wants_seed(c, m)) {
			c->seeding = container_seed(c, m, &handlers, c, &e);
			if (!c->seeding) {
				container_start_failed(c, &e);
			}
			return;
		}
	}
	ready = storage_ready(c, &why);
	if (ready < 0) {
		container_start_failed(c, &why);
	} else if (ready > 0) {
		spawn(c);
	}
}

static void begin(struct container *c)
{
	container_step(c, INPUT_START);
	set_error(c, NULL);
	c->kill_asked = false;
	c->seed_next = 0;
	c->begun_ms = clock_mono_ms();
	container_launch(c);
}

void container_start(struct container *c, container_done_fn *done, void *owner)
{
	struct err e;
	if (c->set->going_down) {
		(void)err_set(&e, ERR_BUSY, "the daemon is going down with the machine");
		done(owner, &e);
		return;
	}
	/* who waits for a device may be told to look again */
	bool waits = c->state == CONTAINER_RESTARTING && c->waits_for;
	switch (waits ? CONTAINER_EXITED : c->state) {
	case CONTAINER_RUNNING:
	case CONTAINER_STOPPING:
	case CONTAINER_RESTARTING: /* to its clients it runs, and starts without them */
		(void)err_set(&e, ERR_UNCHANGED, "container %s is already running", c->id);
		done(owner, &e);
		return;
	case CONTAINER_PAUSED:
		(void)err_set(
			&e, ERR_CONFLICT, "cannot start a paused container, try unpause instead");
		done(owner, &e);
		return;
	case CONTAINER_STARTING:
		done_add(&c->starting, done, owner);
		return;
	case CONTAINER_REMOVING:
	case CONTAINER_DEAD:
		(void)err_set(
			&e, ERR_CONFLICT, "container is marked for removal and cannot be started");
		done(owner, &e);
		return;
	default:
		break;
	}
	delay_cancel(c->restart_delay);
	c->restart_delay = NULL;
	c->boot_since_ms = 0;
	c->stopped_by_user = false;
	c->restart_count = 0;
	c->last_wait_ms = 0;
	done_add(&c->starting, done, owner);
	begin(c);
}

/* --- what the shim says --- */

static void on_ready(void *owner)
{
	struct container *c = owner;
	struct err e;
	char path[64];
	if (shim_pid(c->shim) == 0) { /* an earlier daemon's: it sees that one's end and goes, which
					 we hear as lost */
		return;
	}
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)shim_pid(c->shim));
	scoped(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		(void)err_sys(&e, errno, "cannot open the container's network namespace");
	}
	if (fd < 0 || endpoints_attach(c, fd, &e) < 0 || bundle_write_hosts(c, &e) < 0) {
		if (!strstr(e.msg, "failed to set up container networking")) {
			(void)err_wrap(&e, "failed to set up container networking");
		}
		shim_kill(c->shim);
		container_start_failed(c, &e);
		return;
	}
	attach_point_connect(&c->attaches, c->run_dir);
	shim_go(c->shim);
}

static void on_started(void *owner, pid_t init, int64_t at_ns)
{
	struct container *c = owner;
	bool fresh = c->state == CONTAINER_STARTING;
	container_opened_pid(c, init);
	c->started_ns = at_ns;
	c->was_started_now = true;
	waiting_set(c, NULL);
	c->oom_killed = c->oom_killed && !fresh;
	oom_start(c);
	if (!fresh) { /* this daemon is new, the container is not */
		endpoints_reattach(c);
		plug_started(c, false);
		health_start(c);
		container_record_note(c);
		boot_look_again(c->set);
		return;
	}
	container_step(c, INPUT_STARTED);
	security_keep_filter(c);
	c->exit_code = 0;
	container_record_note(c);
	log_info("container", "started", "id", c->id, "pid", LOG_N(init), NULL);
	container_event(c, "start", NULL);
	update_started(c);
	plug_started(c, true);
	storage_changed(c);
	health_start(c);
	if (c->remove_asked || c->kill_asked ||
		!list_empty(&c->stopping)) { /* asked for while it was starting */
		struct err ignored;
		c->stopped_by_user = true;
		container_step(c, INPUT_STOP);
		(void)container_signal(c, SIGKILL, &ignored);
	} else if (c->set->going_down) {
		container_ask_to_stop(c, 0, -1);
	}
	struct container_set *s = c->set;
	done_all(&c->starting, NULL);
	boot_look_again(s);
}

/* Before there was a runtime to ask: dockerd says 128 then (moby daemon/start.go). */
void container_start_failed(struct container *c, const struct err *e)
{
	start_failed(c, e, 128);
}

static void on_failed(void *owner, const char *text)
{
	struct container *c = owner;
	struct err e;
	int exit_code = runtime_failure(RUNTIME_CREATE, first_arg(c), text, &e);
	container_foreign_explain(c, text, &e);
	start_failed(c, &e, exit_code);
}

static void on_exited(void *owner, int exit_code, int64_t at_ns, bool oom)
{
	container_died(owner, exit_code, at_ns, oom);
}

/* It was killed: what it held goes too. */
static void on_lost(void *owner)
{
	struct container *c = owner;
	int code = 137;
	int64_t at_ns = clock_real_ns();
	bool oom = false;
	if (shim_read_exit(c->run_dir, &code, &at_ns, &oom) == 0 ||
		c->state != CONTAINER_STARTING) {
		container_died(c, code, at_ns, oom);
		return;
	}
	struct err e;
	(void)err_set(
		&e, ERR_SYSTEM, "the container's shim ended before the container was started");
	container_start_failed(c, &e);
}

const struct shim_handlers *container_shim_handlers(void)
{
	static const struct shim_handlers handlers = {
		on_ready, on_started, on_failed, on_exited, on_lost};
	return &handlers;
}

/* --- the end --- */

void container_restart_now(void *owner)
{
	struct container *c = owner;
	c->restart_delay = NULL;
	if (c->set->policies) { /* boot.c has yet to say whether it waits for others */
		c->restart_delay = delay_start(c->set->d.loop, 0, container_restart_now, c);
		return;
	}
	c->restart_count++;
	if (waiting_goes_on(c)) {
		return;
	}
	begin(c);
}

void container_restart_later(struct container *c, int64_t wait_ms)
{
	c->last_wait_ms = wait_ms;
	c->state = CONTAINER_RESTARTING;
	delay_cancel(c->restart_delay);
	c->restart_delay = c->set->going_down
				   ? NULL /* the next daemon's business */
				   : delay_start(c->set->d.loop, wait_ms, container_restart_now, c);
}

static void settle_end(struct container *c)
{
	const struct restart_facts facts = {
		.exit_code = c->exit_code,
		.count = c->restart_count,
		.ran_ms = c->started_ns ? (c->finished_ns - c->started_ns) / NS_PER_MS : 0,
		.last_wait_ms = c->last_wait_ms,
		.stopped_by_user = c->stopped_by_user || c->remove_asked,
	};
	int64_t wait_ms;
	if (restart_decide(&c->policy, &facts, &wait_ms)) {
		container_restart_later(c, wait_ms);
	} else {
		c->state = CONTAINER_EXITED;
	}
}

static void publish_end(struct container *c, bool stopped, bool oom)
{
	char code[16];
	char ran[24];
	snprintf(code, sizeof(code), "%d", c->exit_code);
	snprintf(ran, sizeof(ran), "%lld",
		(long long)(c->started_ns ? (c->finished_ns - c->started_ns) / NS_PER_SEC : 0));
	if (oom) {
		container_event(c, "oom", NULL);
	}
	container_event(c, "die", json_pack("{ss ss}", "exitCode", code, "execDuration", ran));
	if (stopped) {
		container_event(c, "stop", NULL);
	}
}

void container_died(struct container *c, int exit_code, int64_t at_ns, bool oom)
{
	bool stopped = !list_empty(&c->stopping);
	bool unheard_oom = oom && !c->oom_killed;
	shim_free(TAKE(c->shim));
	health_stop(c);
	oom_stop(c);
	plug_ended(c);
	storage_changed(c);
	c->exit_code = exit_code;
	c->finished_ns = at_ns;
	c->oom_killed = c->oom_killed || oom;
	settle_end(c);
	endpoints_detach(c);
	container_record_note(c); /* before the shim's own record goes */
	container_clean_run(c);
	log_info("container", "ended", "id", c->id, "exit_code", LOG_N(exit_code), NULL);
	publish_end(c, stopped, unheard_oom);
	container_volumes_let_go(c);
	execs_forget(c);
	attach_point_end(&c->attaches);
	log_readers_poke(c->set, c);
	waits_fire(c, true, false);
	char id[ID_LEN + 1];
	struct container_set *s = c->set;
	memcpy(id, c->id, sizeof(id));
	bool remove = c->remove_asked || json_bool(c->host_config, "AutoRemove");
	bool volumes = c->remove_volumes || json_bool(c->host_config, "AutoRemove");
	delay_cancel(c->kill_delay);
	c->kill_delay = NULL;
	/* a start that was asked for while the end was on its way is answered too: it did start */
	struct list calls = LIST_INIT(calls);
	done_take(&c->starting, &calls);
	done_take(&c->stopping, &calls);
	done_all(&calls, NULL);
	c = map_get(s->by_id, id);
	if (c && remove && c->state == CONTAINER_EXITED) {
		container_remove_now(c, volumes);
	}
	container_set_note_end(s);
	boot_look_again(s);
}
