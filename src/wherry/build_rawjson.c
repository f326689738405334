/* The updates as JSON, as buildx --progress=rawjson and `docker buildx history` have them
 * (buildkit client.SolveStatus): times RFC 3339, bytes base64, absent what is empty. */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "wherry/build_display.h"

static void put_time(json_t *o, const char *key, int64_t ns)
{
	char text[CLOCK_TEXT_MAX];
	if (ns) {
		json_put_str(o, key, clock_format(ns, text));
	}
}

static void put_some(json_t *o, const char *key, const char *text)
{
	if (text && *text) {
		json_put_str(o, key, text);
	}
}

static void put_number(json_t *o, const char *key, int64_t value)
{
	if (value) {
		json_put(o, key, json_integer(value));
	}
}

static json_t *base64_of(const char *data, size_t n)
{
	scoped(buf) struct buf text = BUF_INIT;
	base64_encode(data, n, &text);
	return json_string(buf_str(&text));
}

static json_t *vertex_json(const struct build_vertex *v)
{
	json_t *o = json_object();
	put_some(o, "digest", v->digest);
	json_t *inputs = json_array();
	for (size_t i = 0; i < v->n_inputs; i++) {
		json_array_append_new(inputs, json_string(v->inputs[i]));
	}
	json_put(o, "inputs", v->n_inputs > 0 ? json_incref(inputs) : NULL);
	json_decref(inputs);
	put_some(o, "name", v->name);
	put_time(o, "started", v->started_ns);
	put_time(o, "completed", v->completed_ns);
	json_put(o, "cached", v->cached ? json_true() : NULL);
	put_some(o, "error", v->error);
	return o;
}

static json_t *status_json(const struct build_status *s)
{
	json_t *o = json_object();
	json_put_str(o, "id", s->id);
	put_some(o, "vertex", s->vertex);
	put_some(o, "name", s->name);
	put_number(o, "total", s->total);
	json_put(o, "current", json_integer(s->current));
	put_time(o, "timestamp", s->time_ns);
	put_time(o, "started", s->started_ns);
	put_time(o, "completed", s->completed_ns);
	return o;
}

static json_t *log_json(const struct build_log *l)
{
	json_t *o = json_object();
	put_some(o, "vertex", l->vertex);
	put_number(o, "stream", l->stream);
	json_put(o, "data", base64_of(l->data, l->n));
	put_time(o, "timestamp", l->time_ns);
	return o;
}

static json_t *warning_json(const struct build_warning *w)
{
	json_t *o = json_object();
	json_t *detail = json_array();
	put_some(o, "vertex", w->vertex);
	put_number(o, "level", w->level);
	json_put(o, "short", base64_of(w->brief, strlen(w->brief)));
	for (size_t i = 0; i < w->n_detail; i++) {
		json_array_append_new(detail, base64_of(w->detail[i], strlen(w->detail[i])));
	}
	json_put(o, "detail", w->n_detail > 0 ? json_incref(detail) : NULL);
	json_decref(detail);
	put_some(o, "url", w->url);
	if (w->file && w->source) {
		json_put(o, "sourceInfo",
			json_pack("{s:s,s:o}", "filename", w->file, "data",
				base64_of(w->source, strlen(w->source))));
	}
	if (w->line > 0) {
		int last = w->last_line < w->line ? w->line : w->last_line;
		json_put(o, "range",
			json_pack("[{s:{s:i},s:{s:i}}]", "start", "line", w->line, "end", "line",
				last));
	}
	return o;
}

#define PUT_LIST(doc, key, list, n, fn)                                  \
	do {                                                             \
		json_t *array = json_array();                            \
		for (size_t i_ = 0; i_ < (n); i_++) {                    \
			json_array_append_new(array, fn(&(list)[i_]));   \
		}                                                        \
		json_put((doc), (key), (n) ? json_incref(array) : NULL); \
		json_decref(array);                                      \
	} while (0)

void build_rawjson(const struct build_update *u, struct buf *ret)
{
	scoped(json) json_t *doc = json_object();
	PUT_LIST(doc, "vertexes", u->vertices, u->n_vertices, vertex_json);
	PUT_LIST(doc, "statuses", u->statuses, u->n_statuses, status_json);
	PUT_LIST(doc, "logs", u->logs, u->n_logs, log_json);
	PUT_LIST(doc, "warnings", u->warnings, u->n_warnings, warning_json);
	scoped(free) char *text = json_dumps(doc, JSON_INDENT(2));
	buf_puts(ret, text ? text : "{}");
	buf_putc(ret, '\n');
}
