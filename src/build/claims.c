/* Invariants
 * 1. Of the claims with one key at most one is held; while others wait for it, one is.
 * 2. The timer runs while somebody waits; the claims are in the order in which they came.
 */
#include "build/claims.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/mem.h"

struct claim {
	void *owner;
	char key[65];
	bool held;
	int vertex;   /* of the step, or 0 */
	json_t *said; /* of who has it: the log so far, or NULL */
	size_t said_bytes;
	json_int_t question; /* while it waits */
	uint64_t until_ms;
};

struct claims {
	uv_timer_t timer;
	struct claim *v;
	size_t n, room;
	uint64_t wait_ms;
	claims_granted_fn *granted;
};

struct claims *claims_new(uv_loop_t *l, uint64_t wait_ms, claims_granted_fn *granted)
{
	struct claims *c = xnew(struct claims);
	c->wait_ms = wait_ms;
	c->granted = granted;
	uv_timer_init(l, &c->timer);
	c->timer.data = c;
	return c;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

void claims_free(struct claims *c)
{
	if (c) {
		for (size_t i = 0; i < c->n; i++) {
			json_decref(c->v[i].said);
		}
		free(c->v);
		uv_close((uv_handle_t *)&c->timer, on_closed);
	}
}

static void remove_at(struct claims *c, size_t i)
{
	json_decref(c->v[i].said);
	c->n--;
	memmove(&c->v[i], &c->v[i + 1], (c->n - i) * sizeof(*c->v));
}

/* The first of that key that is held, or that waits; NULL. */
static struct claim *find(const struct claims *c, const char *key, bool held)
{
	for (size_t i = 0; i < c->n; i++) {
		if (c->v[i].held == held && strcmp(c->v[i].key, key) == 0) {
			return &c->v[i];
		}
	}
	return NULL;
}

/* --- time --- */

static void set_timer(struct claims *c);

static void on_timer(uv_timer_t *timer)
{
	struct claims *c = timer->data;
	for (size_t i = c->n; i > 0; i--) {
		const struct claim *k = &c->v[i - 1];
		if (!k->held && k->until_ms <= uv_now(timer->loop)) {
			c->granted(k->owner, k->question, false);
			remove_at(c, i - 1);
		}
	}
	set_timer(c);
}

static void set_timer(struct claims *c)
{
	uint64_t now = uv_now(c->timer.loop);
	for (size_t i = 0; i < c->n; i++) {
		if (!c->v[i].held) { /* it came first */
			uint64_t until = c->v[i].until_ms;
			uv_timer_start(&c->timer, on_timer, until > now ? until - now : 0, 0);
			return;
		}
	}
	uv_timer_stop(&c->timer);
}

/* --- who has it --- */

bool claims_take(struct claims *c, void *owner, const char *key, json_int_t question)
{
	bool free_now = !find(c, key, true);
	if (!free_now && question < 0) {
		return false;
	}
	if (c->n == c->room) {
		c->room = c->room ? c->room * 2 : 8;
		c->v = xrealloc(c->v, c->room, sizeof(*c->v));
	}
	struct claim *k = &c->v[c->n++];
	*k = (struct claim){.owner = owner,
		.held = free_now,
		.question = question,
		.until_ms = uv_now(c->timer.loop) + c->wait_ms};
	snprintf(k->key, sizeof(k->key), "%s", key);
	set_timer(c);
	return free_now;
}

/* --- the log --- */

static struct claim *find_of(struct claims *c, const void *owner, const char *key)
{
	for (size_t i = 0; i < c->n; i++) {
		if (c->v[i].owner == owner && strcmp(c->v[i].key, key) == 0) {
			return &c->v[i];
		}
	}
	return NULL;
}

void claims_note(
	struct claims *c, const void *owner, const char *key, int vertex, claims_tell_fn *tell)
{
	struct claim *k = find_of(c, owner, key);
	const struct claim *runs = find(c, key, true);
	size_t i;
	json_t *log;
	if (!k) {
		return;
	}
	k->vertex = vertex;
	json_array_foreach (k->held ? NULL : runs->said, i, log) {
		tell(k->owner, k->vertex, log);
	}
}

static void keep(struct claim *k, const json_t *log)
{
	size_t n = json_string_length(json_object_get(log, "data"));
	if (k->said_bytes + n <= CLAIMS_LOG_MAX) {
		k->said = k->said ? k->said : json_array();
		json_array_append(k->said, (json_t *)log);
		k->said_bytes += n;
	}
}

void claims_log(struct claims *c, const void *owner, const json_t *log, claims_tell_fn *tell)
{
	json_int_t vertex = json_integer_value(json_object_get(log, "vertex"));
	struct claim *runs = NULL;
	for (size_t i = 0; i < c->n && !runs; i++) {
		struct claim *k = &c->v[i];
		runs = k->held && k->owner == owner && k->vertex && k->vertex == vertex ? k : NULL;
	}
	if (!runs) {
		return;
	}
	keep(runs, log);
	for (size_t i = 0; i < c->n; i++) {
		const struct claim *k = &c->v[i];
		if (!k->held && k->vertex && strcmp(k->key, runs->key) == 0) {
			tell(k->owner, k->vertex, log);
		}
	}
}

/* Invariant 1. */
static void give_back(struct claims *c, size_t i)
{
	char key[sizeof(c->v[i].key)];
	memcpy(key, c->v[i].key, sizeof(key));
	remove_at(c, i);
	struct claim *next = find(c, key, false);
	if (next) {
		next->held = true;
		c->granted(next->owner, next->question, true);
	}
}

void claims_drop(struct claims *c, const void *owner, const char *key)
{
	struct claim *k = find(c, key, true);
	if (k && k->owner == owner) {
		give_back(c, (size_t)(k - c->v));
		set_timer(c);
	}
}

/* First what it waits for: nothing is passed on to who leaves. */
void claims_drop_all(struct claims *c, const void *owner)
{
	for (size_t i = c->n; i > 0; i--) {
		if (c->v[i - 1].owner == owner && !c->v[i - 1].held) {
			remove_at(c, i - 1);
		}
	}
	for (size_t i = c->n; i > 0; i--) {
		if (c->v[i - 1].owner == owner) {
			give_back(c, i - 1);
		}
	}
	set_timer(c);
}
