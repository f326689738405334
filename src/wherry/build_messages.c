#include "wherry/build_messages.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "buildkit/control.pb-c.h"

/* What a message is made of, until it is packed. */
struct pairs {
	Buildkit__Pair *v, **list;
	size_t n;
};

static struct pairs pairs_of(const json_t *object)
{
	struct pairs p = {.n = json_object_size(object)};
	const char *key;
	json_t *v;
	size_t i = 0;
	p.v = xnew_array(Buildkit__Pair, p.n + 1);
	p.list = xnew_array(Buildkit__Pair *, p.n + 1);
	json_object_foreach ((json_t *)(uintptr_t)object, key, v) {
		buildkit__pair__init(&p.v[i]);
		p.v[i].key = (char *)(uintptr_t)key;
		p.v[i].value = (char *)(uintptr_t)json_string_value(v);
		p.list[i] = &p.v[i];
		i++;
	}
	return p;
}

static void pairs_free(struct pairs *p)
{
	free(p->v);
	free(p->list);
}

/* {"type", "attrs"} of the exporters and {"Type", "Attrs"} of the caches look alike on the wire. */
struct entries {
	Buildkit__CacheEntry *v, **list;
	struct pairs *attrs;
	size_t n;
};

static struct entries entries_of(const json_t *array, const char *type, const char *attrs)
{
	struct entries e = {.n = json_array_size(array)};
	e.v = xnew_array(Buildkit__CacheEntry, e.n + 1);
	e.list = xnew_array(Buildkit__CacheEntry *, e.n + 1);
	e.attrs = xnew_array(struct pairs, e.n + 1);
	for (size_t i = 0; i < e.n; i++) {
		const json_t *o = json_array_get(array, i);
		e.attrs[i] = pairs_of(json_object_get(o, attrs));
		buildkit__cache_entry__init(&e.v[i]);
		e.v[i].type = (char *)(uintptr_t)json_str(o, type);
		e.v[i].n_attrs = e.attrs[i].n;
		e.v[i].attrs = e.attrs[i].list;
		e.list[i] = &e.v[i];
	}
	return e;
}

static void entries_free(struct entries *e)
{
	for (size_t i = 0; i < e->n; i++) {
		pairs_free(&e->attrs[i]);
	}
	free(e->attrs);
	free(e->v);
	free(e->list);
}

static void pack(const ProtobufCMessage *m, struct buf *ret)
{
	size_t n = protobuf_c_message_get_packed_size(m);
	protobuf_c_message_pack(m, (uint8_t *)buf_room(ret, n + 1));
	buf_added(ret, n);
}

void build_pack_solve(
	const struct build_request *r, const char *ref, const char *session, struct buf *ret)
{
	Buildkit__SolveRequest m = BUILDKIT__SOLVE_REQUEST__INIT;
	Buildkit__CacheOptions cache = BUILDKIT__CACHE_OPTIONS__INIT;
	struct pairs attrs = pairs_of(r->attrs);
	struct entries to = entries_of(r->cache_to, "Type", "Attrs");
	struct entries from = entries_of(r->cache_from, "Type", "Attrs");
	struct entries exports = entries_of(r->exports, "type", "attrs");
	Buildkit__Exporter *list = xnew_array(Buildkit__Exporter, exports.n + 1);
	Buildkit__Exporter **exporters = xnew_array(Buildkit__Exporter *, exports.n + 1);
	for (size_t i = 0; i < exports.n; i++) {
		buildkit__exporter__init(&list[i]);
		list[i].type = exports.v[i].type;
		list[i].n_attrs = exports.v[i].n_attrs;
		list[i].attrs = exports.v[i].attrs;
		exporters[i] = &list[i];
	}
	m.ref = (char *)(uintptr_t)ref;
	m.session = (char *)(uintptr_t)session;
	m.frontend = "dockerfile.v0";
	m.n_frontend_attrs = attrs.n;
	m.frontend_attrs = attrs.list;
	cache.n_exports = to.n;
	cache.exports = to.list;
	cache.n_imports = from.n;
	cache.imports = from.list;
	m.cache = &cache;
	m.n_entitlements = r->entitlements.n;
	m.entitlements = r->entitlements.v;
	m.n_exporters = exports.n;
	m.exporters = exporters;
	if (exports.n > 0) { /* for engines that know only one */
		m.exporter = list[0].type;
		m.n_exporter_attrs = list[0].n_attrs;
		m.exporter_attrs = list[0].attrs;
	}
	pack(&m.base, ret);
	free(exporters);
	free(list);
	entries_free(&exports);
	entries_free(&from);
	entries_free(&to);
	pairs_free(&attrs);
}

static int malformed(struct err *e)
{
	return err_set(e, ERR_SYSTEM, "the engine sent a malformed answer");
}

json_t *build_unpack_solved(const struct buf *bytes, struct err *e)
{
	Buildkit__SolveResponse *m =
		buildkit__solve_response__unpack(NULL, bytes->len, (const uint8_t *)buf_str(bytes));
	if (!m) {
		malformed(e);
		return NULL;
	}
	json_t *ret = json_object();
	for (size_t i = 0; i < m->n_exporter_response; i++) {
		json_put_str(ret, m->exporter_response[i]->key, m->exporter_response[i]->value);
	}
	buildkit__solve_response__free_unpacked(m, NULL);
	return ret;
}

void build_pack_status(const char *ref, struct buf *ret)
{
	Buildkit__StatusRequest m = BUILDKIT__STATUS_REQUEST__INIT;
	m.ref = (char *)(uintptr_t)ref;
	pack(&m.base, ret);
}

/* --- status --- */

static int64_t ns_of(const Buildkit__Timestamp *t)
{
	bool fits = t && t->seconds > 0 && t->seconds < INT64_MAX / NS_PER_SEC - 1;
	return fits ? t->seconds * NS_PER_SEC + t->nanos : 0;
}

/* Bytes of a message as a string; kept by *keep. */
static const char *text_of(const ProtobufCBinaryData *b, struct strv *keep)
{
	strv_addn(keep, b->len ? (const char *)b->data : "", b->len);
	return keep->v[keep->n - 1];
}

static struct build_vertex vertex_of(const Buildkit__Vertex *v)
{
	return (struct build_vertex){.digest = v->digest,
		.name = v->name,
		.error = v->error,
		.inputs = (const char *const *)v->inputs,
		.n_inputs = v->n_inputs,
		.started_ns = ns_of(v->started),
		.completed_ns = ns_of(v->completed),
		.cached = v->cached};
}

static struct build_status status_of(const Buildkit__VertexStatus *s)
{
	return (struct build_status){.vertex = s->vertex,
		.id = s->id,
		.name = s->name,
		.current = s->current,
		.total = s->total,
		.time_ns = ns_of(s->timestamp),
		.started_ns = ns_of(s->started),
		.completed_ns = ns_of(s->completed)};
}

static struct build_log log_of(const Buildkit__VertexLog *l)
{
	return (struct build_log){.vertex = l->vertex,
		.stream = (int)l->stream,
		.data = (const char *)l->msg.data,
		.n = l->msg.len,
		.time_ns = ns_of(l->timestamp)};
}

static struct build_warning warning_of(const Buildkit__VertexWarning *w, struct strv *keep)
{
	struct build_warning ret = {.vertex = w->vertex,
		.brief = text_of(&w->brief, keep),
		.url = w->url,
		.level = (int)w->level};
	if (w->info) {
		ret.file = w->info->filename;
		ret.source = text_of(&w->info->data, keep);
	}
	if (w->n_ranges > 0 && w->ranges[0]->start) {
		ret.line = w->ranges[0]->start->line;
		ret.last_line = w->ranges[0]->end ? w->ranges[0]->end->line : ret.line;
	}
	return ret;
}

/* strv moves its array when it grows, never its strings. */
static void give_update(
	const Buildkit__StatusResponse *m, build_update_fn *fn, void *owner, struct strv *keep)
{
	scoped(free) struct build_vertex *vertices =
		xnew_array(struct build_vertex, m->n_vertexes + 1);
	scoped(free) struct build_status *statuses =
		xnew_array(struct build_status, m->n_statuses + 1);
	scoped(free) struct build_log *logs = xnew_array(struct build_log, m->n_logs + 1);
	scoped(free) struct build_warning *warnings =
		xnew_array(struct build_warning, m->n_warnings + 1);
	for (size_t i = 0; i < m->n_vertexes; i++) {
		vertices[i] = vertex_of(m->vertexes[i]);
	}
	for (size_t i = 0; i < m->n_statuses; i++) {
		statuses[i] = status_of(m->statuses[i]);
	}
	for (size_t i = 0; i < m->n_logs; i++) {
		logs[i] = log_of(m->logs[i]);
	}
	const char ***details = xnew_array(const char **, m->n_warnings + 1);
	for (size_t i = 0; i < m->n_warnings; i++) {
		const Buildkit__VertexWarning *w = m->warnings[i];
		warnings[i] = warning_of(w, keep);
		details[i] = xnew_array(const char *, w->n_detail + 1);
		for (size_t k = 0; k < w->n_detail; k++) {
			details[i][k] = text_of(&w->detail[k], keep);
		}
		warnings[i].detail = details[i];
		warnings[i].n_detail = w->n_detail;
	}
	const struct build_update u = {vertices, statuses, logs, warnings, m->n_vertexes,
		m->n_statuses, m->n_logs, m->n_warnings};
	fn(owner, &u);
	for (size_t i = 0; i < m->n_warnings; i++) {
		free(details[i]);
	}
	free(details);
}

int build_unpack_status(const struct buf *bytes, build_update_fn *fn, void *owner, struct err *e)
{
	Buildkit__StatusResponse *m = buildkit__status_response__unpack(
		NULL, bytes->len, (const uint8_t *)buf_str(bytes));
	scoped(strv) struct strv keep = STRV_INIT;
	if (!m) {
		return malformed(e);
	}
	give_update(m, fn, owner, &keep);
	buildkit__status_response__free_unpacked(m, NULL);
	return 0;
}

/* --- the place of an error --- */

void build_place_deinit(struct build_place *p)
{
	free(p->file);
	free(p->text);
	*p = (struct build_place){0};
}

/* errdefs.Source as JSON: {"info": {"filename", "data": base64}, "ranges": [{"start": {"line",
 * "character"}, "end"}]}. */
static void read_place(const json_t *doc, struct build_place *ret)
{
	const json_t *info = json_object_get(doc, "info");
	const json_t *range = json_array_get(json_object_get(doc, "ranges"), 0);
	const json_t *start = json_object_get(range, "start");
	const char *data = json_str(info, "data");
	scoped(buf) struct buf text = BUF_INIT;
	int64_t line = json_i64(start, "line", 0);
	if (!range || line < 1 || line > INT32_MAX ||
		base64_decode(data, strlen(data), &text) < 0) {
		return;
	}
	int64_t last = json_i64(json_object_get(range, "end"), "line", line);
	build_place_deinit(ret);
	*ret = (struct build_place){.file = xstrdup(json_str(info, "filename")),
		.line = (int)line,
		.last_line = last < line || last > INT32_MAX ? (int)line : (int)last};
	ret->text = buf_take_str(&text);
}

void build_unpack_place(const struct buf *details, struct build_place *ret)
{
	if (!details || details->len == 0) {
		return;
	}
	Buildkit__RpcStatus *m =
		buildkit__rpc_status__unpack(NULL, details->len, (const uint8_t *)buf_str(details));
	for (size_t i = 0; m && i < m->n_details; i++) {
		const Buildkit__Detail *d = m->details[i];
		struct err ignored;
		if (!strstr(d->type_url, "errdefs.Source")) {
			continue;
		}
		scoped(json) json_t *doc = json_parse(
			(const char *)d->value.data, d->value.len, "the details", &ignored);
		if (doc) {
			read_place(doc, ret);
		}
	}
	if (m) {
		buildkit__rpc_status__free_unpacked(m, NULL);
	}
}
