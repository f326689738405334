/* Pull, load, import and commit: one worker each, and the daemon's answers to what it asks.
 *
 * Invariants
 * 1. A layer that is being fetched has exactly one entry in s->claims, owned by a running work.
 * 2. A work that waits for a claim (waiting_for) holds none itself: nobody waits in a circle.
 * 3. handlers.done is called once, after the job's done, and the work is freed after it.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "image/blobs.h"
#include "image/store.h"
#include "image/trust.h"
#include "job/job.h"
#include "job/wire.h"
#include "store/store.h"

#define PLATFORM_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-"

enum work_kind { WORK_PULL, WORK_LOAD, WORK_IMPORT, WORK_COMMIT };

static const struct {
	const char *job, *event;
} kinds[] = {
	[WORK_PULL] = {"pull", "pull"},
	[WORK_LOAD] = {"load", "load"},
	[WORK_IMPORT] = {"import", "import"},
	[WORK_COMMIT] = {"commit", "tag"},
};

struct image_work {
	struct list node;
	struct image_store *store;
	enum work_kind kind;
	struct job *job;         /* NULL once it is done: the image goes to the disk */
	struct image_hold *hold; /* of the layers it was told of, and those it brought */
	struct image_work_handlers handlers;
	void *owner;
	char tmp_name[24];                /* below layers/tmp */
	char waiting_for[DIGEST_LEN + 1]; /* a diff id, or "" */
	struct ref ref;                   /* of a pull */
	bool all_tags, newer;             /* of a pull: ref names the repository; something came */
	struct strv added;                /* diff ids */
	char image_id[DIGEST_LEN + 1];    /* the last one that came */
};

static void progress(struct image_work *w, json_t *take_msg)
{
	if (w->handlers.progress) {
		w->handlers.progress(w->owner, take_msg);
	}
	json_decref(take_msg);
}

/* --- claims --- */

static void answer(struct image_work *w, const char *state)
{
	job_send(w->job, json_pack("{s{ss}}", "answer", "state", state));
}

static void answer_have(struct image_work *w, const char *diff_id)
{
	image_hold_layer(w->hold, diff_id);
	answer(w, "have");
}

static void claim(struct image_work *w, const char *diff_id)
{
	struct image_claim *c = xnew(struct image_claim);
	c->owner = w;
	map_put(w->store->claims, diff_id, c);
	answer(w, "go");
}

static void answer_layer(struct image_work *w, const json_t *msg)
{
	const char *diff_id = json_str(msg, "diff_id");
	const struct image_claim *c = map_get(w->store->claims, diff_id);
	if (!ref_is_digest(diff_id)) {
		answer(w, "go"); /* a bug of the worker: image_add_layer will refuse what comes of
				    it */
	} else if (image_has_layer(w->store, diff_id, NULL)) {
		answer_have(w, diff_id);
	} else if (!c) {
		claim(w, diff_id);
	} else if (c->owner == w) { /* a second try, from another mirror */
		answer(w, "go");
	} else if (!json_bool(msg, "wait")) {
		answer(w, "busy");
	} else {
		snprintf(w->waiting_for, sizeof(w->waiting_for), "%s", diff_id);
	}
}

/* The layer came, or its owner failed: those who wait learn it, and in the second case one of them
 * takes over. */
static void release_claim(struct image_store *s, const char *diff_id)
{
	free(map_remove(s->claims, diff_id));
	bool have = image_has_layer(s, diff_id, NULL);
	list_each (pos, &s->works) {
		struct image_work *w = container_of(pos, struct image_work, node);
		if (strcmp(w->waiting_for, diff_id) != 0) {
			continue;
		}
		if (!have && map_get(s->claims, diff_id)) {
			continue;
		}
		*w->waiting_for = '\0';
		if (have) {
			answer_have(w, diff_id);
		} else {
			claim(w, diff_id);
		}
	}
}

static void release_claims_of(struct image_work *w)
{
	scoped(strv) struct strv held = STRV_INIT;
	size_t pos = 0;
	const char *diff_id;
	struct image_claim *c;
	while ((c = map_next(w->store->claims, &pos, &diff_id))) {
		if (c->owner == w) {
			strv_add(&held, diff_id);
		}
	}
	for (size_t k = 0; k < held.n; k++) {
		release_claim(w->store, held.v[k]);
	}
}

static void answer_add_layer(struct image_work *w, const json_t *msg)
{
	struct err e;
	const char *diff_id = json_str(msg, "diff_id");
	const char *tmp = json_str(msg, "tmp");
	size_t n = strlen(w->tmp_name);
	bool own = strncmp(tmp, w->tmp_name, n) == 0 && tmp[n] == '/';
	if (!own) {
		(void)err_set(&e, ERR_INVALID, "the layer is not in the job's directory");
	}
	int (*add)(struct image_store *, const char *, const char *, int64_t, struct err *) =
		w->kind == WORK_PULL ? image_add_pulled_layer : image_add_layer;
	if (!own || add(w->store, tmp, diff_id, json_i64(msg, "size", 0), &e) < 0) {
		job_send(w->job, json_pack("{so}", "error", job_err_to_json(&e)));
		return;
	}
	image_hold_layer(w->hold, diff_id);
	strv_add(&w->added, diff_id);
	job_send(w->job, json_pack("{s{}}", "answer"));
	const struct image_claim *c = map_get(w->store->claims, diff_id);
	if (c && c->owner == w) {
		release_claim(w->store, diff_id);
	}
}

/* --- results --- */

/* Digest references: the manifest's digest names the image for good. */
static int set_digest_ref(struct image_store *s, const char *canonical, const char *digest,
	struct image *i, struct err *e)
{
	struct ref r;
	char text[REF_TEXT_MAX];
	if (!*digest) {
		return 0;
	}
	if (!ref_is_digest(digest) || ref_parse(canonical, &r, e) < 0) {
		return err_set(e, ERR_INVALID, "the worker sent a wrong digest");
	}
	*r.tag = '\0';
	snprintf(r.digest, sizeof(r.digest), "%s", digest);
	return image_ref_set(s, ref_canonical(&r, text), i, e);
}

/* x: the index that the names mean beside the image, or NULL. */
static int set_refs(struct image_store *s, const json_t *record, struct image *i,
	const struct image_index *x, struct err *e)
{
	size_t k;
	json_t *item;
	json_array_foreach (json_object_get(record, "references"), k, item) {
		struct ref r;
		char canonical[REF_TEXT_MAX];
		const char *text = json_string_value(item);
		if (!text || ref_parse(text, &r, e) < 0) {
			return err_set(e, ERR_INVALID, "the worker sent a wrong reference");
		}
		ref_canonical(&r, canonical);
		if (!*r.digest && (x ? image_ref_set_index(s, canonical, x, e)
				     : image_ref_set(s, canonical, i, e)) < 0) {
			return -1;
		}
		if (set_digest_ref(s, canonical, json_str(record, "digest"), i, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static void tell_pulled(struct image_work *w, const json_t *record, const struct ref *ref,
	const struct image *before, struct image *i)
{
	char familiar[REF_TEXT_MAX], name[REF_TEXT_MAX];
	ref_familiar(ref, familiar);
	progress(w, json_pack("{s s+}", "status", "Digest: ", json_str(record, "digest")));
	w->newer = w->newer || before != i;
	image_event(w->store, kinds[w->kind].event, familiar, i, ref_familiar_name(ref, name));
}

/* After all of them. */
static void tell_status(struct image_work *w)
{
	char familiar[REF_TEXT_MAX];
	progress(w, json_pack("{s s+}", "status",
			    w->newer ? "Status: Downloaded newer image for "
				     : "Status: Image is up to date for ",
			    ref_familiar(&w->ref, familiar)));
}

static void tell_loaded(struct image_work *w, const json_t *record, struct image *i)
{
	size_t k;
	json_t *item;
	if (json_array_size(json_object_get(record, "references")) == 0) {
		progress(w, json_pack("{s s++}", "stream", "Loaded image ID: ", i->id, "\n"));
	}
	json_array_foreach (json_object_get(record, "references"), k, item) {
		struct ref r;
		struct err ignored;
		char familiar[REF_TEXT_MAX];
		if (ref_parse(json_string_value(item), &r, &ignored) == 0) {
			progress(w, json_pack("{s s++}", "stream",
					    "Loaded image: ", ref_familiar(&r, familiar), "\n"));
		}
	}
	image_event(w->store, kinds[w->kind].event, i->id, i, i->id);
}

/* {"signed": key id}: what the worker has verified of the digest that it gives. */
static int set_signed(struct image_store *s, const json_t *record, struct image *i, struct err *e)
{
	struct ref r;
	char canonical[REF_TEXT_MAX];
	const char *first =
		json_string_value(json_array_get(json_object_get(record, "references"), 0));
	const char *key_id = json_str(record, "signed");
	if (!*key_id || !first) {
		return 0;
	}
	if (ref_parse(first, &r, e) < 0) {
		return -1;
	}
	*r.tag = '\0';
	snprintf(r.digest, sizeof(r.digest), "%s", json_str(record, "digest"));
	return image_trust_record(s, ref_canonical(&r, canonical), key_id, i, e);
}

static struct image *record_image(struct image_work *w, const json_t *record, struct err *e)
{
	const json_t *config = json_object_get(record, "config");
	char canonical[REF_TEXT_MAX];
	struct ref ref = w->ref; /* of all tags, the record says which */
	const char *own =
		json_string_value(json_array_get(json_object_get(record, "references"), 0));
	if (w->all_tags && (!own || ref_parse(own, &ref, e) < 0)) {
		(void)err_set(e, ERR_INVALID, "the worker sent a wrong reference");
		return NULL;
	}
	struct ref by_digest = ref;
	if (*by_digest.digest) {
		*by_digest.tag = '\0';
	}
	const struct image *before =
		w->kind == WORK_PULL ? map_get(w->store->refs, ref_canonical(&by_digest, canonical))
				     : NULL;
	struct image *i =
		image_add(w->store, json_str(record, "config"), json_string_length(config), e);
	if (!i || set_refs(w->store, record, i, NULL, e) < 0) {
		return NULL;
	}
	if (w->kind == WORK_PULL && set_signed(w->store, record, i, e) < 0) {
		return NULL;
	}
	image_blobs_learn_all(w->store, i->id, json_object_get(record, "registry"));
	if (w->kind == WORK_PULL) {
		tell_pulled(w, record, &ref, before, i);
	} else if (w->kind == WORK_LOAD) {
		tell_loaded(w, record, i);
	} else if (w->kind == WORK_IMPORT ||
		   json_array_size(json_object_get(record, "references"))) {
		image_event(w->store, kinds[w->kind].event, i->id, i, i->id);
	}
	return i;
}

/* Several platforms of one archive that stay together. */
static struct image *record_index(struct image_work *w, const json_t *record, struct err *e)
{
	scoped(strv) struct strv ids = STRV_INIT;
	const struct image_index *x;
	size_t k;
	json_t *member;
	json_array_foreach (json_object_get(record, "members"), k, member) {
		const json_t *config = json_object_get(member, "config");
		const struct image *i = image_add(
			w->store, json_string_value(config), json_string_length(config), e);
		if (!i) {
			return NULL;
		}
		strv_add(&ids, i->id);
	}
	if (image_index_add(w->store, json_str(record, "index"), &ids, &x, e) < 0 ||
		set_refs(w->store, record, x->shown, x, e) < 0) {
		return NULL;
	}
	tell_loaded(w, record, x->shown);
	return x->shown;
}

/* Of all tags of a repository: what is there stays when a later one cannot be pulled. */
static void answer_add_image(struct image_work *w, const json_t *msg)
{
	struct err e;
	const struct image *i = NULL;
	if (!w->all_tags) {
		(void)err_set(&e, ERR_INVALID, "only a pull of all tags gives images one by one");
	} else {
		i = record_image(w, json_object_get(msg, "image"), &e);
	}
	if (!i) {
		job_send(w->job, json_pack("{so}", "error", job_err_to_json(&e)));
		return;
	}
	snprintf(w->image_id, sizeof(w->image_id), "%s", i->id);
	job_send(w->job, json_pack("{s{}}", "answer"));
}

static void on_message(void *owner, struct job *j, json_t *msg)
{
	struct image_work *w = owner;
	const char *ask = json_str(msg, "ask");
	if (strcmp(ask, "layer") == 0) {
		answer_layer(w, msg);
	} else if (strcmp(ask, "add-layer") == 0) {
		answer_add_layer(w, msg);
	} else if (strcmp(ask, "add-image") == 0) {
		answer_add_image(w, msg);
	} else if (*ask) {
		struct err e;
		(void)err_set(&e, ERR_INVALID, "an image job cannot ask for %.32s", ask);
		job_send(j, json_pack("{so}", "error", job_err_to_json(&e)));
	} else {
		progress(w, json_incref(msg));
	}
}

static struct image *record_images(struct image_work *w, const json_t *result, struct err *e)
{
	struct image *last = *w->image_id ? map_get(w->store->images, w->image_id) : NULL;
	size_t k;
	json_t *record;
	json_array_foreach (json_object_get(result, "images"), k, record) {
		last = w->kind == WORK_LOAD && json_object_get(record, "index")
			       ? record_index(w, record, e)
			       : record_image(w, record, e);
		if (!last) {
			return NULL;
		}
	}
	if (!last && *w->image_id) {
		(void)err_set(e, ERR_CONFLICT, "the image %.19s was removed at once", w->image_id);
	} else if (!last) {
		(void)err_set(e, ERR_INVALID,
			w->kind == WORK_PULL ? "the repository has no tags"
					     : "the archive holds no image");
	} else if (w->kind == WORK_PULL) {
		tell_status(w);
	}
	return last;
}

static void finish(struct image_work *w, struct image *i, const struct err *e)
{
	struct image_store *s = w->store;
	w->handlers.done(w->owner, i, i ? NULL : e);
	image_hold_free(w->hold);
	strv_deinit(&w->added);
	free(w);
	if (!i) {
		image_collect(s); /* layers of a failed pull that no image names */
	}
}

static void synced(void *owner, const struct err *failed)
{
	struct image_work *w = owner;
	struct image *i = map_get(w->store->images, w->image_id);
	struct err e = {0};
	if (failed) {
		e = *failed;
	} else if (!i) {
		(void)err_set(&e, ERR_CONFLICT, "the image %.19s was removed at once", w->image_id);
	}
	finish(w, failed ? NULL : i, &e);
}

static void on_done(void *owner, struct job *j, json_t *result, const struct err *failed)
{
	struct image_work *w = owner;
	struct err e = failed ? *failed : (struct err){0};
	const struct image *i = result ? record_images(w, result, &e) : NULL;
	w->job = NULL;
	list_remove(&w->node);
	release_claims_of(w);
	image_discard(w->store, w->tmp_name, true);
	for (size_t k = 0; !i && e.kind == ERR_INVALID && k < w->added.n; k++) {
		image_spare_not(w->store, w->added.v[k]); /* an image that is wrong stays wrong */
	}
	if (!i) {
		finish(w, NULL, &e);
		return;
	}
	snprintf(w->image_id, sizeof(w->image_id), "%s", i->id);
	image_sync(w->store, synced, w);
}

/* --- start --- */

/* The layers of the container that is committed: it may be removed, and its image, meanwhile. */
static void hold_base(struct image_work *w, const json_t *request)
{
	size_t k;
	json_t *diff_id;
	const json_t *rootfs = json_object_get(json_object_get(request, "base"), "rootfs");
	json_array_foreach (json_object_get(rootfs, "diff_ids"), k, diff_id) {
		image_hold_layer(w->hold, json_string_value(diff_id));
	}
}

static int make_tmp(struct image_work *w, json_t *request, struct err *e)
{
	char id[ID_LEN + 1];
	id_new(id);
	snprintf(w->tmp_name, sizeof(w->tmp_name), "job-%.16s", id);
	scoped(free) char *dir = xasprintf("%s/tmp/%s", w->store->layers_dir, w->tmp_name);
	if (mkdir(dir, 0700) < 0) {
		return err_sys(e, errno, "cannot make %s", dir);
	}
	json_put(request, "tmp", json_pack("{ss ss}", "dir", dir, "name", w->tmp_name));
	return 0;
}

static struct image_work *start(struct image_store *s, enum work_kind kind, json_t *take_request,
	const struct ref *ref, const struct image_work_handlers *h, void *owner, struct err *e)
{
	static const struct job_handlers handlers = {on_message, NULL, on_done};
	scoped(json) json_t *request = take_request;
	struct image_work *w = xnew(struct image_work);
	w->store = s;
	w->kind = kind;
	w->handlers = *h;
	w->owner = owner;
	if (ref) {
		w->ref = *ref;
	}
	if (make_tmp(w, request, e) < 0) {
		free(w);
		return NULL;
	}
	w->hold = image_hold_new(s);
	hold_base(w, request);
	int body = kind == WORK_PULL || kind == WORK_COMMIT ? -1 : JOB_BODY_PIPE;
	w->job = job_start(s->jobs, kinds[kind].job, TAKE(request), body, false, &handlers, w, e);
	if (!w->job) {
		image_discard(s, w->tmp_name, true);
		image_hold_free(w->hold);
		free(w);
		return NULL;
	}
	list_append(&s->works, &w->node);
	return w;
}

static struct image_work *pull(struct image_store *s, const struct ref *ref, bool all_tags,
	const char *platform, json_t *take_auth, const struct image_work_handlers *h, void *owner,
	struct err *e)
{
	scoped(json) json_t *auth = take_auth;
	char canonical[REF_TEXT_MAX];
	if (platform[strspn(platform, PLATFORM_LETTERS)]) {
		(void)err_set(e, ERR_INVALID,
			"\"%.64s\" is an invalid platform: expected OS/ARCHITECTURE[/VARIANT]",
			platform);
		return NULL;
	}
	json_t *request = json_object();
	json_put_str(request, "reference", ref_canonical(ref, canonical));
	json_put(request, "all_tags", json_boolean(all_tags));
	json_put_str(request, "platform", platform);
	json_put(request, "auth", TAKE(auth));
	json_put(request, "registry", json_incref(s->registry_config));
	json_put(request, "signature",
		trust_request(json_object_get(s->registry_config, "image-signatures"), ref));
	scoped(free) char *partial = xasprintf("%s/%s", s->layers_dir, IMAGE_PARTIAL_DIR);
	json_put_str(request, "partial", partial);
	struct image_work *w = start(s, WORK_PULL, request, ref, h, owner, e);
	if (w) {
		w->all_tags = all_tags;
	}
	return w;
}

struct image_work *image_pull(struct image_store *s, const char *reference, const char *platform,
	json_t *take_auth, const struct image_work_handlers *h, void *owner, struct err *e)
{
	struct ref ref;
	if (ref_parse(reference, &ref, e) < 0) {
		json_decref(take_auth);
		return NULL;
	}
	ref_default_tag(&ref);
	return pull(s, &ref, false, platform, take_auth, h, owner, e);
}

struct image_work *image_pull_all(struct image_store *s, const char *repository,
	const char *platform, json_t *take_auth, const struct image_work_handlers *h, void *owner,
	struct err *e)
{
	struct ref ref;
	if (ref_parse(repository, &ref, e) < 0) {
		json_decref(take_auth);
		return NULL;
	}
	*ref.tag = *ref.digest = '\0';
	return pull(s, &ref, true, platform, take_auth, h, owner, e);
}

struct image_work *image_load(struct image_store *s, const struct strv *platforms,
	const struct image_work_handlers *h, void *owner, struct err *e)
{
	return start(s, WORK_LOAD, json_pack("{so}", "platforms", json_strv(platforms)), NULL, h,
		owner, e);
}

/* The name that the new image gets, or none for "": the job's list of references. */
static int put_reference(json_t *request, const char *reference, struct err *e)
{
	struct ref ref;
	char canonical[REF_TEXT_MAX];
	json_t *references = json_array();
	json_put(request, "references", references);
	if (!*reference) {
		return 0;
	}
	if (ref_parse(reference, &ref, e) < 0) {
		return -1;
	}
	if (*ref.digest) {
		return err_set(e, ERR_INVALID, "cannot import digest reference");
	}
	ref_default_tag(&ref);
	json_array_append_new(references, json_string(ref_canonical(&ref, canonical)));
	return 0;
}

struct image_work *image_import(struct image_store *s, const char *reference, const char *message,
	const char *platform, const struct strv *changes, const struct image_work_handlers *h,
	void *owner, struct err *e)
{
	scoped(json) json_t *request = json_object();
	json_put_str(request, "message", message);
	json_put_str(request, "platform", platform);
	json_put(request, "changes", json_strv(changes));
	return put_reference(request, reference, e) < 0
		       ? NULL
		       : start(s, WORK_IMPORT, TAKE(request), NULL, h, owner, e);
}

struct image_work *image_commit(struct image_store *s, const char *reference, json_t *take_request,
	const struct image_work_handlers *h, void *owner, struct err *e)
{
	scoped(json) json_t *request = take_request;
	return put_reference(request, reference, e) < 0
		       ? NULL
		       : start(s, WORK_COMMIT, TAKE(request), NULL, h, owner, e);
}

bool image_work_feed(
	struct image_work *w, const char *data, size_t n, void (*drained)(void *owner), void *owner)
{
	return !w->job || job_body_write(w->job, data, n, drained, owner);
}

void image_work_feed_end(struct image_work *w)
{
	if (w->job) {
		job_body_end(w->job);
	}
}

void image_work_cancel(struct image_work *w)
{
	if (w->job) {
		job_cancel(w->job);
	}
}
