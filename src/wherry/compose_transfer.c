#include "wherry/compose_transfer.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/human.h"
#include "wherry/pull.h"
#include "wherry/push.h"

#define DAEMON "Error response from daemon: "
#define AT_ONCE 8       /* an engine has better things to do than more */
#define LAYERS_MAX 1000 /* an engine that invents ids does not make us grow */

struct layer {
	char *id, *status;
	int64_t current, total; /* bytes */
};

/* Of one image. */
struct layers {
	struct compose *c;
	const struct transfer *t;
	const char *verb; /* "Pulling" */
	struct layer *v;
	size_t n;
	char *told;
};

static struct layer *find_layer(struct layers *l, const char *id)
{
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->v[i].id, id) == 0) {
			return &l->v[i];
		}
	}
	if (l->n == LAYERS_MAX) {
		return NULL;
	}
	l->v = xrealloc(l->v, l->n + 1, sizeof(*l->v));
	l->v[l->n] = (struct layer){.id = xstrdup(id), .status = xstrdup("")};
	return &l->v[l->n++];
}

/* On a terminal an image keeps its one line: "1.2MB/3.4MB" of all its layers. */
static void show_sum(struct layers *l)
{
	char now[HUMAN_MAX];
	char all[HUMAN_MAX];
	double current = 0;
	double total = 0;
	for (size_t i = 0; i < l->n; i++) {
		current += (double)l->v[i].current;
		total += (double)l->v[i].total;
	}
	scoped(free) char *text =
		xasprintf("%s/%s", human_size(current, 3, now), human_size(total, 3, all));
	if (total > 0 && (!l->told || strcmp(l->told, text) != 0)) {
		compose_progress_event(l->c->progress, l->t->name, l->verb, text);
		free(l->told);
		l->told = TAKE(text);
	}
}

/* In a pipe each new word of a layer is a line, without bars. */
static void take_message(void *owner, const json_t *message)
{
	struct layers *l = owner;
	const json_t *detail = json_object_get(message, "progressDetail");
	const char *status = json_str(message, "status");
	const char *id = json_str(message, "id");
	struct layer *layer = *id && json_is_object(detail) ? find_layer(l, id) : NULL;
	if (!layer) {
		return;
	}
	bool downloads = strcmp(status, "Downloading") == 0 || strcmp(status, "Pushing") == 0;
	if (downloads) { /* unpacking counts again from the beginning */
		layer->current = json_i64(detail, "current", 0);
		layer->total = json_i64(detail, "total", 0);
	}
	if (compose_progress_redraws(l->c->progress)) {
		show_sum(l);
	} else if (strcmp(layer->status, status) != 0) {
		scoped(free) char *name = strcmp(l->verb, "Pushing") == 0
						  ? xasprintf("Pushing %s: %s", l->t->image, id)
						  : xstrdup(id);
		compose_progress_event(l->c->progress, name, status, "");
	}
	free(layer->status);
	layer->status = xstrdup(status);
}

static void layers_deinit(struct layers *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].id);
		free(l->v[i].status);
	}
	free(l->v);
	free(l->told);
}

struct transfers {
	struct transfer *list;
	bool quiet;
};

static int pull_one(struct compose *c, void *owner, size_t i, struct err *e)
{
	const struct transfers *all = owner;
	struct transfer *t = &all->list[i];
	struct layers l = {.c = c, .t = t, .verb = "Pulling"};
	const struct progress_sink sink = {.take = take_message, .owner = &l};
	compose_progress_event(c->progress, t->name, "Pulling", "");
	t->failed = !c->dry_run &&
		    pull_image(c->cli, t->image, t->platform, all->quiet ? NULL : &sink, e) < 0;
	layers_deinit(&l);
	if (!t->failed) {
		compose_progress_event(c->progress, t->name, "Pulled", "");
		return 0;
	}
	const char *why = e->msg + (text_starts(e->msg, DAEMON) ? strlen(DAEMON) : 0);
	compose_progress_event(c->progress, t->name, t->tolerated ? "Warning" : "Error", why);
	t->e = *e;
	return t->tolerated ? 0 : -1;
}

static int push_one(struct compose *c, void *owner, size_t i, struct err *e)
{
	const struct transfers *all = owner;
	struct transfer *t = &all->list[i];
	struct layers l = {.c = c, .t = t, .verb = "Pushing"};
	const struct progress_sink sink = {.take = take_message, .owner = &l};
	if (c->dry_run) {
		scoped(free) char *text = xasprintf("Pushing %s", t->image);
		compose_progress_event(c->progress, text, "Pushed", "");
		return 0;
	}
	t->failed = push_image(c->cli, t->image, all->quiet ? NULL : &sink, e) < 0;
	layers_deinit(&l);
	t->e = t->failed ? *e : t->e;
	return t->failed && !t->tolerated ? -1 : 0;
}

static int transfer(struct compose *c, struct transfer *list, size_t n, bool quiet,
	compose_job_fn *one, struct err *e)
{
	struct compose limited = *c;
	struct transfers all = {list, quiet};
	limited.parallel = c->parallel > 0 ? c->parallel : AT_ONCE;
	return compose_parallel(&limited, n, one, &all, e);
}

int compose_pull_images(
	struct compose *c, struct transfer *list, size_t n, bool quiet, struct err *e)
{
	return transfer(c, list, n, quiet, pull_one, e);
}

int compose_push_images(
	struct compose *c, struct transfer *list, size_t n, bool quiet, struct err *e)
{
	return transfer(c, list, n, quiet, push_one, e);
}
