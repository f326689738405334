#include "container/storage_attempts.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "container/delay.h"
#include "job/job.h"

#define FIRST_WAIT_MS 2000
#define FAILURES_MAX 6 /* 2, 4, 8, 16, 32 s */
#define ATTEMPTS_MAX 256

struct storage_attempts {
	uv_loop_t *loop;
	struct job_pool *jobs;
	char *root;
	storage_attempt_fn *fn;
	void *owner;
	struct list all;
	size_t n;
};

int64_t storage_attempt_wait_ms(int failures)
{
	return failures < FAILURES_MAX ? (int64_t)FIRST_WAIT_MS << (failures - 1) : -1;
}

struct storage_attempts *storage_attempts_new(
	uv_loop_t *l, struct job_pool *jobs, const char *root, storage_attempt_fn *fn, void *owner)
{
	struct storage_attempts *t = xnew(struct storage_attempts);
	t->loop = l;
	t->jobs = jobs;
	t->root = xstrdup(root);
	t->fn = fn;
	t->owner = owner;
	list_init(&t->all);
	return t;
}

static void drop(struct storage_attempt *a)
{
	list_remove(&a->node);
	a->table->n--;
	delay_cancel(a->again);
	json_decref(a->disk);
	free(a->reason);
	free(a);
}

void storage_attempts_free(struct storage_attempts *t)
{
	if (!t) {
		return;
	}
	list_each_safe (pos, &t->all) {
		drop(container_of(pos, struct storage_attempt, node));
	}
	free(t->root);
	free(t);
}

const struct storage_attempt *storage_attempts_next(
	const struct storage_attempts *t, const struct storage_attempt *prev)
{
	const struct list *next = prev ? prev->node.next : t->all.next;
	return next == &t->all ? NULL : container_of(next, struct storage_attempt, node);
}

json_t *storage_attempts_ended(const struct storage_attempts *t)
{
	json_t *signs = json_array();
	for (const struct storage_attempt *a = NULL; (a = storage_attempts_next(t, a));) {
		if (a->state == STORAGE_ATTEMPT_ENDED || a->state == STORAGE_ATTEMPT_FAILED) {
			json_array_append(signs, json_object_get(a->disk, "sign"));
		}
	}
	return signs;
}

static bool is_among(const json_t *signs, const json_t *sign)
{
	size_t i;
	json_t *one;
	json_array_foreach (signs, i, one) {
		if (json_equal(one, sign)) {
			return true;
		}
	}
	return false;
}

void storage_attempts_keep(struct storage_attempts *t, const json_t *signs)
{
	list_each_safe (pos, &t->all) {
		struct storage_attempt *a = container_of(pos, struct storage_attempt, node);
		if (a->state != STORAGE_ATTEMPT_RUNS &&
			!is_among(signs, json_object_get(a->disk, "sign"))) {
			drop(a);
		}
	}
}

/* --- one attempt --- */

static void due(void *owner)
{
	struct storage_attempt *a = owner;
	a->again = NULL;
	a->state = STORAGE_ATTEMPT_DUE;
	a->table->fn(a->table->owner, NULL, false);
}

/* True when that is news. */
static bool note_reason(struct storage_attempt *a, const char *reason)
{
	bool news = strcmp(a->reason, reason) != 0;
	free(a->reason);
	a->reason = xstrdup(reason);
	return news;
}

static bool failed(struct storage_attempt *a, const struct err *e)
{
	a->failures++;
	a->state = STORAGE_ATTEMPT_FAILED;
	int64_t wait_ms = e->kind == ERR_INVALID ? -1 : storage_attempt_wait_ms(a->failures);
	log_warning("storage", "not_mounted", "device", json_str(a->disk, "node"), "reason", e->msg,
		"again", wait_ms < 0 ? "no" : "yes", NULL);
	if (wait_ms >= 0) {
		a->again = delay_start(a->table->loop, wait_ms, due, a);
	}
	return note_reason(a, e->msg);
}

static void done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct storage_attempt *a = owner;
	bool news = false;
	if (result) {
		const char *reason = json_str(result, "reason");
		a->state = STORAGE_ATTEMPT_ENDED;
		if (*reason) {
			log_warning("storage", "mounted_read_only", "device",
				json_str(a->disk, "node"), "reason", reason, NULL);
		}
		(void)note_reason(a, reason);
	} else {
		news = failed(a, e);
	}
	a->table->fn(a->table->owner, a, news);
}

static struct storage_attempt *find(struct storage_attempts *t, const json_t *mount)
{
	list_each (pos, &t->all) {
		struct storage_attempt *a = container_of(pos, struct storage_attempt, node);
		if (json_equal(json_object_get(a->disk, "sign"), json_object_get(mount, "sign"))) {
			return a;
		}
	}
	return NULL;
}

/* Also with another sign: one disk is mounted by one job at a time. */
static bool is_busy(const struct storage_attempts *t, const char *id)
{
	for (const struct storage_attempt *a = NULL; (a = storage_attempts_next(t, a));) {
		if (a->state == STORAGE_ATTEMPT_RUNS && strcmp(json_str(a->disk, "id"), id) == 0) {
			return true;
		}
	}
	return false;
}

static struct storage_attempt *add(struct storage_attempts *t, const json_t *mount)
{
	struct storage_attempt *a = xnew(struct storage_attempt);
	a->table = t;
	a->disk = json_deep_copy(mount);
	a->reason = xstrdup("");
	list_append(&t->all, &a->node);
	t->n++;
	return a;
}

void storage_attempts_begin(struct storage_attempts *t, const json_t *mount)
{
	static const struct job_handlers handlers = {NULL, NULL, done};
	struct storage_attempt *a = find(t, mount);
	struct err e;
	if (is_busy(t, json_str(mount, "id")) || (a && a->state != STORAGE_ATTEMPT_DUE) ||
		(!a && t->n >= ATTEMPTS_MAX)) {
		return; /* looked at again when that has ended; or it has while the job looked */
	}
	a = a ? a : add(t, mount);
	a->state = STORAGE_ATTEMPT_RUNS;
	json_t *request = json_deep_copy(mount);
	json_put_str(request, "root", t->root);
	if (!job_start(t->jobs, "storage-disk", request, -1, false, &handlers, a, &e)) {
		done(a, NULL, NULL, &e);
	}
}
