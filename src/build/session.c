/* One build: the worker's questions answered from the stores of the daemon (worker/build.h lists
 * them).
 *
 * Invariants
 * 1. handlers.done is called once, after the job's done.
 * 2. The session is freed when both the job and the pulls that it asked for are over, and the image
 * is on the disk; pulls are cancelled with the job.
 * 3. A layer that a session was told of stays until the session ends: session_pin_layers.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "build/base.h"
#include "build/builder.h"
#include "build/limits.h"
#include "build/pending.h"
#include "build/results.h"
#include "codec/ref.h"
#include "event/event.h"
#include "image/image.h"
#include "job/job.h"
#include "job/wire.h"
#include "network/network.h"
#include "store/store.h"
#include "oci/emulate.h"
#include "sys/cgroup.h"

#define QUIET_TEXT_MAX (256u << 10) /* what `docker build -q` shows when the build fails */

struct build_session {
	struct list node;
	struct builder *builder;
	struct build_handlers handlers;
	void *owner;
	struct job *job; /* NULL once it is done */
	json_t *options;
	char id[ID_LEN + 1];
	char *tmp_name;     /* below layers/tmp */
	char *cgroup;       /* "wherry/build-..." */
	struct map *pinned; /* diff ids as keys */
	struct base_images *bases;
	struct pending_layers *pending;
	bool settling;           /* they go to the disk although the build has ended */
	struct build_push *push; /* or NULL */
	json_int_t push_question;
	int push_vertex;
	struct endpoint_info endpoint;
	bool attached, dns;
	json_t *result; /* while it goes to the disk */
	int exit_code;
	bool quiet, vertices;
	struct buf quiet_text;
};

static void free_if_over(struct build_session *s)
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

/* --- answers --- */

/* To the question with this number (rpc.h). */
static void answer(struct build_session *s, json_int_t question, json_t *take_answer)
{
	json_t *msg = json_pack("{sI}", "n", question);
	json_put(msg, "answer", take_answer);
	job_send(s->job, msg);
}

static void answer_error(struct build_session *s, json_int_t question, const struct err *e)
{
	json_t *msg = json_pack("{sI}", "n", question);
	json_put(msg, "error", job_err_to_json(e));
	job_send(s->job, msg);
}

static json_int_t number_of(const json_t *msg)
{
	return json_integer_value(json_object_get(msg, "n"));
}

/* The directory of a layer, and the promise that it stays while this session lasts. */
static json_t *layer_dir(struct build_session *s, const char *diff_id)
{
	scoped(strv) struct strv one = STRV_INIT;
	strv_add(&one, diff_id);
	scoped(free) char *dir = image_lowerdir(s->builder->d.images, &one);
	map_put(s->pinned, diff_id, s->pinned);
	return json_string(dir);
}

static void say(struct build_session *s, json_t *msg)
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

/* --- images --- */

static void base_answer(
	void *owner, json_int_t question, const struct image *i, const struct err *e)
{
	struct build_session *s = owner;
	if (!i) {
		answer_error(s, question, e);
		return;
	}
	json_t *dirs = json_array();
	for (size_t k = 0; k < i->layers.n; k++) {
		json_array_append_new(dirs, layer_dir(s, i->layers.v[k]));
	}
	json_t *found = json_object();
	json_put_str(found, "id", i->id);
	json_put(found, "config", json_incref(i->config));
	json_put(found, "layers", json_strv(&i->layers));
	json_put(found, "dirs", dirs);
	answer(s, question, found);
}

static void base_need_auth(void *owner, json_int_t question)
{
	answer(owner, question, json_pack("{ss}", "need", "auth"));
}

static void base_progress(void *owner, int vertex, json_t *msg)
{
	struct build_session *s = owner;
	if (!s->vertices) {
		say(s, msg);
		return;
	}
	scoped(json) json_t *status = base_status(vertex, msg, clock_real_ns());
	if (status) {
		say(s, status);
	}
}

static void base_idle(void *owner)
{
	free_if_over(owner);
}

static int on_image(struct build_session *s, const json_t *msg, struct err *e)
{
	json_t *auth = json_object_get(msg, "auth");
	const struct base_question q = {
		.number = number_of(msg),
		.name = json_str(msg, "name"),
		.platform = json_str(msg, "platform"),
		.pull = json_bool(msg, "pull"),
		.local = json_bool(msg, "local"),
		.vertex = (int)json_i64(msg, "vertex", 0),
		/* its client has them, and is asked only when something is pulled */
		.ask_auth = *json_str(s->options, "session") && !auth,
		.auth = json_is_object(auth) ? auth : NULL,
	};
	base_images_ask(s->bases, &q);
	return 0;
}

/* --- cache and results --- */

/* A layer that this or another build has just made, and not recorded yet: that is done with this
 * one's, too. */
static const char *find_pending(struct build_session *s, const char *key)
{
	list_each (pos, &s->builder->sessions) {
		const struct build_session *other = container_of(pos, struct build_session, node);
		const char *diff_id = pending_find(other->pending, key);
		if (diff_id) {
			pending_add(s->pending, diff_id);
			return diff_id;
		}
	}
	return NULL;
}

static int on_cache(struct build_session *s, const json_t *msg, struct err *e)
{
	const char *key = json_str(msg, "key");
	const struct cache_entry *c = builder_cache_get(s->builder, key);
	const char *diff_id = c ? c->diff_id : find_pending(s, key);
	json_t *found = json_object();
	if (diff_id && *diff_id) {
		json_put_str(found, "diff_id", diff_id);
		json_put(found, "dir", layer_dir(s, diff_id));
		json_put(found, "created", json_integer(c ? c->made_ns : clock_real_ns()));
	}
	answer(s, number_of(msg), found);
	return 0;
}

static int on_cache_put(struct build_session *s, const json_t *msg, struct err *e)
{
	const char *diff_id = json_str(msg, "diff_id");
	if (!pending_add_key(s->pending, msg)) {
		if (!image_has_layer(s->builder->d.images, diff_id, NULL)) {
			return err_set(e, ERR_INVALID, "the layer is not known");
		}
		if (builder_cache_put_step(s->builder, msg, e) < 0) {
			return -1;
		}
	}
	answer(s, number_of(msg), json_object());
	return 0;
}

static int on_add_layer(struct build_session *s, const json_t *msg, struct err *e)
{
	struct image_store *images = s->builder->d.images;
	const char *tmp = json_str(msg, "tmp");
	const char *diff_id = json_str(msg, "diff_id");
	size_t n = strlen(s->tmp_name);
	if (strncmp(tmp, s->tmp_name, n) != 0 || tmp[n] != '/') {
		return err_set(e, ERR_INVALID, "the layer is not in the build's directory");
	}
	if (image_add_layer_early(images, tmp, diff_id, json_i64(msg, "size", 0), e) < 0) {
		return -1;
	}
	if (!image_has_layer(images, diff_id, NULL)) {
		pending_add(s->pending, diff_id);
	}
	json_t *added = json_object();
	json_put(added, "dir", layer_dir(s, diff_id));
	answer(s, number_of(msg), added);
	return 0;
}

static int on_settle(struct build_session *s, const json_t *msg, struct err *e)
{
	if (pending_settle(s->pending, s->builder, e) < 0) {
		return -1;
	}
	answer(s, number_of(msg), json_object());
	return 0;
}

static int answer_or(struct build_session *s, const json_t *msg, json_t *take_answer)
{
	if (take_answer) {
		answer(s, number_of(msg), take_answer);
	}
	return take_answer ? 0 : -1;
}

static int on_add_image(struct build_session *s, const json_t *msg, struct err *e)
{
	return answer_or(s, msg, build_add_image(s->builder, msg, e));
}

static int on_add_index(struct build_session *s, const json_t *msg, struct err *e)
{
	return answer_or(s, msg, build_add_index(s->builder, msg, e));
}

static int on_name_digest(struct build_session *s, const json_t *msg, struct err *e)
{
	return answer_or(s, msg, build_name_digest(s->builder, msg, e));
}

static int on_registry(struct build_session *s, const json_t *msg, struct err *e)
{
	json_t *auths = json_object_get(s->options, "auths");
	return answer_or(s, msg, build_registry(s->builder, msg, auths, e));
}

static int on_blobs(struct build_session *s, const json_t *msg, struct err *e)
{
	return answer_or(s, msg, build_blobs(s->builder, msg, e));
}

static int on_learn_blob(struct build_session *s, const json_t *msg, struct err *e)
{
	return answer_or(s, msg, build_learn_blob(s->builder, msg, e));
}

static int on_forget_blob(struct build_session *s, const json_t *msg, struct err *e)
{
	return answer_or(s, msg, build_forget_blob(s->builder, msg, e));
}

/* --- pushes --- */

static void push_progress(void *owner, json_t *msg)
{
	struct build_session *s = owner;
	base_progress(s, s->push_vertex, msg);
}

static void push_done(void *owner, json_t *take_answer, const struct err *e)
{
	struct build_session *s = owner;
	s->push = NULL;
	if (!s->job) {
		json_decref(take_answer);
		free_if_over(s);
	} else if (take_answer) {
		answer(s, s->push_question, take_answer);
	} else {
		answer_error(s, s->push_question, e);
	}
}

static int on_push(struct build_session *s, const json_t *msg, struct err *e)
{
	static const struct build_push_handlers handlers = {push_progress, push_done};
	if (s->push) {
		return err_set(e, ERR_BUSY, "the build is pushing already");
	}
	s->push_question = number_of(msg);
	s->push_vertex = (int)json_i64(msg, "vertex", 0);
	s->push = build_push_start(
		s->builder, msg, json_object_get(s->options, "auths"), &handlers, s, e);
	return s->push ? 0 : -1;
}

/* --- network --- */

static int attach(struct build_session *s, struct network *w, int netns_fd, struct err *e)
{
	char name[ID_SHORT_LEN + 7];
	snprintf(name, sizeof(name), "build-%.12s", s->id);
	const struct endpoint_config config = {
		.container_id = s->id, .container_name = name, .hostname = name};
	if (network_attach(s->builder->d.networks, w, netns_fd, &config, &s->endpoint, NULL, e) <
		0) {
		return -1;
	}
	s->attached = true;
	s->dns = network_uses_dns(w);
	return s->dns ? network_dns_start(s->builder->d.networks, s->id, netns_fd, e) : 0;
}

static int open_worker_fd(const struct build_session *s, int fd, struct err *e)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", job_pid(s->job), fd);
	int netns = open(path, O_RDONLY | O_CLOEXEC);
	return netns < 0 ? err_sys(e, errno, "cannot open the build's network namespace") : netns;
}

static int on_network(struct build_session *s, const json_t *msg, struct err *e)
{
	struct network_set *networks = s->builder->d.networks;
	const char *mode = json_str(msg, "mode");
	const struct strv none = STRV_INIT;
	if (strcmp(mode, "host") != 0) {
		if (s->attached) {
			return err_set(e, ERR_INVALID, "the build is on a network already");
		}
		struct network *w =
			network_find(networks, strcmp(mode, "default") == 0 ? "bridge" : mode, e);
		if (!w) {
			return err_wrap(e, "the network of the build");
		}
		scoped(close) int netns = open_worker_fd(s, (int)json_i64(msg, "fd", -1), e);
		if (netns < 0 || attach(s, w, netns, e) < 0) {
			return -1;
		}
	}
	scoped(free) char *resolv = network_resolv_conf(networks, s->dns, &none, &none, &none);
	answer(s, number_of(msg),
		json_pack("{ss ss}", "resolv", resolv, "gateway", s->endpoint.gateway));
	return 0;
}

/* Here, because the kernel forgets the handlers of a binfmt_misc that is mounted in a worker's
 * namespace only. */
static int on_emulate(struct build_session *s, const json_t *msg, struct err *e)
{
	if (oci_emulate(json_str(msg, "arch"), e) < 0) {
		return -1;
	}
	answer(s, number_of(msg), json_object());
	return 0;
}

/* --- the job --- */

static void on_question(struct build_session *s, const char *ask, const json_t *msg)
{
	static const struct {
		const char *name;
		int (*answer)(struct build_session *s, const json_t *msg, struct err *e);
	} questions[] = {
		{"add-image", on_add_image},
		{"add-index", on_add_index},
		{"add-layer", on_add_layer},
		{"blobs", on_blobs},
		{"cache", on_cache},
		{"cache-put", on_cache_put},
		{"emulate", on_emulate},
		{"forget-blob", on_forget_blob},
		{"image", on_image},
		{"learn-blob", on_learn_blob},
		{"name-digest", on_name_digest},
		{"network", on_network},
		{"registry", on_registry},
		{"settle", on_settle},
		{"push", on_push},
	};
	struct err e = {0};
	for (size_t k = 0; k < sizeof(questions) / sizeof(*questions); k++) {
		if (strcmp(questions[k].name, ask) == 0) {
			if (questions[k].answer(s, msg, &e) < 0) {
				answer_error(s, number_of(msg), &e);
			}
			return;
		}
	}
	(void)err_set(&e, ERR_INVALID, "a build cannot ask for %.32s", ask);
	answer_error(s, number_of(msg), &e);
}

static void on_message(void *owner, struct job *j, json_t *msg)
{
	struct build_session *s = owner;
	const char *ask = json_str(msg, "ask");
	if (*ask) {
		on_question(s, ask, msg);
	} else if (json_object_get(msg, "accepted")) {
		s->handlers.accepted(s->owner);
	} else if (json_object_get(msg, "exit_code")) {
		s->exit_code = (int)json_i64(msg, "exit_code", 1);
	} else {
		say(s, msg);
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
	if (cgroup_destroy(s->cgroup) < 0) {
		log_warning("build", "cgroup-stays", "group", s->cgroup, NULL);
	}
	scoped(free) char *dir = xasprintf("%s/tmp", image_layers_dir(b->d.images));
	builder_remove_trees(b, dir, json_pack("[s]", s->tmp_name));
}

static void finish_failed(struct build_session *s, const struct err *e)
{
	if (s->quiet && s->quiet_text.len) {
		say_quietly(s, buf_str(&s->quiet_text));
	}
	s->handlers.done(s->owner, NULL, s->exit_code ? s->exit_code : 1, e);
	free_if_over(s);
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
	free_if_over(s);
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
		free_if_over(s);
		return;
	}
	log_warning("build", "layers-lost", "id", s->id, "error", why.msg, NULL);
	free_if_over(s);
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
		free_if_over(s);
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
		base_answer, base_need_auth, base_progress, base_idle};
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
		free_if_over(s);
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
