/* The same thing to several containers at once, each on a thread and a connection of its own,
 * because a request blocks for as long as the container takes. */
#include <pthread.h>

#include "base/mem.h"
#include "wherry/compose.h"
#include "wherry/engine.h"

#define THREADS_MAX 64u

struct shared {
	struct compose *c;
	compose_job_fn *fn;
	void *owner;
	pthread_mutex_t lock;
	size_t next, n;
	int result;
	struct err e;
};

static bool take(struct shared *s, size_t *ret)
{
	pthread_mutex_lock(&s->lock);
	bool some = s->next < s->n;
	*ret = some ? s->next++ : 0;
	pthread_mutex_unlock(&s->lock);
	return some;
}

static void *work(void *owner)
{
	struct shared *s = owner;
	struct compose c = *s->c;
	struct cli cli = *s->c->cli;
	struct err e;
	size_t i;
	c.cli = &cli;
	cli.http = engine_connect(s->c->cli, &e);
	while (take(s, &i)) {
		if (!cli.http || s->fn(&c, s->owner, i, &e) < 0) {
			pthread_mutex_lock(&s->lock);
			s->e = s->result < 0 ? s->e : e; /* the first one is told */
			s->result = -1;
			pthread_mutex_unlock(&s->lock);
		}
	}
	http_client_free(cli.http);
	return NULL;
}

int compose_parallel(struct compose *c, size_t n, compose_job_fn *fn, void *owner, struct err *e)
{
	pthread_t threads[THREADS_MAX];
	struct shared s = {.c = c, .fn = fn, .owner = owner, .n = n};
	size_t limit =
		c->parallel > 0 && c->parallel < THREADS_MAX ? (size_t)c->parallel : THREADS_MAX;
	limit = n < limit ? n : limit;
	if (n == 1) {
		return fn(c, owner, 0, e);
	}
	pthread_mutex_init(&s.lock, NULL);
	size_t started = 0;
	while (started < limit && compose_thread(work, &s, &threads[started], e) == 0) {
		started++;
	}
	for (size_t i = 0; i < started; i++) {
		pthread_join(threads[i], NULL);
	}
	pthread_mutex_destroy(&s.lock);
	if (s.result < 0) {
		*e = s.e;
	}
	return started == 0 && n > 0 ? -1 : s.result;
}
