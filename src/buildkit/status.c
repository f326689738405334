#include "buildkit/status.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "control.pb-c.h"

#define INPUTS_MAX 1024 /* of one vertex */
#define LINES_MAX 64    /* of one warning */
#define VERTICES_MAX 16384

struct status {
	char nonce[ID_LEN + 1];
	json_t *vertices; /* id as text -> all members that were said */
};

struct status *status_new(void)
{
	struct status *s = xnew(struct status);
	id_new(s->nonce);
	s->vertices = json_object();
	return s;
}

void status_free(struct status *s)
{
	if (s) {
		json_decref(s->vertices);
		free(s);
	}
}

void status_digest(const struct status *s, json_int_t id, char ret[static STATUS_DIGEST_MAX])
{
	scoped(free) char *text = xasprintf("%s/%lld", s->nonce, (long long)id);
	sha256_digest(text, strlen(text), ret);
}

/* A time of the message, in *space, or NULL. */
static Buildkit__Timestamp *time_of(const json_t *o, const char *key, Buildkit__Timestamp *space)
{
	int64_t ns = json_i64(o, key, 0);
	if (ns <= 0) {
		return NULL;
	}
	buildkit__timestamp__init(space);
	space->seconds = ns / NS_PER_SEC;
	space->nanos = (int32_t)(ns % NS_PER_SEC);
	return space;
}

static char *text_of(const json_t *o, const char *key)
{
	return (char *)json_str(o, key); /* protobuf-c does not write to it */
}

static ProtobufCBinaryData bytes_of(const char *text)
{
	return (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
}

static void pack(const Buildkit__StatusResponse *r, struct buf *ret)
{
	size_t n = buildkit__status_response__get_packed_size(r);
	buf_clear(ret);
	buildkit__status_response__pack(r, (uint8_t *)buf_room(ret, n));
	buf_added(ret, n);
}

static void pack_vertex(const struct status *s, const json_t *o, struct buf *ret)
{
	char own[STATUS_DIGEST_MAX];
	char digests[INPUTS_MAX][STATUS_DIGEST_MAX];
	char *inputs[INPUTS_MAX];
	Buildkit__Timestamp started, completed;
	Buildkit__Vertex v = BUILDKIT__VERTEX__INIT;
	Buildkit__Vertex *list = &v;
	Buildkit__StatusResponse r = BUILDKIT__STATUS_RESPONSE__INIT;
	size_t i;
	json_t *input;
	json_array_foreach (json_object_get(o, "inputs"), i, input) {
		if (v.n_inputs < INPUTS_MAX) {
			status_digest(s, json_integer_value(input), digests[v.n_inputs]);
			inputs[v.n_inputs] = digests[v.n_inputs];
			v.n_inputs++;
		}
	}
	status_digest(s, json_i64(o, "id", 0), own);
	v.digest = own;
	v.inputs = inputs;
	v.name = text_of(o, "name");
	v.cached = json_bool(o, "cached");
	v.started = time_of(o, "started", &started);
	v.completed = time_of(o, "completed", &completed);
	v.error = text_of(o, "error");
	r.n_vertexes = 1;
	r.vertexes = &list;
	pack(&r, ret);
}

static void pack_log(const struct status *s, const json_t *o, struct buf *ret)
{
	char own[STATUS_DIGEST_MAX];
	Buildkit__Timestamp at;
	Buildkit__VertexLog l = BUILDKIT__VERTEX_LOG__INIT;
	Buildkit__VertexLog *list = &l;
	Buildkit__StatusResponse r = BUILDKIT__STATUS_RESPONSE__INIT;
	status_digest(s, json_i64(o, "vertex", 0), own);
	l.vertex = own;
	l.timestamp = time_of(o, "time", &at);
	l.stream = json_i64(o, "stream", 1);
	l.msg = bytes_of(json_str(o, "data"));
	r.n_logs = 1;
	r.logs = &list;
	pack(&r, ret);
}

static void pack_state(const struct status *s, const json_t *o, struct buf *ret)
{
	char own[STATUS_DIGEST_MAX];
	Buildkit__Timestamp at, started, completed;
	Buildkit__VertexStatus v = BUILDKIT__VERTEX_STATUS__INIT;
	Buildkit__VertexStatus *list = &v;
	Buildkit__StatusResponse r = BUILDKIT__STATUS_RESPONSE__INIT;
	status_digest(s, json_i64(o, "vertex", 0), own);
	v.id = text_of(o, "id");
	v.vertex = own;
	v.current = json_i64(o, "current", 0);
	v.total = json_i64(o, "total", 0);
	v.timestamp = time_of(o, "time", &at);
	v.started = time_of(o, "started", &started);
	v.completed = time_of(o, "completed", &completed);
	r.n_statuses = 1;
	r.statuses = &list;
	pack(&r, ret);
}

struct lines {
	Buildkit__Range ranges[LINES_MAX];
	Buildkit__Position ends[2 * LINES_MAX];
	Buildkit__Range *list[LINES_MAX];
	size_t n;
};

static void read_lines(const json_t *lines, struct lines *ret)
{
	size_t i;
	json_t *pair;
	json_array_foreach (lines, i, pair) {
		if (ret->n == LINES_MAX) {
			break;
		}
		Buildkit__Range *r = &ret->ranges[ret->n];
		buildkit__range__init(r);
		for (size_t k = 0; k < 2; k++) {
			Buildkit__Position *p = &ret->ends[2 * ret->n + k];
			buildkit__position__init(p);
			p->line = (int32_t)json_integer_value(json_array_get(pair, k));
		}
		r->start = &ret->ends[2 * ret->n];
		r->end = &ret->ends[2 * ret->n + 1];
		ret->list[ret->n++] = r;
	}
}

/* Clients show the rule in front of the sentence: "StageNameCasing: Stage name ...". */
static void pack_warning(const struct status *s, const json_t *o, struct buf *ret)
{
	char own[STATUS_DIGEST_MAX];
	struct lines lines = {.n = 0};
	ProtobufCBinaryData detail[LINES_MAX];
	Buildkit__SourceInfo info = BUILDKIT__SOURCE_INFO__INIT;
	Buildkit__VertexWarning w = BUILDKIT__VERTEX_WARNING__INIT;
	Buildkit__VertexWarning *list = &w;
	Buildkit__StatusResponse r = BUILDKIT__STATUS_RESPONSE__INIT;
	const char *rule = json_str(o, "rule");
	const char *text_said = json_str(o, "short");
	bool has_rule = !*rule || text_starts(text_said, rule);
	scoped(free) char *brief =
		xasprintf("%s%s%s", has_rule ? "" : rule, has_rule ? "" : ": ", text_said);
	size_t i;
	json_t *text;
	json_array_foreach (json_object_get(o, "detail"), i, text) {
		if (w.n_detail < LINES_MAX && json_is_string(text)) {
			detail[w.n_detail++] = bytes_of(json_string_value(text));
		}
	}
	read_lines(json_object_get(o, "lines"), &lines);
	status_digest(s, json_i64(o, "vertex", 0), own);
	w.vertex = own;
	w.level = json_i64(o, "level", 1);
	w.brief = bytes_of(brief);
	w.detail = detail;
	w.url = text_of(o, "url");
	if (*json_str(o, "file")) {
		info.filename = text_of(o, "file");
		info.data = bytes_of(json_str(o, "text"));
		info.language = (char *)"Dockerfile";
		w.info = &info;
		w.n_ranges = lines.n;
		w.ranges = lines.list;
	}
	r.n_warnings = 1;
	r.warnings = &list;
	pack(&r, ret);
}

/* The vertex with what was said of it before. Borrowed. */
static const json_t *merged(const struct status *s, const json_t *o)
{
	char key[24];
	snprintf(key, sizeof(key), "%lld", (long long)json_i64(o, "id", 0));
	json_t *all = json_object_get(s->vertices, key);
	if (!all && json_object_size(s->vertices) < VERTICES_MAX) {
		all = json_object();
		json_put(s->vertices, key, all);
	}
	if (all) {
		json_object_update(all, (json_t *)o);
	}
	return all ? all : o;
}

bool status_pack(struct status *s, const json_t *msg, struct buf *ret)
{
	static const struct {
		const char *key;
		void (*pack)(const struct status *s, const json_t *o, struct buf *ret);
	} kinds[] = {
		{"vertex", pack_vertex},
		{"log", pack_log},
		{"status", pack_state},
		{"warning", pack_warning},
	};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		const json_t *o = json_object_get(msg, kinds[i].key);
		if (json_is_object(o)) {
			kinds[i].pack(s, i == 0 ? merged(s, o) : o, ret);
			return true;
		}
	}
	return false;
}
