/* " Container x-1  Creating": one line each in a pipe, or one JSON object; on a terminal each
 * object keeps its line. On stderr, as docker compose. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/compose.h"
#include "wherry/times.h"

struct item {
	char *label; /* "Container x-1" */
	char *verb;
	int64_t begun_ms, ended_ms; /* ended_ms 0: still going */
	bool failed;
};

struct compose_progress {
	pthread_mutex_t lock; /* containers are stopped by several threads */
	bool quiet, redraw, color, json, dry_run;
	const char *title;
	struct item *items;
	size_t n, cap;
	size_t drawn; /* lines on the screen */
};

struct compose_progress *compose_progress_new(const char *mode, const char *ansi, const char *title)
{
	struct compose_progress *p = xnew(struct compose_progress);
	bool tty = isatty(STDERR_FILENO);
	const char *term = getenv("TERM");
	mode = mode ? mode : "auto";
	pthread_mutex_init(&p->lock, NULL);
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
}

/* "Creating" goes on; "Created", "Running", "Healthy" is an end. */
static bool is_going(const char *verb)
{
	return text_ends(verb, "ing") && strcmp(verb, "Running") != 0;
}

static struct item *find(struct compose_progress *p, const char *label)
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
	struct item *item = &p->items[p->n++];
	*item = (struct item){.label = xstrdup(label), .begun_ms = clock_mono_ms()};
	return item;
}

static int columns(void)
{
	struct winsize size;
	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

static size_t rows(void)
{
	struct winsize size;
	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 2 ? size.ws_row : 24;
}

static void draw_item(const struct compose_progress *p, const struct item *item, int width,
	int cols, struct buf *ret)
{
	bool going = item->ended_ms == 0;
	int64_t ms = (going ? clock_mono_ms() : item->ended_ms) - item->begun_ms;
	const char *sign = item->failed ? "✘" : going ? "⠿" : "✔";
	const char *color = !p->color      ? ""
			    : item->failed ? "\033[31m"
			    : going        ? "\033[33m"
					   : "\033[32m";
	char time[24];
	snprintf(time, sizeof(time), "%.1fs", (double)ms / 1000);
	int used = 3 + width + 1 + (int)strlen(item->verb);
	int gap = cols - used - (int)strlen(time) - 1;
	buf_printf(ret, " %s%s%s %s%-*s %s%s%s%*s%s\n", color, sign, p->color ? "\033[0m" : "",
		p->dry_run ? COMPOSE_DRY_RUN " " : "", width, item->label, color, item->verb,
		p->color ? "\033[0m" : "", gap > 1 ? gap : 1, "", time);
}

static void draw(struct compose_progress *p)
{
	scoped(buf) struct buf text = BUF_INIT;
	size_t done = 0;
	int width = 0;
	for (size_t i = 0; i < p->n; i++) {
		int n = (int)strlen(p->items[i].label);
		width = n > width ? n : width;
		done += p->items[i].ended_ms != 0;
	}
	if (p->drawn > 0) {
		buf_printf(&text, "\033[%zuA\033[J", p->drawn);
	}
	buf_printf(&text, "[+] %s %zu/%zu\n", p->title, done, p->n);
	for (size_t i = 0; i < p->n; i++) {
		draw_item(p, &p->items[i], width + 1, columns(), &text);
	}
	p->drawn = p->n + 1;
	fputs(buf_str(&text), stderr);
	fflush(stderr);
}

static void redraw(
	struct compose_progress *p, const char *label, const char *text, const char *status)
{
	struct item *item = find(p, label);
	const char *last = *status ? status : text;
	free(item->verb);
	item->verb = *text && *status ? xasprintf("%s %s", text, status) : xstrdup(last);
	item->failed = strcmp(last, "Error") == 0 || strcmp(text, "Error") == 0;
	item->ended_ms = is_going(last) ? 0 : clock_mono_ms();
	draw(p);
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

void compose_progress_event(
	struct compose_progress *p, const char *id, const char *text, const char *status)
{
	if (!p || p->quiet) {
		return;
	}
	pthread_mutex_lock(&p->lock);
	if (p->redraw && p->n + 3 > rows()) {
		p->redraw = false; /* the first lines would have left the screen */
	}
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
		forget_items(p);
	}
}

void compose_progress_free(struct compose_progress *p)
{
	if (!p) {
		return;
	}
	forget_items(p);
	pthread_mutex_destroy(&p->lock);
	free(p->items);
	free(p);
}

/* In a pipe as logrus's text formatter writes it. */
void compose_warn(const char *text)
{
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
