/* What a build says, and why it failed, as BuildKit's messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/text.h"
#include "buildkit/failure.h"
#include "buildkit/status.h"
#include "control.pb-c.h"

static struct status *build;

static int begin(void **state)
{
	build = status_new();
	return 0;
}

static int end(void **state)
{
	status_free(build);
	return 0;
}

static Buildkit__StatusResponse *packed(const char *text)
{
	scoped(json) json_t *msg = json_loads(text, 0, NULL);
	scoped(buf) struct buf b = BUF_INIT;
	assert_non_null(msg);
	assert_true(status_pack(build, msg, &b));
	Buildkit__StatusResponse *r =
		buildkit__status_response__unpack(NULL, b.len, (uint8_t *)b.data);
	assert_non_null(r);
	return r;
}

static void vertices_keep_names_times_and_inputs(void **state)
{
	char first[STATUS_DIGEST_MAX];
	status_digest(build, 1, first);
	Buildkit__StatusResponse *r = packed(
		"{\"vertex\": {\"id\": 3, \"name\": \"[2/2] RUN x\", \"inputs\": [1, 2],"
		" \"started\": 5000000007, \"completed\": 6000000000, \"cached\": true, \"error\": \"no\"}}");
	assert_int_equal(r->n_vertexes, 1);
	Buildkit__Vertex *v = r->vertexes[0];
	assert_string_equal(v->name, "[2/2] RUN x");
	assert_int_equal(v->n_inputs, 2);
	assert_string_equal(v->inputs[0], first);
	assert_string_not_equal(v->digest, first);
	assert_int_equal(v->started->seconds, 5);
	assert_int_equal(v->started->nanos, 7);
	assert_int_equal(v->completed->seconds, 6);
	assert_true(v->cached);
	assert_string_equal(v->error, "no");
	buildkit__status_response__free_unpacked(r, NULL);
}

static void a_vertex_that_only_is_known_has_no_times(void **state)
{
	Buildkit__StatusResponse *r = packed("{\"vertex\": {\"id\": 1, \"name\": \"x\"}}");
	assert_null(r->vertexes[0]->started);
	assert_null(r->vertexes[0]->completed);
	buildkit__status_response__free_unpacked(r, NULL);
}

static void each_update_has_all_that_is_known(void **state)
{
	Buildkit__StatusResponse *r =
		packed("{\"vertex\": {\"id\": 4, \"name\": \"x\", \"inputs\": [1]}}");
	buildkit__status_response__free_unpacked(r, NULL);
	r = packed("{\"vertex\": {\"id\": 4, \"started\": 1000000000}}");
	buildkit__status_response__free_unpacked(r, NULL);

	r = packed("{\"vertex\": {\"id\": 4, \"completed\": 2000000000}}");

	assert_string_equal(r->vertexes[0]->name, "x");
	assert_int_equal(r->vertexes[0]->n_inputs, 1);
	assert_int_equal(r->vertexes[0]->started->seconds, 1);
	assert_int_equal(r->vertexes[0]->completed->seconds, 2);
	buildkit__status_response__free_unpacked(r, NULL);
}

static void logs_statuses_and_warnings_belong_to_their_vertex(void **state)
{
	char seventh[STATUS_DIGEST_MAX];
	status_digest(build, 7, seventh);
	Buildkit__StatusResponse *l =
		packed("{\"log\": {\"vertex\": 7, \"stream\": 2, \"data\": \"ab\", \"time\": 1}}");
	assert_string_equal(l->logs[0]->vertex, seventh);
	assert_int_equal(l->logs[0]->stream, 2);
	assert_memory_equal(l->logs[0]->msg.data, "ab", 2);
	Buildkit__StatusResponse *s = packed(
		"{\"status\": {\"vertex\": 7, \"id\": \"extracting\", \"current\": 1, \"total\": 9}}");
	assert_string_equal(s->statuses[0]->vertex, seventh);
	assert_int_equal(s->statuses[0]->total, 9);
	Buildkit__StatusResponse *w = packed(
		"{\"warning\": {\"vertex\": 7, \"level\": 1, \"rule\": \"R\", \"short\": \"s\","
		" \"detail\": [\"d\"], \"url\": \"u\", \"file\": \"D\", \"lines\": [[2, 3]]}}");
	assert_string_equal(w->warnings[0]->vertex, seventh);
	assert_memory_equal(w->warnings[0]->brief.data, "R: s", 4);
	assert_string_equal(w->warnings[0]->info->filename, "D");
	assert_int_equal(w->warnings[0]->ranges[0]->end->line, 3);
	buildkit__status_response__free_unpacked(l, NULL);
	buildkit__status_response__free_unpacked(s, NULL);
	buildkit__status_response__free_unpacked(w, NULL);
}

static void other_messages_say_nothing(void **state)
{
	scoped(json) json_t *msg = json_pack("{ss}", "stream", "Step 1/1");
	scoped(buf) struct buf b = BUF_INIT;
	assert_false(status_pack(build, msg, &b));
}

/* The one detail, and the text of its Dockerfile. */
static json_t *detail_of(const char *text, int first, int last, struct buf *ret_text)
{
	struct err e;
	scoped(buf) struct buf b = BUF_INIT;
	scoped(json) json_t *source =
		json_pack("{ss s[[ii]] ss}", "file", "D", "lines", first, last, "text", text);
	failure_pack(2, "it failed", source, &b);
	Buildkit__RpcStatus *s = buildkit__rpc_status__unpack(NULL, b.len, (uint8_t *)b.data);
	assert_non_null(s);
	assert_int_equal(s->code, 2);
	assert_string_equal(s->message, "it failed");
	assert_int_equal(s->n_details, 1);
	assert_string_equal(
		s->details[0]->type_url, "github.com/moby/buildkit/errdefs.Source+json");
	json_t *doc = json_parse(
		(char *)s->details[0]->value.data, s->details[0]->value.len, "the detail", &e);
	assert_non_null(doc);
	buildkit__rpc_status__free_unpacked(s, NULL);
	const char *data = json_str(json_object_get(doc, "info"), "data");
	assert_int_equal(base64_decode(data, strlen(data), ret_text), 0);
	return doc;
}

static void a_failure_shows_where_it_is(void **state)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(json) json_t *doc = detail_of("FROM x\nRUN y\n", 2, 2, &text);
	const json_t *range = json_array_get(json_object_get(doc, "ranges"), 0);
	assert_string_equal(buf_str(&text), "FROM x\nRUN y\n");
	assert_int_equal(json_i64(json_object_get(range, "start"), "line", 0), 2);
	assert_int_equal(json_i64(json_object_get(range, "end"), "line", 0), 2);
}

static void of_a_long_dockerfile_only_near_lines_are_sent(void **state)
{
	scoped(buf) struct buf whole = BUF_INIT;
	scoped(buf) struct buf text = BUF_INIT;
	for (int i = 1; i <= 3000; i++) {
		buf_printf(&whole, "RUN line %d\n", i);
	}
	json_decref(detail_of(buf_str(&whole), 2000, 2001, &text));
	assert_true(text.len < 8192);
	const char *p = buf_str(&text);
	for (int i = 1; i < 2000; i++) {
		p = strchr(p, '\n') + 1;
	}
	assert_memory_equal(p, "RUN line 2000\nRUN line 2001\n", 28);
}

static void an_unknown_request_has_its_name(void **state)
{
	scoped(buf) struct buf b = BUF_INIT;
	failure_pack_request(12, "unsupported request frontend.x", "frontend.x", &b);
	Buildkit__RpcStatus *s = buildkit__rpc_status__unpack(NULL, b.len, (uint8_t *)b.data);
	assert_string_equal(
		s->details[0]->type_url, "github.com/moby/buildkit/errdefs.Subrequest+json");
	assert_memory_equal(s->details[0]->value.data, "{\"name\":\"frontend.x\"}", 21);
	buildkit__rpc_status__free_unpacked(s, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vertices_keep_names_times_and_inputs),
		cmocka_unit_test(a_vertex_that_only_is_known_has_no_times),
		cmocka_unit_test(each_update_has_all_that_is_known),
		cmocka_unit_test(logs_statuses_and_warnings_belong_to_their_vertex),
		cmocka_unit_test(other_messages_say_nothing),
		cmocka_unit_test(a_failure_shows_where_it_is),
		cmocka_unit_test(of_a_long_dockerfile_only_near_lines_are_sent),
		cmocka_unit_test(an_unknown_request_has_its_name),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
