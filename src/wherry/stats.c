/* wherry stats: one connection and thread a container, each keeping the newest document; the main
 * thread draws. docker/cli cli/command/container/stats.go. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/stats.h"
#include "wherry/stats_row.h"

#define DRAW_PAUSE_NS 500000000
#define THREAD_STACK (256u << 10)
#define LINE_MAX_BYTES (4u << 20)

struct stats {
	struct cli *cli;
	struct stats_options o;
	pthread_mutex_t lock;
	struct list watched; /* in the order of the table */
};

/* One container. Never freed while its thread may run: the program ends with it. */
struct watched {
	struct list node;
	struct stats *stats;
	char *name;
	/* below: under stats->lock */
	json_t *doc; /* the newest, or NULL */
	bool ended;
	bool failed; /* error says why there is none */
	struct err error;
};

/* Integers as reals: the largest 64-bit number ("no limit" on cgroup v2) is none that jansson has.
 */
static void keep_line(struct watched *w, const char *line, size_t n)
{
	json_t *doc = json_loadb(line, n, JSON_DECODE_INT_AS_REAL, NULL);
	if (!doc) {
		return; /* a line that was cut off */
	}
	pthread_mutex_lock(&w->stats->lock);
	json_decref(w->doc);
	w->doc = doc;
	pthread_mutex_unlock(&w->stats->lock);
}

static int keep_lines(struct watched *w, struct http_client *http, struct err *e)
{
	scoped(buf) struct buf line = BUF_INIT;
	char data[16384];
	long n;
	while ((n = http_client_read(http, data, sizeof(data), e)) > 0) {
		if (buf_append_limited(&line, data, (size_t)n, LINE_MAX_BYTES) < 0) {
			return err_set(e, ERR_SYSTEM, "the engine sent a line without end");
		}
		const char *end;
		while (line.len > 0 && (end = memchr(line.data, '\n', line.len))) {
			size_t length = (size_t)(end - line.data);
			keep_line(w, line.data, length);
			buf_consume(&line, length + 1);
		}
	}
	keep_line(w, buf_str(&line), line.len);
	return (int)n;
}

static int follow(struct watched *w, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	scoped(http_client_free) struct http_client *http = engine_connect(w->stats->cli, e);
	path_add(&path, "/containers/", w->name, "/stats");
	path_query(&path, "stream", w->stats->o.no_stream ? "0" : "1");
	const struct http_call call = {.method = "GET", .path = buf_str(&path)};
	return !http || engine_send(http, &call, NULL, e) < 0 ? -1 : keep_lines(w, http, e);
}

static void *run(void *owner)
{
	struct watched *w = owner;
	struct err e;
	int r = follow(w, &e);
	pthread_mutex_lock(&w->stats->lock);
	w->ended = true;
	if (r < 0 && !w->doc) {
		w->failed = true;
		w->error = e;
	}
	pthread_mutex_unlock(&w->stats->lock);
	return NULL;
}

static int start(struct stats *s, const char *name, struct err *e)
{
	pthread_attr_t attributes;
	pthread_t thread;
	struct watched *w = xnew(struct watched);
	w->stats = s;
	w->name = xstrdup(name);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, THREAD_STACK);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	int r = pthread_create(&thread, &attributes, run, w);
	pthread_attr_destroy(&attributes);
	if (r != 0) {
		free(w->name);
		free(w);
		return err_sys(e, r, "cannot watch %s", name);
	}
	pthread_mutex_lock(&s->lock);
	list_append(&s->watched, &w->node);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

/* --- without names: the containers that are there, looked up before every drawing --- */

static struct watched *find(struct stats *s, const char *id)
{
	list_each (node, &s->watched) {
		struct watched *w = container_of(node, struct watched, node);
		if (strcmp(w->name, id) == 0) {
			return w;
		}
	}
	return NULL;
}

static bool is_listed(const json_t *found, const char *id)
{
	size_t i;
	json_t *c;
	json_array_foreach (found, i, c) {
		if (strncmp(json_str(c, "Id"), id, strlen(id)) == 0) {
			return true;
		}
	}
	return false;
}

static int look_up(struct stats *s, struct err *e)
{
	scoped(json) json_t *found = NULL;
	size_t i;
	json_t *c;
	if (engine_json(s->cli, "GET", s->o.all ? "/containers/json?all=1" : "/containers/json",
		    NULL, &found, e) < 0) {
		return -1;
	}
	json_array_foreach (found, i, c) {
		scoped(free) char *id = xstrndup(json_str(c, "Id"), 12);
		if (!find(s, id) && start(s, id, e) < 0) {
			return -1;
		}
	}
	pthread_mutex_lock(&s->lock);
	list_each_safe (node, &s->watched) {
		const struct watched *w = container_of(node, struct watched, node);
		if (!is_listed(found, w->name)) {
			list_remove(node);
		}
	}
	pthread_mutex_unlock(&s->lock);
	return 0;
}

/* --- drawing --- */

static json_t *rows_of(struct stats *s)
{
	json_t *rows = json_array();
	pthread_mutex_lock(&s->lock);
	list_each (node, &s->watched) {
		const struct watched *w = container_of(node, struct watched, node);
		if (!w->failed) {
			json_array_append_new(rows, stats_row(w->doc, w->name, s->o.no_trunc));
		}
	}
	pthread_mutex_unlock(&s->lock);
	return rows;
}

/* On a terminal from the top again, each line and the rest of the screen wiped. */
static int draw(struct stats *s, const struct table *t, struct err *e)
{
	scoped(json) json_t *rows = rows_of(s);
	scoped(buf) struct buf text = BUF_INIT;
	bool screen = !s->o.no_stream && isatty(STDOUT_FILENO);
	if (table_text(t, rows, &text, e) < 0) {
		return -1;
	}
	if (!screen) {
		fputs(buf_str(&text), stdout);
		fflush(stdout);
		return 0;
	}
	fputs("\033[H", stdout);
	for (const char *p = buf_str(&text); *p;) {
		size_t n = strcspn(p, "\n");
		printf("%.*s\033[K\n", (int)n, p);
		p += n + (p[n] == '\n');
	}
	fputs("\033[J", stdout);
	fflush(stdout);
	return 0;
}

/* Whether everybody has said something, or never will. */
static bool all_heard(struct stats *s)
{
	bool heard = true;
	pthread_mutex_lock(&s->lock);
	list_each (node, &s->watched) {
		const struct watched *w = container_of(node, struct watched, node);
		heard = heard && (w->ended || (!s->o.no_stream && w->doc));
	}
	pthread_mutex_unlock(&s->lock);
	return heard;
}

static bool all_ended(struct stats *s)
{
	bool ended = true;
	list_each (node, &s->watched) {
		ended = ended && container_of(node, struct watched, node)->ended;
	}
	return ended;
}

static int print_failures(struct stats *s)
{
	int failures = 0;
	list_each (node, &s->watched) {
		const struct watched *w = container_of(node, struct watched, node);
		failures += w->failed && (cli_fail(&w->error), true);
	}
	return failures;
}

static void pause_ns(long ns)
{
	nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* Named ones until they are gone; all until somebody stops us. */
static int show(struct stats *s, const struct table *t, bool named, struct err *e)
{
	while (!all_heard(s)) {
		pause_ns(DRAW_PAUSE_NS / 50);
	}
	if (named && print_failures(s) > 0) {
		return 1;
	}
	for (;;) {
		if (draw(s, t, e) < 0) {
			return -1;
		}
		if (s->o.no_stream || (named && all_ended(s))) {
			return 0;
		}
		pause_ns(DRAW_PAUSE_NS);
		if (!named && look_up(s, e) < 0) {
			return -1;
		}
	}
}

int stats_show(
	struct cli *cli, const struct stats_options *o, char *const *names, int n, struct err *e)
{
	static struct stats s; /* threads may outlive this call */
	const struct table t = {
		.columns = stats_columns, .dflt = STATS_COLUMNS, .format = o->format};
	bool named = n > 0 || o->only_named;
	s.cli = cli;
	s.o = *o;
	pthread_mutex_init(&s.lock, NULL);
	list_init(&s.watched);
	if (table_check(&t, e) < 0) {
		return -1;
	}
	for (int i = 0; i < n; i++) {
		if (start(&s, names[i], e) < 0) {
			return -1;
		}
	}
	if (!named && look_up(&s, e) < 0) {
		return -1;
	}
	return show(&s, &t, named, e);
}

int command_stats(struct cli *cli, int argc, char **argv)
{
	struct stats_options o = {0};
	const struct flag flags[] = {
		{"all", 'a', FLAG_BOOL, &o.all, NULL,
			"Show all containers (default shows just running)"},
		{"format", 0, FLAG_STRING, &o.format, NULL,
			"Format output: table, json, or a template like '{{.Name}}: {{.CPUPerc}}'"},
		{"no-stream", 0, FLAG_BOOL, &o.no_stream, NULL,
			"Disable streaming stats and only pull the first result"},
		{"no-trunc", 0, FLAG_BOOL, &o.no_trunc, NULL, "Do not truncate output"},
		{0},
	};
	const struct syntax s = {"stats", "[OPTIONS] [CONTAINER...]",
		"Display a live stream of container(s) resource usage statistics", 0, -1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	scoped(free) char *format = table_format(cli->config, "statsFormat", o.format, false);
	o.format = format;
	int r = stats_show(cli, &o, argv + 1, argc - 1, &e);
	return r < 0 ? cli_fail(&e) : r;
}
