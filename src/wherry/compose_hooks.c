/* post_start and pre_stop: commands inside a running container. One that fails ends what is being
 * done, in docker compose's words. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "compose/request.h"
#include "wherry/compose_make.h"
#include "wherry/demux.h"
#include "wherry/engine.h"

struct telling {
	struct compose_output *output; /* NULL: nobody watches */
	const char *name;
	struct buf lines[2]; /* unfinished: stdout, stderr */
};

static void tell_line(struct telling *t, struct buf *line, size_t n)
{
	compose_output_line(t->output, t->name, line->data, n);
	buf_consume(line, n);
}

static int take_output(void *owner, int type, const char *data, size_t n, struct err *e)
{
	struct telling *t = owner;
	struct buf *line = &t->lines[type == 2];
	if (!t->output) {
		return 0;
	}
	buf_append(line, data, n);
	for (const char *end; (end = memchr(buf_str(line), '\n', line->len));) {
		tell_line(t, line, (size_t)(end - line->data) + 1);
	}
	if (line->len > COMPOSE_LINE_MAX) {
		tell_line(t, line, line->len);
	}
	return 0;
}

/* The program's output until it ends. */
static int follow(struct compose *c, const char *exec, bool tty, struct telling *t, struct err *e)
{
	scoped(http_client_free) struct http_client *http = engine_connect(c->cli, e);
	scoped(json) json_t *body = json_pack("{s:b,s:b}", "Detach", 0, "Tty", tty);
	scoped(buf) struct buf path = BUF_INIT;
	struct demux d = {0};
	char data[4096];
	long n = 0;
	path_add(&path, "/exec/", exec, "/start");
	const struct http_call call = {.method = "POST", .path = buf_str(&path), .body_json = body};
	if (!http || engine_send(http, &call, NULL, e) < 0) {
		return -1;
	}
	while ((n = http_client_read(http, data, sizeof(data), e)) > 0) {
		int r = tty ? take_output(t, 1, data, (size_t)n, e)
			    : demux_feed(&d, data, (size_t)n, take_output, t, e);
		if (r < 0) {
			return -1;
		}
	}
	for (int i = 0; i < 2; i++) {
		if (t->lines[i].len > 0) {
			tell_line(t, &t->lines[i], t->lines[i].len);
		}
	}
	return (int)n;
}

static int run_hook(struct compose *c, const struct service *s, const struct hook *hook,
	const char *id, const char *name, struct err *e)
{
	scoped(json) json_t *body = request_hook(hook, s->tty);
	scoped(json) json_t *made = NULL;
	scoped(json) json_t *ended = NULL;
	scoped(buf) struct buf path = BUF_INIT;
	scoped(free) char *short_name = compose_short_name(c, name);
	scoped(free) char *shown = xasprintf("%s ->", short_name);
	struct telling t = {.output = c->output, .name = shown};
	path_add(&path, "/containers/", id, "/exec");
	int r = engine_json(c->cli, "POST", buf_str(&path), body, &made, e);
	r = r == 0 ? follow(c, json_str(made, "Id"), s->tty, &t, e) : r;
	buf_deinit(&t.lines[0]);
	buf_deinit(&t.lines[1]);
	if (r < 0 ||
		engine_on(c->cli, "GET", "/exec/", json_str(made, "Id"), "/json", &ended, e) < 0) {
		return -1;
	}
	int64_t code = json_i64(ended, "ExitCode", 0);
	return code == 0 ? 0
			 : err_set(e, ERR_CONFLICT, "%s hook exited with status %lld", s->name,
				   (long long)code);
}

static int run_all(struct compose *c, const struct service *s, const struct hook *hooks, size_t n,
	const char *id, const char *name, struct err *e)
{
	for (size_t i = 0; i < n && !c->dry_run; i++) {
		if (run_hook(c, s, &hooks[i], id, name, e) < 0) {
			return -1;
		}
	}
	return 0;
}

int compose_post_start(
	struct compose *c, const struct service *s, const char *id, const char *name, struct err *e)
{
	return s ? run_all(c, s, s->post_start, s->n_post_start, id, name, e) : 0;
}

static bool has_pre_stop(const struct project *p)
{
	for (size_t i = 0; p && i < p->n_services; i++) {
		if (p->services[i].n_pre_stop > 0) {
			return true;
		}
	}
	return false;
}

int compose_pre_stop(struct compose *c, const char *id, const char *name, struct err *e)
{
	scoped(json) json_t *o = NULL;
	if (c->dry_run || !has_pre_stop(c->project)) {
		return 0;
	}
	if (engine_on(c->cli, "GET", "/containers/", id, "/json", &o, e) < 0) {
		return e->kind == ERR_NOT_FOUND ? 0 : -1; /* there is nothing to stop */
	}
	const json_t *labels = json_object_get(json_object_get(o, "Config"), "Labels");
	const json_t *state = json_object_get(o, "State");
	const struct service *s = project_service(c->project, json_str(labels, LABEL "service"));
	if (!s || strcmp(json_str(state, "Status"), "running") != 0) {
		return 0;
	}
	return run_all(c, s, s->pre_stop, s->n_pre_stop, id, name, e);
}
