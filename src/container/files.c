/* Invariants
 * 1. A work is in its container's list until it is finished or the container is gone; then it knows
 *    the container no more.
 * 2. holds: a worker looks at the container's overlay, or is about to. container_launch waits for
 *    the last of them.
 * 3. done is called once, and the work is freed after it.
 * 4. A client that neither reads nor sends does not hold a start for ever: patience runs while one
 *    waits.
 */
#include "container/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "container/bundle.h"
#include "container/internal.h"
#include "image/image.h"
#include "job/job.h"
#include "oci/passwd.h"
#include "volume/volume.h"

#define PATIENCE_MS 5000

static const char *const task_jobs[] = {
	[FILE_STAT] = "files-stat",
	[FILE_GET] = "files-get",
	[FILE_PUT] = "files-put",
	[FILE_EXPORT] = "files-export",
	[FILE_CHANGES] = "changes",
};

static const char *const task_events[] = {
	[FILE_GET] = "archive-path",
	[FILE_PUT] = "extract-to-dir",
	[FILE_EXPORT] = "export",
	[FILE_CHANGES] = NULL,
};

struct file_work {
	struct list node;
	struct container_set *set;
	struct container *container; /* NULL once it is gone */
	enum file_task task;
	json_t *request;
	bool copy_owner, before_start;
	bool holds, cancelled, waits_for_start;
	bool fed_all, feed_waits,
		paused; /* of the client's bytes: it is our turn, or the worker's */
	bool moved, stalled;
	struct delay *patience;
	void (*drained)(void *owner);
	void *drained_owner;
	size_t seed_next;
	struct job *job; /* the seeding of a volume, then the work itself */
	struct file_handlers handlers;
	void *owner;
};

/* --- the end --- */

/* Nothing happens until the client reads, or sends. */
static bool waits_for_client(const struct file_work *w)
{
	bool put = w->task == FILE_PUT;
	return w->job && (put ? !w->fed_all && !w->feed_waits : w->paused);
}

static void start_patience(struct file_work *w);

static void patience_is_over(void *owner)
{
	struct file_work *w = owner;
	w->patience = NULL;
	if (w->moved || !waits_for_client(w)) {
		start_patience(w);
		return;
	}
	w->stalled = true;
	file_work_cancel(w);
}

static void start_patience(struct file_work *w)
{
	w->moved = false;
	w->patience = delay_start(w->set->d.loop, PATIENCE_MS, patience_is_over, w);
}

static bool is_held(const struct container *c)
{
	bool held = false;
	list_each (pos, &c->file_works) {
		struct file_work *w = container_of(pos, struct file_work, node);
		if (w->holds && !w->patience && !w->stalled) {
			start_patience(w);
		}
		held = held || w->holds;
	}
	return held;
}

bool container_files_hold(struct container *c)
{
	c->launch_held = is_held(c);
	return c->launch_held;
}

static void finish(struct file_work *w, const json_t *result, const struct err *e)
{
	struct container *c = w->container;
	struct err removed;
	list_remove(&w->node);
	delay_cancel(w->patience);
	w->holds = false;
	if (!c && e) {
		(void)err_set(&removed, ERR_CONFLICT, "the container has been removed");
		e = &removed;
	} else if (w->stalled && e) {
		(void)err_set(&removed, ERR_CONFLICT,
			"the client did not go on, and the container is to be started");
		e = &removed;
	}
	if (c && result && task_events[w->task]) {
		container_event(c, task_events[w->task], NULL);
	}
	/* a job that ended although nobody cancelled it: the daemon goes down, nothing starts */
	bool going_down = e && e->kind == ERR_BUSY && !w->cancelled;
	w->handlers.done(w->owner, result, e);
	json_decref(w->request);
	free(w);
	if (c && c->launch_held && c->state == CONTAINER_STARTING && !going_down &&
		!container_files_hold(c)) {
		container_launch(c);
	}
}

void container_files_cancel(struct container *c)
{
	list_each_safe (pos, &c->file_works) {
		file_work_cancel(container_of(pos, struct file_work, node));
	}
}

void container_files_forget(struct container *c)
{
	list_each_safe (pos, &c->file_works) {
		struct file_work *w = container_of(pos, struct file_work, node);
		list_remove(&w->node);
		w->container = NULL;
		file_work_cancel(w);
	}
}

/* --- the job --- */

static void on_message(void *owner, struct job *j, json_t *msg)
{
	struct file_work *w = owner;
	const json_t *stat = json_object_get(msg, "stat");
	if (strcmp(json_str(msg, "ask"), "begin") != 0) {
		return;
	}
	if (w->handlers.begin && !w->cancelled) {
		w->handlers.begin(w->owner, json_is_object(stat) ? stat : NULL);
	}
	job_send(j, json_pack("{s{}}", "answer"));
}

static void on_output(void *owner, struct job *j, const char *data, size_t n)
{
	struct file_work *w = owner;
	w->moved = true;
	if (w->handlers.output && !w->cancelled) {
		w->handlers.output(w->owner, data, n);
	}
}

static void on_done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct file_work *w = owner;
	w->job = NULL;
	finish(w, result, e);
}

/* The mount namespace of the container's first process. The number is still that process's: the
 * pidfd says so after the file was opened. */
static int open_namespace(const struct container *c, struct err *e)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)c->pid);
	scoped(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	int failed = fd < 0 ? errno : 0;
	if (failed == 0 &&
		(c->pidfd < 0 || syscall(SYS_pidfd_send_signal, c->pidfd, 0, NULL, 0) < 0)) {
		failed = ESRCH;
	}
	return failed ? err_sys(e, failed, "cannot enter the mounts of container %s", c->id)
		      : TAKE_FD(fd);
}

static void put_overlay(const struct container *c, json_t *request)
{
	scoped(free) char *lower = image_lowerdir(c->set->d.images, &c->layers);
	scoped(free) char *upper = xasprintf("%s/upper", c->dir);
	scoped(free) char *work = xasprintf("%s/work", c->dir);
	scoped(strv) struct strv names = STRV_INIT;
	strv_split(&names, lower, ':');
	json_put_str(request, "layers_dir", image_layers_dir(c->set->d.images));
	json_put(request, "lower", json_strv(&names));
	json_put_str(request, "upper", upper);
	json_put_str(request, "work", work);
}

static void add_mount(
	json_t *mounts, const char *source, const char *target, bool read_only, bool flat)
{
	json_array_append_new(mounts, json_pack("{ss ss sb sb}", "source", source, "target", target,
					      "read_only", read_only, "non_recursive", flat));
}

/* A volume of NFS or a disk that no container uses now: nothing is to be put under its mount. */
static bool is_unmounted(const struct container *c, const struct mount_point *m)
{
	struct err ignored;
	const struct volume *v = volume_find(c->set->d.volumes, m->name, &ignored);
	return v && !container_volume_is_there(v);
}

/* Its server would not answer the copy either. */
static int check_answers(const struct container *c, const struct mount_point *m, struct err *e)
{
	struct err ignored;
	const struct volume *v =
		m->kind == MOUNT_VOLUME ? volume_find(c->set->d.volumes, m->name, &ignored) : NULL;
	return v && volume_is_watched(v) && volume_state(v) == VOLUME_DEGRADED
		       ? err_set(e, ERR_SYSTEM, "volume %s: %s", m->name, volume_reason(v))
		       : 0;
}

/* What would be mounted if it ran, but for tmpfs, whose content nobody has, and images, which have
 * names of their own. */
static int put_mounts(const struct container *c, json_t *request, struct err *e)
{
	static const char *const files[] = {"resolv.conf", "hostname", "hosts"};
	json_t *mounts = json_array();
	json_put(request, "mounts", mounts);
	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct mount_point *m = &c->mounts.v[i];
		if (m->kind == MOUNT_TMPFS || m->kind == MOUNT_IMAGE) {
			continue;
		}
		scoped(free) char *source = mount_source(c, m, e);
		if (!source || check_answers(c, m, e) < 0) {
			return -1;
		}
		bool closed = m->kind == MOUNT_VOLUME && is_unmounted(c, m);
		add_mount(mounts, source, m->target, m->read_only || closed, m->non_recursive);
		if (m->subpath) {
			json_put_str(json_array_get(mounts, json_array_size(mounts) - 1), "subpath",
				m->subpath);
		}
	}
	for (size_t i = 0; i < 3; i++) {
		scoped(free) char *source = xasprintf("%s/%s", c->dir, files[i]);
		scoped(free) char *target = xasprintf("/etc/%s", files[i]);
		if (access(source, F_OK) == 0 && !mounts_find(&c->mounts, target)) {
			add_mount(mounts, source, target, false, true);
		}
	}
	return 0;
}

/* docker cp -a: the user the container runs as, as its own files say. */
static int put_owner(const struct container *c, json_t *request, struct err *e)
{
	struct oci_user user;
	const char *name = json_str(c->config, "User");
	if (!*name) {
		return 0;
	}
	if (bundle_find_user(c, name, &user, e) < 0) {
		return -1;
	}
	json_put(request, "set_owner", json_true());
	json_put(request, "uid", json_integer(user.uid));
	json_put(request, "gid", json_integer(user.gid));
	return 0;
}

static int prepare(struct file_work *w, int *ret_ns, struct err *e)
{
	const struct container *c = w->container;
	bool running = container_is_running(c) && w->task != FILE_CHANGES;
	if (w->copy_owner && put_owner(c, w->request, e) < 0) {
		return -1;
	}
	json_put(w->request, "running", json_boolean(running));
	json_put(w->request, "read_only_root",
		json_boolean(json_bool(c->host_config, "ReadonlyRootfs") &&
			     !(w->before_start && !container_was_started(c))));
	if (running) {
		*ret_ns = open_namespace(c, e);
		return *ret_ns < 0 ? -1 : 0;
	}
	put_overlay(c, w->request);
	return w->task == FILE_EXPORT || w->task == FILE_CHANGES ? 0 : put_mounts(c, w->request, e);
}

static int start_job(struct file_work *w, struct err *e)
{
	static const struct job_handlers handlers = {on_message, on_output, on_done};
	bool put = w->task == FILE_PUT;
	int ns = -1;
	if (prepare(w, &ns, e) < 0) {
		return -1;
	}
	w->job = job_start_with(w->set->d.jobs, task_jobs[w->task], json_incref(w->request),
		put ? JOB_BODY_PIPE : -1, ns, !put, &handlers, w, e);
	if (!w->job) {
		return -1;
	}
	if (w->handlers.ready) {
		w->handlers.ready(w->owner);
	}
	return 0;
}

/* --- before it: volumes that have not got the image's content yet --- */

static int go_on(struct file_work *w, struct err *e);

static void go_on_or_fail(struct file_work *w)
{
	struct err e;
	if (go_on(w, &e) < 0) {
		finish(w, NULL, &e);
	}
}

static void seed_done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct file_work *w = owner;
	w->job = NULL;
	if (!result || !w->container || w->cancelled) {
		struct err cancelled;
		(void)err_set(&cancelled, ERR_BUSY, "canceled");
		finish(w, NULL, e ? e : &cancelled);
		return;
	}
	struct err ignored;
	const struct mount_point *m = &w->container->mounts.v[w->seed_next++];
	struct volume *v = volume_find(w->set->d.volumes, m->name, &ignored);
	if (v) {
		volume_set_seeded(w->set->d.volumes, v);
	}
	go_on_or_fail(w);
}

static int go_on(struct file_work *w, struct err *e)
{
	static const struct job_handlers handlers = {NULL, NULL, seed_done};
	struct container *c = w->container;
	bool may_see = w->task == FILE_STAT || w->task == FILE_GET || w->task == FILE_PUT;
	w->holds = true;
	for (; may_see && !container_is_running(c) && w->seed_next < c->mounts.n; w->seed_next++) {
		const struct mount_point *m = &c->mounts.v[w->seed_next];
		if (container_wants_seed(c, m)) {
			w->job = container_seed(c, m, &handlers, w, e);
			return w->job ? 0 : -1;
		}
	}
	return start_job(w, e);
}

static void start_ended(void *owner, const struct err *ignored)
{
	struct file_work *w = owner;
	struct err e;
	w->waits_for_start = false;
	if (!w->container || w->cancelled) {
		(void)err_set(&e, ERR_BUSY, "canceled");
		finish(w, NULL, &e);
		return;
	}
	go_on_or_fail(w);
}

/* --- the interface --- */

static int check_state(const struct container *c, enum file_task task, struct err *e)
{
	const char *verb = task == FILE_EXPORT ? "export" : "copy files of";
	if (c->state == CONTAINER_DEAD) {
		return err_set(
			e, ERR_CONFLICT, "You cannot %s container %s which is Dead", verb, c->id);
	}
	return 0;
}

struct file_work *container_files(struct container *c, const struct file_request *q,
	const struct file_handlers *h, void *owner, struct err *e)
{
	if (check_state(c, q->task, e) < 0) {
		return NULL;
	}
	struct file_work *w = xnew(struct file_work);
	w->set = c->set;
	w->container = c;
	w->task = q->task;
	w->copy_owner = q->copy_owner;
	w->before_start = q->before_start;
	w->handlers = *h;
	w->owner = owner;
	w->request = json_pack("{ss ss sb}", "path", q->path ? q->path : "", "container", q->name,
		"no_overwrite", q->no_overwrite);
	if (!w->request) {
		(void)err_set(e, ERR_INVALID, "the path is not UTF-8");
		free(w);
		return NULL;
	}
	list_append(&c->file_works, &w->node);
	if (c->state == CONTAINER_STARTING && q->task != FILE_CHANGES) {
		w->waits_for_start = true;
		done_add(&c->starting, start_ended, w);
		return w;
	}
	if (go_on(w, e) < 0) {
		list_remove(&w->node);
		json_decref(w->request);
		free(w);
		return NULL;
	}
	return w;
}

static void feed_drained(void *owner)
{
	struct file_work *w = owner;
	w->moved = true;
	w->feed_waits = false;
	w->drained(w->drained_owner);
}

bool file_work_feed(
	struct file_work *w, const char *data, size_t n, void (*drained)(void *owner), void *owner)
{
	w->moved = true;
	w->drained = drained;
	w->drained_owner = owner;
	w->feed_waits = w->job && !job_body_write(w->job, data, n, feed_drained, w);
	return !w->feed_waits;
}

void file_work_feed_end(struct file_work *w)
{
	w->fed_all = true;
	if (w->job) {
		job_body_end(w->job);
	}
}

void file_work_pause(struct file_work *w, bool pause)
{
	w->paused = pause;
	if (w->job) {
		job_output_pause(w->job, pause);
	}
}

void file_work_cancel(struct file_work *w)
{
	w->cancelled = true;
	if (w->job) {
		job_cancel(w->job);
	} /* else start_ended ends it */
}

/* --- commit --- */

json_t *container_commit_request(const struct container *c, const json_t *body, struct err *e)
{
	scoped(json) json_t *config = json_object_size(body) > 0 ? container_fields_config(body, e)
								 : json_deep_copy(c->config);
	if (!config || container_config_merge(config, c->config, e) < 0) {
		return NULL;
	}
	scoped(buf) struct buf command = BUF_INIT;
	size_t i;
	json_t *word;
	json_array_foreach (json_object_get(c->config, "Cmd"), i, word) {
		buf_printf(&command, "%s%s", i ? " " : "", json_string_value(word));
	}
	json_t *request = json_object();
	put_overlay(c, request);
	json_put_str(request, "container", c->id);
	json_put(request, "container_config", json_deep_copy(c->config));
	json_put_str(request, "created_by", buf_str(&command));
	json_put(request, "config", TAKE(config));
	return request;
}

void container_note_commit(
	const struct container *c, const char *comment, const char *image_id, const char *ref)
{
	container_event(c, "commit",
		json_pack("{ss ss ss}", "comment", comment, "imageID", image_id, "imageRef", ref));
}
