#include "wherry/build_trace.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#define SPANS_MAX 64
#define SCREEN_LINES 6

void trace_init(struct trace *t)
{
	*t = (struct trace){.by_key = map_new(), .last_lines = 10, .last_bytes = 64u << 10};
}

static void free_vertex(struct trace_vertex *v)
{
	for (size_t i = 0; i < v->n_statuses; i++) {
		free(v->statuses[i].id);
	}
	for (size_t i = 0; i < v->n_warnings; i++) {
		free(v->warnings[i].brief);
		free(v->warnings[i].detail);
		free(v->warnings[i].url);
		free(v->warnings[i].file);
		free(v->warnings[i].source);
	}
	free(v->statuses);
	free(v->warnings);
	free(v->key);
	free(v->name);
	free(v->error);
	free(v->spans);
	buf_deinit(&v->pending);
	buf_deinit(&v->last);
	build_screen_free(v->screen);
	free(v);
}

void trace_deinit(struct trace *t)
{
	map_each (t->by_key, struct trace_vertex, v) {
		free_vertex(v);
	}
	map_free(t->by_key);
	free(t->started);
}

/* --- vertices --- */

static char *key_of(const char *source, const char *digest)
{
	return xasprintf("%s %s", source, digest);
}

static struct trace_vertex *find(const struct trace *t, const char *source, const char *digest)
{
	scoped(free) char *key = key_of(source, digest ? digest : "");
	return map_get(t->by_key, key);
}

/* "[2/5] RUN x" of service web is "[web 2/5] RUN x"; what has no brackets gets some. */
static char *name_of(const char *source, const char *name)
{
	if (!*source) {
		return xstrdup(name);
	}
	return *name == '[' ? xasprintf("[%s %s", source, name + 1)
			    : xasprintf("[%s] %s", source, name);
}

/* A step that starts again has another span; spans that touch become one. */
static void add_span(struct trace_vertex *v, int64_t from, int64_t to)
{
	for (size_t i = 0; i < v->n_spans; i++) {
		struct trace_span *s = &v->spans[i];
		if (s->from_ns == from) {
			s->to_ns = to;
			return;
		}
	}
	struct trace_span *last = v->n_spans > 0 ? &v->spans[v->n_spans - 1] : NULL;
	if (last && (last->to_ns == 0 || last->to_ns >= from || v->n_spans == SPANS_MAX)) {
		last->to_ns = to == 0 || to > last->to_ns ? to : last->to_ns;
		last->from_ns = from < last->from_ns ? from : last->from_ns;
		return;
	}
	v->spans = xrealloc(v->spans, v->n_spans + 1, sizeof(*v->spans));
	v->spans[v->n_spans++] = (struct trace_span){from, to};
}

static void replace(char **to, const char *text)
{
	if (!*to || strcmp(*to, text) != 0) {
		free(*to);
		*to = xstrdup(text);
	}
}

static struct trace_vertex *add_vertex(struct trace *t, const char *source, const char *digest)
{
	if (map_count(t->by_key) >= TRACE_VERTICES_MAX) {
		return NULL;
	}
	struct trace_vertex *v = xnew(struct trace_vertex);
	v->key = key_of(source, digest);
	map_put(t->by_key, v->key, v);
	return v;
}

static void mark(struct trace_vertex *v, int64_t now_ns)
{
	v->changed = true;
	v->waiting_ns = v->waiting_ns ? v->waiting_ns : now_ns;
}

static void start(struct trace *t, struct trace_vertex *v, int64_t started_ns, int64_t now_ns)
{
	t->started = xrealloc(t->started, t->n_started + 1, sizeof(struct trace_vertex *));
	t->started[t->n_started++] = v;
	if (t->started_ns == 0) {
		t->started_ns = started_ns;
		t->ahead_ns = now_ns - started_ns;
	}
}

static void update_vertex(
	struct trace *t, const char *source, const struct build_vertex *u, int64_t now_ns)
{
	const char *digest = u->digest ? u->digest : "";
	struct trace_vertex *v = find(t, source, digest);
	v = v ? v : add_vertex(t, source, digest);
	if (!v) {
		return;
	}
	if (!v->name || (u->name && *u->name)) {
		scoped(free) char *name = name_of(source, u->name ? u->name : "");
		replace(&v->name, name);
	}
	if (u->started_ns == 0) {
		return; /* only known: it comes again */
	}
	if (v->n_spans == 0) {
		start(t, v, u->started_ns, now_ns);
	}
	bool was_done = trace_is_done(v);
	add_span(v, u->started_ns, u->completed_ns);
	bool changed = !was_done || !trace_is_done(v) || v->cached != u->cached;
	v->cached = u->cached;
	if (u->error && *u->error) {
		replace(&v->error, u->error);
		changed = true;
	}
	if (changed) {
		mark(v, now_ns);
	}
	if (trace_is_done(v)) {
		build_screen_free(v->screen);
		v->screen = NULL;
	}
}

bool trace_is_done(const struct trace_vertex *v)
{
	return v->n_spans > 0 && v->spans[v->n_spans - 1].to_ns != 0;
}

bool trace_is_cancelled(const struct trace_vertex *v)
{
	return v->error && text_ends(v->error, "context canceled");
}

int64_t trace_duration_ns(const struct trace_vertex *v, int64_t now_ns)
{
	int64_t sum = 0;
	for (size_t i = 0; i < v->n_spans; i++) {
		int64_t to = v->spans[i].to_ns ? v->spans[i].to_ns : now_ns;
		sum += to > v->spans[i].from_ns ? to - v->spans[i].from_ns : 0;
	}
	return sum;
}

/* --- statuses, warnings --- */

static void update_status(
	struct trace *t, const char *source, const struct build_status *u, int64_t now_ns)
{
	struct trace_vertex *v = find(t, source, u->vertex);
	if (!v || !u->id) {
		return;
	}
	size_t i = 0;
	while (i < v->n_statuses && strcmp(v->statuses[i].id, u->id) != 0) {
		i++;
	}
	if (i == TRACE_STATUSES_MAX) {
		return;
	}
	if (i == v->n_statuses) {
		v->statuses = xrealloc(v->statuses, i + 1, sizeof(*v->statuses));
		v->statuses[v->n_statuses++] = (struct trace_status){.id = xstrdup(u->id)};
	}
	struct trace_status *s = &v->statuses[i];
	s->current = u->current;
	s->total = u->total;
	s->time_ns = u->time_ns;
	s->started_ns = u->started_ns ? u->started_ns : s->started_ns;
	s->completed_ns = u->completed_ns;
	s->changed = true;
	mark(v, now_ns);
}

static void add_amount(int64_t bytes, struct buf *ret)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
	double value = (double)bytes;
	size_t unit = 0;
	while (value >= 1000 && unit + 1 < sizeof(units) / sizeof(*units)) {
		value /= 1000;
		unit++;
	}
	if (unit == 0) {
		buf_printf(ret, "%lldB", (long long)bytes);
	} else {
		buf_printf(ret, "%.2f%s", value, units[unit]);
	}
}

void trace_amount(const struct trace_status *s, struct buf *ret)
{
	if (s->total != 0) {
		add_amount(s->current, ret);
		buf_puts(ret, " / ");
		add_amount(s->total, ret);
	} else if (s->current != 0) {
		add_amount(s->current, ret);
	}
}

static char *join_lines(const char *const *lines, size_t n)
{
	struct buf text = BUF_INIT;
	for (size_t i = 0; i < n; i++) {
		buf_printf(&text, "%s%s", i > 0 ? "\n" : "", lines[i]);
	}
	return buf_take_str(&text);
}

static void update_warning(
	struct trace *t, const char *source, const struct build_warning *u, int64_t now_ns)
{
	struct trace_vertex *v = find(t, source, u->vertex);
	if (!v || v->n_warnings == TRACE_WARNINGS_MAX) {
		return;
	}
	v->warnings = xrealloc(v->warnings, v->n_warnings + 1, sizeof(*v->warnings));
	v->warnings[v->n_warnings++] = (struct trace_warning){
		.brief = xstrdup(u->brief ? u->brief : ""),
		.detail = join_lines(u->detail, u->n_detail),
		.url = xstrdup(u->url ? u->url : ""),
		.file = xstrdup(u->file ? u->file : ""),
		.source = xstrdup(u->source),
		.line = u->line,
		.last_line = u->last_line,
	};
	mark(v, now_ns);
}

/* --- output --- */

/* Seconds since the step's start with as many decimals as fit in five characters. */
static void add_time(const struct trace_vertex *v, int64_t time_ns, struct buf *ret)
{
	int64_t from = v->n_spans > 0 ? v->spans[v->n_spans - 1].from_ns : time_ns;
	double s = (double)(time_ns > from ? time_ns - from : 0) / (double)NS_PER_SEC;
	buf_printf(ret, "%.*f ", s < 10 ? 3 : s < 100 ? 2 : 1, s);
}

/* Keeps the newest lines. */
static void trim_last(const struct trace *t, struct trace_vertex *v)
{
	size_t lines = 0;
	size_t keep = v->last.len;
	const char *data = buf_str(&v->last);
	while (keep > 0) {
		bool ends = data[keep - 1] == '\n';
		lines += ends && keep < v->last.len;
		if (lines == t->last_lines || v->last.len - keep == t->last_bytes) {
			break;
		}
		keep--;
	}
	buf_consume(&v->last, keep);
}

/* The same for what waits to be shown: it is dropped in whole lines, and that is said. */
static void trim_pending(struct trace_vertex *v)
{
	static const char note[] = "[output clipped, it came faster than it could be shown]\n";
	if (v->pending.len <= TRACE_PENDING_MAX) {
		return;
	}
	const char *data = buf_str(&v->pending);
	const char *half = data + v->pending.len - TRACE_PENDING_MAX / 2;
	const char *end = memchr(half, '\n', (size_t)(data + v->pending.len - half));
	scoped(buf) struct buf rest = BUF_INIT;
	buf_puts(&rest, v->mid_show ? "\n" : "");
	buf_puts(&rest, note);
	const char *from = end ? end + 1 : half;
	buf_append(&rest, from, (size_t)(data + v->pending.len - from));
	buf_clear(&v->pending);
	buf_append(&v->pending, rest.data, rest.len);
}

static void add_piece(struct trace_vertex *v, bool continues, const char *time, const char *data,
	size_t n, bool ended, struct buf *ret)
{
	buf_puts(ret, continues ? "" : time);
	buf_append(ret, data, n);
	buf_puts(ret, ended ? "\n" : "");
}

static void update_log(
	struct trace *t, const char *source, const struct build_log *u, int64_t now_ns)
{
	struct trace_vertex *v = find(t, source, u->vertex);
	if (!v || u->n == 0) {
		return;
	}
	scoped(buf) struct buf time = BUF_INIT;
	add_time(v, u->time_ns, &time);
	for (const char *p = u->data, *end = u->data + u->n; p < end;) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((newline ? newline : end) - p);
		add_piece(v, v->mid_line, buf_str(&time), p, n, newline, &v->last);
		if (!t->screens) {
			add_piece(v, v->mid_line, buf_str(&time), p, n, newline, &v->pending);
		}
		v->mid_line = !newline;
		p += n + (newline ? 1 : 0);
		if (v->last.len > 2 * t->last_bytes) {
			trim_last(t, v);
		}
	}
	trim_last(t, v);
	trim_pending(v);
	v->output_bytes += u->n;
	if (t->screens && !trace_is_done(v)) {
		v->screen = v->screen ? v->screen : build_screen_new(SCREEN_LINES);
		build_screen_write(v->screen, u->data, u->n);
	}
	mark(v, now_ns);
}

void trace_update(struct trace *t, const char *source, const struct build_update *u, int64_t now_ns)
{
	for (size_t i = 0; i < u->n_vertices; i++) {
		update_vertex(t, source, &u->vertices[i], now_ns);
	}
	for (size_t i = 0; i < u->n_statuses; i++) {
		update_status(t, source, &u->statuses[i], now_ns);
	}
	for (size_t i = 0; i < u->n_warnings; i++) {
		update_warning(t, source, &u->warnings[i], now_ns);
	}
	for (size_t i = 0; i < u->n_logs; i++) {
		update_log(t, source, &u->logs[i], now_ns);
	}
}
