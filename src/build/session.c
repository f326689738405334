/* One build: its worker from start to end, and what stays after it. Its questions are
 * session_answer.c's.
 *
 * Invariants
 * 1. handlers.done is called once, after the job's done.
 * 2. The session is freed when both the job and the pulls that it asked for are over, and the image
 * is on the disk; pulls are cancelled with the job.
 * 3. A layer that a session was told of stays until the session ends: session_pin_layers.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "build/base.h"
#include "build/builder.h"
#include "build/claims.h"
#include "build/groups.h"
#include "build/limits.h"
#include "build/pending.h"
#include "build/results.h"
#include "build/session_parts.h"
#include "codec/ref.h"
#include "image/image.h"
#include "job/job.h"
#include "store/store.h"

#define QUIET_TEXT_MAX (256u << 10) /* what `docker build -q` shows when the build fails */

void session_free_if_over(struct build_session *s)
{
	if (s->job || s->push || s->result || s->settling || base_images_busy(s->bases)) {
		return;
	}
	list_remove(&s->node);
	base_images_free(s->bases);
	pending_free(s->pending);
	map_free(s->pinned);
	json_decref(s->options);
	buf_deinit(&s->quiet_text);
	free(s->tmp_name);
	free(s->cgroup);
	free(s);
}

static void pin_of_session(
	const struct build_session *s, void (*pin)(void *arg, const char *diff_id), void *arg)
{
	size_t pos = 0;
	const char *diff_id;
	while (map_next(s->pinned, &pos, &diff_id)) {
		pin(arg, diff_id);
	}
}

void session_pin_layers(
	const struct builder *b, void (*pin)(void *arg, const char *diff_id), void *arg)
{
	list_each (pos, &b->sessions) {
		pin_of_session(container_of(pos, struct build_session, node), pin, arg);
	}
}

void session_say(struct build_session *s, json_t *msg)
{
	const char *text = json_str(msg, "stream");
	if (!s->quiet) {
		s->handlers.progress(s->owner, msg);
	} else if (*text) {
		buf_append_limited(&s->quiet_text, text, strlen(text), QUIET_TEXT_MAX);
	}
}

static void say_quietly(struct build_session *s, const char *text)
{
	scoped(json) json_t *msg = json_pack("{ss}", "stream", text);
	if (msg) {
		s->handlers.progress(s->owner, msg);
	}
}

static void base_idle(void *owner)
{
	session_free_if_over(owner);
}

/* --- the job --- */

static void on_message(void *owner, struct job *j, json_t *msg)
{
	struct build_session *s = owner;
	const char *ask = json_str(msg, "ask");
	if (*ask) {
		session_answer(s, ask, msg);
	} else if (json_object_get(msg, "accepted")) {
		s->handlers.accepted(s->owner);
	} else if (json_object_get(msg, "exit_code")) {
		s->exit_code = (int)json_i64(msg, "exit_code", 1);
	} else {
		const json_t *log = json_object_get(msg, "log");
		if (log) {
			claims_log(s->builder->claims, s, log, session_claim_log);
		}
		session_say(s, msg);
	}
}

/* The worker is gone and with it its mounts and namespaces; what it leaves has the session's name.
 */
static void clean_up(struct build_session *s)
{
	struct builder *b = s->builder;
	if (s->dns) {
		network_dns_stop(b->d.networks, s->id);
	}
	if (s->attached) {
		network_detach(b->d.networks, s->endpoint.network_id, s->id);
	}
	build_groups_destroy(b->groups, s->cgroup);
	scoped(free) char *dir = xasprintf("%s/tmp", image_layers_dir(b->d.images));
	builder_remove_trees(b, dir, json_pack("[s]", s->tmp_name));
}

static void finish_failed(struct build_session *s, const struct err *e)
{
	if (s->quiet && s->quiet_text.len) {
		say_quietly(s, buf_str(&s->quiet_text));
	}
	s->handlers.done(s->owner, NULL, s->exit_code ? s->exit_code : 1, e);
	session_free_if_over(s);
}

/* The image is on the disk. */
static void synced(void *owner, const struct err *e)
{
	struct build_session *s = owner;
	scoped(json) json_t *result = TAKE(s->result);
	if (e) {
		finish_failed(s, e);
		return;
	}
	struct builder *b = s->builder;
	scoped(free) char *line = xasprintf("%s\n", json_str(result, "id"));
	if (s->quiet) {
		say_quietly(s, line);
	}
	s->handlers.done(s->owner, result, 0, NULL);
	session_free_if_over(s);
	builder_cache_trim(b);
}

static void settled(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct build_session *s = owner;
	struct err why = {0};
	s->settling = false;
	if (!result) {
		why = *e;
	} else if (pending_settle(s->pending, s->builder, &why) == 0) {
		session_free_if_over(s);
		return;
	}
	log_warning("build", "layers-lost", "id", s->id, "error", why.msg, NULL);
	session_free_if_over(s);
}

/* What a build made before it failed or was cut off is kept. */
static void settle(struct build_session *s)
{
	static const struct job_handlers handlers = {.done = settled};
	const struct builder *b = s->builder;
	struct err e;
	if (pending_is_empty(s->pending)) {
		return;
	}
	json_t *request = json_pack("{ss}", "fs", image_layers_dir(b->d.images));
	s->settling = job_start(b->d.jobs, "sync", request, -1, false, &handlers, s, &e) != NULL;
}

static void on_done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct build_session *s = owner;
	s->job = NULL;
	claims_drop_all(s->builder->claims, s);
	base_images_cancel(s->bases);
	if (s->push) {
		build_push_cancel(s->push);
	}
	settle(s);
	clean_up(s);
	log_info("build", result ? "built" : "failed", "id", s->id, "image",
		result ? json_str(result, "id") : NULL, "error", e ? e->msg : NULL, NULL);
	if (result && !*json_str(result, "id")) { /* the Dockerfile was checked only */
		s->handlers.done(s->owner, result, 0, NULL);
		session_free_if_over(s);
	} else if (result) {
		s->result = json_incref(result);
		if (json_bool(result, "synced")) {
			synced(s, NULL);
		} else {
			image_sync(s->builder->d.images, synced, s);
		}
	} else {
		finish_failed(s, e);
	}
}

static json_t *make_request(const struct build_session *s, struct err *e)
{
	const struct builder *b = s->builder;
	const char *layers_dir = image_layers_dir(b->d.images);
	scoped(free) char *dir = xasprintf("%s/tmp/%s", layers_dir, s->tmp_name);
	scoped(free) char *cgroup = xasprintf("/%s", s->cgroup);
	if (mkdir(dir, 0711) < 0) {
		(void)err_sys(e, errno, "cannot make %s", dir);
		return NULL;
	}
	json_t *request = json_object();
	json_put(request, "options", json_incref(s->options));
	json_put(request, "tmp", json_pack("{ss ss}", "dir", dir, "name", s->tmp_name));
	json_put_str(request, "layers_dir", layers_dir);
	scoped(free) char *journal = store_journal(b->d.store);
	json_put_str(request, "journal", journal);
	json_put_str(request, "crun", b->d.crun_path);
	json_put_str(request, "seccomp", b->d.seccomp_path);
	json_put_str(request, "cgroup", cgroup);
	scoped(free) char *filters = xasprintf("%s/filters", b->d.exec_root);
	json_put_str(request, "filters", filters);
	json_put_str(request, "cache_dir", b->cache_dir);
	scoped(free) char *socket = xasprintf("%s/" GATEWAY_SOCKET, b->d.exec_root);
	json_put_str(request, "session_socket", socket);
	return request;
}

static int check_tags(const json_t *options, struct err *e)
{
	size_t k;
	json_t *tag;
	json_array_foreach (json_object_get(options, "tags"), k, tag) {
		struct ref r;
		if (!json_is_string(tag)) {
			return err_set(e, ERR_INVALID, "a tag must be text");
		}
		if (ref_parse(json_string_value(tag), &r, e) < 0) {
			return err_wrap(
				e, "Error parsing reference: \"%.200s\"", json_string_value(tag));
		}
		if (*r.digest) {
			return err_set(e, ERR_INVALID, "build tag cannot contain a digest");
		}
	}
	return 0;
}

struct build_session *build_start(struct builder *b, json_t *take_options,
	const struct build_handlers *h, void *owner, struct err *e)
{
	static const struct job_handlers handlers = {.message = on_message, .done = on_done};
	static const struct base_handlers base_handlers = {
		session_base_answer, session_need_auth, session_progress, base_idle};
	struct build_session *s = xnew(struct build_session);
	s->builder = b;
	s->handlers = *h;
	s->owner = owner;
	s->options = take_options;
	s->pinned = map_new();
	s->pending = pending_new();
	list_init(&s->node);
	s->quiet = json_bool(s->options, "quiet");
	s->vertices = strcmp(json_str(s->options, "progress"), "vertices") == 0;
	s->bases = base_images_new(
		b->d.images, json_object_get(s->options, "auths"), &base_handlers, s);
	id_new(s->id);
	s->tmp_name = xasprintf("build-%.16s", s->id);
	s->cgroup = xasprintf("%s/%s%.16s", b->d.cgroup_parent, b->cgroup_prefix, s->id);
	bool good = check_tags(s->options, e) == 0 &&
		    build_limits_read(s->options, b->d.cgroups, e) == 0;
	json_t *request = good ? make_request(s, e) : NULL;
	if (request) {
		s->job = job_start(
			b->d.jobs, "build", request, JOB_BODY_PIPE, false, &handlers, s, e);
	}
	if (!s->job) {
		scoped(free) char *dir = xasprintf("%s/tmp", image_layers_dir(b->d.images));
		if (request) {
			builder_remove_trees(b, dir, json_pack("[s]", s->tmp_name));
		}
		session_free_if_over(s);
		return NULL;
	}
	list_append(&b->sessions, &s->node);
	return s;
}

bool build_feed(struct build_session *s, const char *data, size_t n, void (*drained)(void *owner),
	void *owner)
{
	return s->job ? job_body_write(s->job, data, n, drained, owner) : true;
}

void build_feed_end(struct build_session *s)
{
	if (s->job) {
		job_body_end(s->job);
	}
}

void build_cancel(struct build_session *s)
{
	if (s->job) {
		job_cancel(s->job);
	}
}
