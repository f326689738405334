#include "user/password.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"
#include "job/job.h"

struct password_desk {
	struct job_pool *jobs;
	struct password_ask *waiting[PASSWORD_WAITING_MAX]; /* the first comes next */
	size_t n_waiting;
	struct list running;
	unsigned n_running;
};

struct password_ask {
	struct list node;
	struct password_desk *desk; /* NULL: the desk has gone */
	json_t *request;            /* NULL once it runs */
	password_fn *fn;            /* NULL: forgotten */
	void *owner;
};

struct password_desk *password_desk_new(struct job_pool *jobs)
{
	struct password_desk *d = xnew(struct password_desk);
	d->jobs = jobs;
	list_init(&d->running);
	return d;
}

static void ask_free(struct password_ask *a)
{
	list_remove(&a->node);
	json_decref(a->request);
	free(a);
}

void password_desk_free(struct password_desk *d)
{
	if (!d) {
		return;
	}
	for (size_t i = 0; i < d->n_waiting; i++) {
		ask_free(d->waiting[i]);
	}
	list_each_safe (pos, &d->running) {
		struct password_ask *a = container_of(pos, struct password_ask, node);
		list_remove(pos);
		a->desk = NULL;
		a->fn = NULL;
	}
	free(d);
}

static void start_next(struct password_desk *d);

static void answered(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct password_ask *a = owner;
	struct password_desk *d = a->desk;
	const struct password_answer answer = {
		json_str(result, "hash"), json_i64(result, "value", 0)};
	if (d) {
		list_remove(&a->node);
		d->n_running--;
	}
	if (a->fn) {
		a->fn(a->owner, e ? NULL : &answer, e);
	}
	ask_free(a);
	if (d) {
		start_next(d);
	}
}

static int start(struct password_desk *d, struct password_ask *a, struct err *e)
{
	static const struct job_handlers handlers = {NULL, NULL, answered};
	if (!job_start(d->jobs, "password", TAKE(a->request), -1, false, &handlers, a, e)) {
		return -1;
	}
	list_append(&d->running, &a->node);
	d->n_running++;
	return 0;
}

static void start_next(struct password_desk *d)
{
	while (d->n_running < PASSWORD_JOBS && d->n_waiting > 0) {
		struct err e;
		struct password_ask *a = d->waiting[0];
		d->n_waiting--;
		for (size_t i = 0; i < d->n_waiting; i++) {
			d->waiting[i] = d->waiting[i + 1];
		}
		if (a->fn && start(d, a, &e) == 0) {
			continue;
		}
		if (a->fn) {
			a->fn(a->owner, NULL, &e);
		}
		ask_free(a);
	}
}

static struct password_ask *ask(
	struct password_desk *d, json_t *take_request, password_fn *fn, void *owner, struct err *e)
{
	if (!take_request) {
		(void)err_set(e, ERR_INVALID, "a password must be UTF-8");
		return NULL;
	}
	struct password_ask *a = xnew(struct password_ask);
	a->desk = d;
	a->request = take_request;
	a->fn = fn;
	a->owner = owner;
	list_init(&a->node);
	bool full = d->n_waiting >= PASSWORD_WAITING_MAX;
	if (full) {
		(void)err_set(e, ERR_BUSY, "too many sign in at the same time: try again later");
	}
	if (full || (d->n_running < PASSWORD_JOBS && start(d, a, e) < 0)) {
		ask_free(a);
		return NULL;
	}
	if (a->request) {
		d->waiting[d->n_waiting++] = a;
	}
	return a;
}

struct password_ask *password_hash(
	struct password_desk *d, const char *password, password_fn *fn, void *owner, struct err *e)
{
	size_t n = strlen(password);
	if (n < PASSWORD_BYTES_MIN || n > PASSWORD_BYTES_MAX) {
		(void)err_set(e, ERR_INVALID, "a password has %d to %d bytes", PASSWORD_BYTES_MIN,
			PASSWORD_BYTES_MAX);
		return NULL;
	}
	return ask(d, json_pack("{ss ss}", "do", "hash", "password", password), fn, owner, e);
}

struct password_ask *password_check(struct password_desk *d, const char *password, const char *hash,
	password_fn *fn, void *owner, struct err *e)
{
	if (strlen(password) > PASSWORD_BYTES_MAX) {
		hash = NULL; /* as long as any, and wrong */
		password = "";
	}
	return ask(d,
		json_pack("{ss ss ss}", "do", "check", "password", password, "hash",
			hash ? hash : ""),
		fn, owner, e);
}

struct password_ask *password_check_code(struct password_desk *d, const char *code,
	const char *secret, password_fn *fn, void *owner, struct err *e)
{
	return ask(d, json_pack("{ss ss ss}", "do", "code", "code", code, "secret", secret), fn,
		owner, e);
}

void password_forget(struct password_ask *a)
{
	if (a) {
		a->fn = NULL;
	}
}

void totp_secret_new(char ret[static 33])
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	unsigned char bytes[TOTP_SECRET_BYTES];
	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) {
		fputs("getrandom failed\n", stderr);
		abort();
	}
	for (size_t i = 0; i < 32; i++) { /* RFC 4648 6: five bits each */
		size_t bit = i * 5;
		unsigned pair = (unsigned)bytes[bit / 8] << 8 |
				(bit / 8 + 1 < sizeof(bytes) ? bytes[bit / 8 + 1] : 0);
		ret[i] = letters[pair >> (11 - bit % 8) & 31];
	}
	ret[32] = '\0';
}
