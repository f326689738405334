/* The output of several containers, line by line, each with its name in front.
 *
 * Each log is read on a thread and a connection of its own, because the client blocks; a mutex
 * keeps lines whole. Nothing else is shared between the threads but the list, which only grows. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "wherry/compose.h"
#include "wherry/demux.h"
#include "wherry/engine.h"

struct source {
	struct source *next;
	struct compose_output *output;
	pthread_t thread;
	struct http_client *http;
	struct buf lines[2]; /* unfinished: stdout, stderr */
	char *id, *name;
	const char *color;
	bool tty;
};

struct compose_output {
	struct compose *c;
	struct compose_output_options o;
	pthread_mutex_t lock;
	struct source *sources;
	size_t n, width;
	bool color;
};

/* docker compose's order: cyan, yellow, green, magenta, blue, then the bright ones. */
static const char *const colors[] = {
	"36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1"};

struct compose_output *compose_output_new(struct compose *c, const struct compose_output_options *o)
{
	struct compose_output *output = xnew(struct compose_output);
	bool always = c->ansi && strcmp(c->ansi, "always") == 0;
	bool never = o->no_color || (c->ansi && strcmp(c->ansi, "never") == 0);
	output->c = c;
	output->o = *o;
	output->color = always || (!never && isatty(STDOUT_FILENO) && !getenv("NO_COLOR"));
	pthread_mutex_init(&output->lock, NULL);
	return output;
}

char *compose_short_name(const struct compose *c, const char *container)
{
	scoped(free) char *prefix = xasprintf("%s%s",
		c->project        ? c->project->name
		: c->project_name ? c->project_name
				  : "",
		c->project ? project_separator(c->project) : "-");
	bool own = strlen(prefix) > 1 && text_starts(container, prefix);
	return compose_shown(own ? container + strlen(prefix) : container);
}

void compose_output_reserve(struct compose_output *o, const char *name)
{
	scoped(free) char *shown = compose_short_name(o->c, name);
	size_t n = strlen(shown);
	pthread_mutex_lock(&o->lock);
	o->width = n > o->width ? n : o->width;
	pthread_mutex_unlock(&o->lock);
}

/* One line with its end; to stdout or stderr as the container wrote it. */
static void print_line(struct source *s, int type, const char *line, size_t n)
{
	struct compose_output *o = s->output;
	scoped(buf) struct buf text = BUF_INIT;
	pthread_mutex_lock(&o->lock);
	if (!o->o.no_prefix) {
		size_t n_name = strlen(s->name);
		int width = (int)(n_name > o->width ? n_name : o->width) + 1;
		if (o->color) {
			buf_printf(&text, "\033[%sm%-*s |\033[0m ", s->color, width, s->name);
		} else {
			buf_printf(&text, "%-*s | ", width, s->name);
		}
	}
	buf_append(&text, line, n);
	if (n == 0 || line[n - 1] != '\n') {
		buf_putc(&text, '\n');
	}
	bool apart = type == 2 && !o->o.together;
	path_write_all(apart ? STDERR_FILENO : STDOUT_FILENO, text.data, text.len);
	pthread_mutex_unlock(&o->lock);
}

void compose_output_line(struct compose_output *o, const char *name, const char *line, size_t n)
{
	struct source s = {.output = o, .name = (char *)name, .color = colors[0]};
	print_line(&s, 1, line, n);
}

void compose_output_say(struct compose_output *o, const char *text)
{
	pthread_mutex_lock(&o->lock);
	printf("%s\n", text);
	fflush(stdout);
	pthread_mutex_unlock(&o->lock);
}

void compose_output_watch(struct compose_output *o, const char *text)
{
	scoped(free) char *line = NULL;
	if (o->o.no_prefix) {
		line = xstrdup(text);
	} else {
		line = xasprintf("%s%*s ⦿ %s%s", o->color ? "\033[92m" : "", (int)o->width + 1, "",
			o->color ? "\033[0m" : "", text);
	}
	compose_output_say(o, line);
}

/* Over whatever a prompt or a menu has left on the line, as docker compose does. */
void compose_output_exited(struct compose_output *o, const char *container, int code)
{
	scoped(free) char *name = compose_short_name(o->c, container);
	scoped(free) char *text = xasprintf("\r\033[K%s exited with code %d", name, code);
	compose_output_say(o, text);
}

static int take_lines(void *owner, int type, const char *data, size_t n, struct err *e)
{
	struct source *s = owner;
	struct buf *b = &s->lines[type == 2];
	if (type == 3) {
		return err_set(e, ERR_SYSTEM, "%.*s", (int)(n < 400 ? n : 400), data);
	}
	buf_append(b, data, n);
	for (;;) {
		const char *end = memchr(buf_str(b), '\n', b->len);
		size_t line = end ? (size_t)(end - b->data) + 1 : b->len;
		if (!end && b->len < COMPOSE_LINE_MAX) {
			return 0;
		}
		print_line(s, type, b->data, line);
		buf_consume(b, line);
	}
}

static void *copy_log(void *owner)
{
	struct source *s = owner;
	struct demux d = {0};
	struct err e;
	char data[16384];
	long n;
	while ((n = http_client_read(s->http, data, sizeof(data), &e)) > 0) {
		int r = s->tty ? take_lines(s, 1, data, (size_t)n, &e)
			       : demux_feed(&d, data, (size_t)n, take_lines, s, &e);
		if (r < 0) {
			break;
		}
	}
	for (int i = 0; i < 2; i++) {
		if (s->lines[i].len > 0) {
			print_line(s, i + 1, s->lines[i].data, s->lines[i].len);
		}
	}
	return NULL;
}

/* Asks for the log; the head of the answer is read here, so that nothing of the container is missed
 * afterwards. */
static int open_log(struct compose_output *o, struct source *s, const char *id, const char *since,
	struct err *e)
{
	scoped(json) json_t *container = NULL;
	scoped(buf) struct buf path = BUF_INIT;
	if (engine_on(o->c->cli, "GET", "/containers/", id, "/json", &container, e) < 0) {
		return -1;
	}
	s->tty = json_bool(json_object_get(container, "Config"), "Tty");
	s->http = engine_connect(o->c->cli, e);
	if (!s->http) {
		return -1;
	}
	path_add(&path, "/containers/", id, "/logs?stdout=1&stderr=1");
	path_query(&path, "follow", o->o.follow ? "1" : NULL);
	path_query(&path, "timestamps", o->o.timestamps ? "1" : NULL);
	path_query(&path, "since", since ? since : o->o.since);
	path_query(&path, "until", o->o.until);
	path_query(&path, "tail", o->o.tail);
	const struct http_call call = {.method = "GET", .path = buf_str(&path)};
	return engine_send(s->http, &call, NULL, e);
}

static void source_free(struct source *s)
{
	http_client_free(s->http);
	buf_deinit(&s->lines[0]);
	buf_deinit(&s->lines[1]);
	free(s->id);
	free(s->name);
	free(s);
}

int compose_thread(void *(*run)(void *), void *owner, pthread_t *ret, struct err *e)
{
	sigset_t blocked;
	sigset_t before;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &blocked, &before);
	int r = pthread_create(ret, NULL, run, owner);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r == 0 ? 0 : err_sys(e, r, "cannot start a thread");
}

int compose_output_add(struct compose_output *o, const char *id, const char *name,
	const char *since, struct err *e)
{
	struct source *s = xnew(struct source);
	s->output = o;
	s->id = xstrdup(id);
	s->name = compose_short_name(o->c, name);
	s->color = colors[o->n++ % (sizeof(colors) / sizeof(*colors))];
	compose_output_reserve(o, name);
	if (open_log(o, s, id, since, e) < 0) {
		source_free(s);
		return -1;
	}
	if (compose_thread(copy_log, s, &s->thread, e) < 0) {
		source_free(s);
		return -1;
	}
	s->next = o->sources;
	o->sources = s;
	return 0;
}

/* The log of a container that ended comes to its end by itself; one that does not is left to the
 * drain. */
void compose_output_end(struct compose_output *o, const char *id)
{
	for (struct source **p = &o->sources; *p; p = &(*p)->next) {
		struct source *s = *p;
		struct timespec until;
		if (strcmp(s->id, id) != 0) {
			continue;
		}
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 2;
		if (pthread_timedjoin_np(s->thread, NULL, &until) == 0) {
			*p = s->next;
			source_free(s);
		}
		return;
	}
}

void compose_output_drain(struct compose_output *o)
{
	while (o->sources) {
		struct source *s = o->sources;
		o->sources = s->next;
		pthread_join(s->thread, NULL);
		source_free(s);
	}
}

/* Threads that still read stay behind: the process is about to end, and a blocking read cannot be
 * interrupted portably. */
void compose_output_free(struct compose_output *o)
{
	if (o && !o->sources) {
		pthread_mutex_destroy(&o->lock);
		free(o);
	}
}
