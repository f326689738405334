/* " Container x-1  Creating": one line each in a pipe, or one JSON object; on a terminal each
 * object keeps its line. On stderr, as docker compose. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "wherry/build_screen.h"
#include "wherry/compose.h"
#include "wherry/progress_view.h"
#include "wherry/times.h"

#define TICK_MS 100

struct compose_progress {
	pthread_mutex_t lock; /* steps run on several threads */
	bool quiet, redraw, color, json, dry_run;
	const char *title;
	struct progress_item *items;
	size_t n, cap;
	size_t drawn; /* lines on the screen */
	/* redraws what goes on, while there is such a thing */
	pthread_t ticker;
	pthread_cond_t changed;
	bool ticks, ends;
};

struct compose_progress *compose_progress_new(const char *mode, const char *ansi, const char *title)
{
	struct compose_progress *p = xnew(struct compose_progress);
	pthread_condattr_t clock;
	bool tty = isatty(STDERR_FILENO);
	const char *term = getenv("TERM");
	mode = mode ? mode : "auto";
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&p->changed, &clock);
	pthread_condattr_destroy(&clock);
	p->title = title;
	p->quiet = strcmp(mode, "quiet") == 0;
	p->json = strcmp(mode, "json") == 0;
	p->redraw = strcmp(mode, "tty") == 0 ||
		    (strcmp(mode, "auto") == 0 && tty && !(term && strcmp(term, "dumb") == 0));
	p->color = p->redraw && !(ansi && strcmp(ansi, "never") == 0) && !getenv("NO_COLOR");
	return p;
}

void compose_begin(struct compose *c, const char *title)
{
	compose_progress_free(c->progress);
	c->progress = compose_progress_new(c->progress_mode, c->ansi, title);
	c->progress->dry_run = c->dry_run;
	compose_on_interrupt(isatty(STDERR_FILENO) ? "\ncanceled\n" : "canceled\n");
}

static struct progress_item *find(struct compose_progress *p, const char *label)
{
	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->items[i].label, label) == 0) {
			return &p->items[i];
		}
	}
	if (p->n == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 16;
		p->items = xrealloc(p->items, p->cap, sizeof(*p->items));
	}
	struct progress_item *item = &p->items[p->n++];
	*item = (struct progress_item){.label = xstrdup(label), .begun_ms = clock_mono_ms()};
	return item;
}

/* The size is asked each time: the window may have another one now. In one write, the cursor hidden
 * meanwhile. */
static void draw(struct compose_progress *p)
{
	struct winsize size;
	bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
	scoped(buf) struct buf lines = BUF_INIT;
	scoped(buf) struct buf text = BUF_INIT;
	const struct progress_view view = {.title = p->title,
		.prefix = p->dry_run ? COMPOSE_DRY_RUN : "",
		.items = p->items,
		.n = p->n,
		.columns = known ? size.ws_col : 80,
		.rows = known && size.ws_row > 0 ? size.ws_row : 24,
		.color = p->color,
		.now_ms = clock_mono_ms()};
	buf_puts(&text, "\033[?25l\r");
	if (p->drawn > 0) {
		buf_printf(&text, "\033[%zuA", p->drawn);
	}
	p->drawn = progress_view_draw(&view, &lines);
	for (const char *line = buf_str(&lines); *line;) {
		size_t n = strcspn(line, "\n");
		buf_append(&text, line, n);
		buf_puts(&text, "\033[K\n");
		line += n + 1;
	}
	buf_puts(&text, "\033[J\033[?25h");
	fputs(buf_str(&text), stderr);
	fflush(stderr);
}

static bool works(const struct compose_progress *p)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->items[i].status == PROGRESS_WORKING) {
			return true;
		}
	}
	return false;
}

static void *tick(void *owner)
{
	struct compose_progress *p = owner;
	pthread_mutex_lock(&p->lock);
	while (!p->ends) {
		int64_t ms = clock_mono_ms() + TICK_MS;
		const struct timespec until = {ms / 1000, (ms % 1000) * 1000000};
		if (!works(p)) {
			pthread_cond_wait(&p->changed, &p->lock);
		} else if (pthread_cond_timedwait(&p->changed, &p->lock, &until) == ETIMEDOUT) {
			draw(p);
		}
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void redraw(
	struct compose_progress *p, const char *label, const char *text, const char *status)
{
	struct progress_item *item = find(p, label);
	const char *last = *status ? status : text;
	struct err ignored;
	free(item->verb);
	item->verb = *text && *status ? xasprintf("%s %s", text, status) : xstrdup(last);
	/* "Pulling 1.2MB/3MB" goes on whatever the numbers are */
	bool counts = strcmp(text, "Pulling") == 0 || strcmp(text, "Pushing") == 0;
	item->status = strcmp(text, "Error") == 0 ? PROGRESS_ERROR
						  : progress_status_of(counts ? text : last);
	item->ended_ms = clock_mono_ms();
	draw(p);
	/* without the thread the times stand still, no more */
	p->ticks = p->ticks || compose_thread(tick, p, &p->ticker, &ignored) == 0;
	pthread_cond_signal(&p->changed);
}

/* The members of docker compose's objects, in its order. */
static void print_json(
	const struct compose_progress *p, const char *id, const char *text, const char *status)
{
	scoped(json) json_t *o = json_object();
	if (p->dry_run) {
		json_put(o, "dry-run", json_true());
	}
	json_put_str(o, "id", id);
	if (*text) {
		json_put_str(o, "text", text);
	}
	if (*status) {
		json_put_str(o, "status", status);
	}
	char *line = json_dumps(o, JSON_COMPACT);
	fprintf(stderr, "%s\n", line ? line : "{}");
	free(line);
}

char *compose_shown(const char *text)
{
	scoped(buf) struct buf shown = BUF_INIT;
	screen_text(text, &shown);
	return buf_take_str(&shown);
}

bool compose_progress_redraws(const struct compose_progress *p)
{
	return p && !p->quiet && !p->json && p->redraw;
}

void compose_progress_event(struct compose_progress *p, const char *raw_id, const char *raw_text,
	const char *raw_status)
{
	if (!p || p->quiet) {
		return;
	}
	scoped(free) char *id = compose_shown(raw_id);
	scoped(free) char *text = compose_shown(raw_text);
	scoped(free) char *status = compose_shown(raw_status);
	pthread_mutex_lock(&p->lock);
	if (p->json) {
		print_json(p, id, text, status);
	} else if (p->redraw) {
		redraw(p, id, text, status);
	} else {
		fprintf(stderr, "%s %s %s %s\n", p->dry_run ? COMPOSE_DRY_RUN : "", id, text,
			status);
		fflush(stderr);
	}
	pthread_mutex_unlock(&p->lock);
}

void compose_progress_say(
	struct compose_progress *p, const char *kind, const char *name, const char *verb)
{
	scoped(free) char *id = xasprintf("%s %s", kind, name);
	compose_progress_event(p, id, "", verb);
}

static void forget_items(struct compose_progress *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->items[i].label);
		free(p->items[i].verb);
	}
	p->n = 0;
	p->drawn = 0;
}

void compose_progress_leave(struct compose_progress *p)
{
	if (p) {
		pthread_mutex_lock(&p->lock);
		forget_items(p);
		pthread_mutex_unlock(&p->lock);
	}
}

void compose_progress_free(struct compose_progress *p)
{
	if (!p) {
		return;
	}
	if (p->ticks) {
		pthread_mutex_lock(&p->lock);
		p->ends = true;
		pthread_cond_signal(&p->changed);
		pthread_mutex_unlock(&p->lock);
		pthread_join(p->ticker, NULL);
	}
	forget_items(p);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p->items);
	free(p);
}

/* In a pipe as logrus's text formatter writes it. */
void compose_warn(const char *raw)
{
	scoped(free) char *text = compose_shown(raw);
	if (isatty(STDERR_FILENO)) {
		fprintf(stderr, "\033[33mWARN\033[0m[0000] %s\n", text);
		return;
	}
	char now[TIMES_TEXT_MAX];
	scoped(buf) struct buf quoted = BUF_INIT;
	for (const char *p = text; *p; p++) {
		buf_printf(&quoted, strchr("\"\\", *p) ? "\\%c" : "%c", *p);
	}
	fprintf(stderr, "time=\"%s\" level=warning msg=\"%s\"\n",
		times_rfc3339(clock_real_ns() / NS_PER_SEC, now), buf_str(&quoted));
}
