#include "wherry/compose_health.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "wherry/engine.h"

#define BROKEN_MS 250  /* between looks when nobody tells us */
#define SILENT_MS 2000 /* and when somebody should */

struct compose_health {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned long count; /* of events */
	bool broken, freed, over;
	struct http_client *http;
	pthread_t thread;
};

static int count_event(void *owner, const json_t *event, struct err *e)
{
	struct compose_health *h = owner;
	pthread_mutex_lock(&h->lock);
	h->count++;
	pthread_cond_broadcast(&h->changed);
	int done = h->freed;
	pthread_mutex_unlock(&h->lock);
	return done;
}

static void *read_events(void *owner)
{
	struct compose_health *h = owner;
	struct err e;
	engine_documents(h->http, count_event, h, &e);
	pthread_mutex_lock(&h->lock);
	h->broken = true;
	h->count++;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

static int ask(struct compose_health *h, struct compose *c, const char *project, struct err *e)
{
	static const char *const wanted[] = {
		"event=health_status", "event=start", "event=die", "event=destroy"};
	scoped(strv) struct strv filters = STRV_INIT;
	scoped(buf) struct buf path = BUF_INIT;
	strv_addf(&filters, "label=" LABEL "project=%s", project);
	strv_add(&filters, "type=container");
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		strv_add(&filters, wanted[i]);
	}
	buf_puts(&path, "/events");
	h->http = engine_connect(c->cli, e);
	if (!h->http || path_filters(&path, &filters, e) < 0) {
		return -1;
	}
	const struct http_call call = {.method = "GET", .path = buf_str(&path)};
	return engine_send(h->http, &call, NULL, e);
}

struct compose_health *compose_health_new(struct compose *c, const char *project, struct err *e)
{
	struct compose_health *h = xnew(struct compose_health);
	pthread_condattr_t clock;
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&h->changed, &clock);
	pthread_mutex_init(&h->lock, NULL);
	pthread_condattr_destroy(&clock);
	if (ask(h, c, project, e) < 0 || compose_thread(read_events, h, &h->thread, e) < 0) {
		http_client_free(h->http);
		free(h);
		return NULL;
	}
	return h;
}

/* The thread blocks in a read that cannot be ended portably, so what it uses stays until the
 * program ends; there are one or two of these in a run. */
void compose_health_free(struct compose_health *h)
{
	if (h) {
		pthread_mutex_lock(&h->lock);
		h->freed = true;
		pthread_mutex_unlock(&h->lock);
		pthread_detach(h->thread);
	}
}

unsigned long compose_health_mark(struct compose_health *h)
{
	pthread_mutex_lock(&h->lock);
	unsigned long count = h->count;
	pthread_mutex_unlock(&h->lock);
	return count;
}

void compose_health_give_up(struct compose_health *h)
{
	pthread_mutex_lock(&h->lock);
	h->over = true;
	h->count++;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
}

bool compose_health_is_over(struct compose_health *h)
{
	pthread_mutex_lock(&h->lock);
	bool over = h->over;
	pthread_mutex_unlock(&h->lock);
	return over;
}

void compose_health_wait(struct compose_health *h, unsigned long mark, int64_t until_ms)
{
	pthread_mutex_lock(&h->lock);
	int64_t ms = clock_mono_ms() + (h->broken ? BROKEN_MS : SILENT_MS);
	ms = until_ms > 0 && until_ms < ms ? until_ms : ms;
	const struct timespec until = {ms / 1000, (ms % 1000) * 1000000};
	int r = 0;
	while (r != ETIMEDOUT && !h->over && (h->broken || h->count == mark)) {
		r = pthread_cond_timedwait(&h->changed, &h->lock, &until);
	}
	pthread_mutex_unlock(&h->lock);
}
