/* The worker's questions (worker/build.h lists them), answered from the stores of the daemon. */
#include "build/session_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "build/base.h"
#include "build/builder.h"
#include "build/claims.h"
#include "build/pending.h"
#include "build/results.h"
#include "image/image.h"
#include "job/job.h"
#include "job/wire.h"
#include "oci/emulate.h"

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

/* --- images --- */

void session_base_answer(
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

void session_need_auth(void *owner, json_int_t question)
{
	answer(owner, question, json_pack("{ss}", "need", "auth"));
}

void session_progress(void *owner, int vertex, json_t *msg)
{
	struct build_session *s = owner;
	if (!s->vertices) {
		session_say(s, msg);
		return;
	}
	scoped(json) json_t *status = base_status(vertex, msg, clock_real_ns());
	if (status) {
		session_say(s, status);
	}
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

void session_claim_granted(void *owner, json_int_t question, bool taken)
{
	answer(owner, question, json_pack("{sb}", "taken", taken));
}

void session_claim_log(void *owner, int vertex, const json_t *log)
{
	json_t *own = json_copy((json_t *)log);
	json_put(own, "vertex", json_integer(vertex));
	session_say(owner, json_pack("{so}", "log", own));
}

static int on_claim(struct build_session *s, const json_t *msg, struct err *e)
{
	const char *key = json_str(msg, "key");
	bool wait = json_bool(msg, "wait");
	if (!text_is_hex(key, CACHE_KEY_LEN)) {
		return err_set(e, ERR_INVALID, "a cache key must be 64 hex digits");
	}
	bool taken = claims_take(s->builder->claims, s, key, wait ? number_of(msg) : -1);
	if (s->vertices) {
		claims_note(s->builder->claims, s, key, (int)json_i64(msg, "vertex", 0),
			session_claim_log);
	}
	if (taken || !wait) {
		session_claim_granted(s, number_of(msg), taken);
	}
	return 0;
}

static int on_unclaim(struct build_session *s, const json_t *msg, struct err *e)
{
	claims_drop(s->builder->claims, s, json_str(msg, "key"));
	answer(s, number_of(msg), json_object());
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

static int on_layer(struct build_session *s, const json_t *msg, struct err *e)
{
	const char *diff_id = json_str(msg, "diff_id");
	json_t *found = json_object();
	if (image_has_layer(s->builder->d.images, diff_id, NULL)) {
		json_put(found, "dir", layer_dir(s, diff_id));
	}
	answer(s, number_of(msg), found);
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
	session_progress(s, s->push_vertex, msg);
}

static void push_done(void *owner, json_t *take_answer, const struct err *e)
{
	struct build_session *s = owner;
	s->push = NULL;
	if (!s->job) {
		json_decref(take_answer);
		session_free_if_over(s);
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

/* --- which --- */

void session_answer(struct build_session *s, const char *ask, const json_t *msg)
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
		{"claim", on_claim},
		{"emulate", on_emulate},
		{"forget-blob", on_forget_blob},
		{"image", on_image},
		{"layer", on_layer},
		{"learn-blob", on_learn_blob},
		{"name-digest", on_name_digest},
		{"network", on_network},
		{"registry", on_registry},
		{"settle", on_settle},
		{"push", on_push},
		{"unclaim", on_unclaim},
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
