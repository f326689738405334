/* GET /distribution/{name}/json and GET /images/search: a worker asks the registry. */
#include <string.h>

#include "api/call.h"
#include "api/filters.h"
#include "api/handlers.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/text.h"
#include "codec/ref.h"
#include "job/job.h"

#define SEARCH_DEFAULT 25
#define SEARCH_MAX 100

static void refuse(struct call *c, enum err_kind kind, const char *message)
{
	struct err e;
	err_set(&e, kind, "%s", message);
	call_reply_error(c, &e);
}

/* Starts the job; handlers' done answers and drops the reference that is taken here. Wrong
 * credentials count as none, as in dockerd. */
static void ask(struct call *c, json_t *take_request, const struct job_handlers *handlers)
{
	struct err e;
	json_t *auth = NULL;
	scoped(json) json_t *request = take_request;
	if (call_auth_header(c, "X-Registry-Auth", &auth, &e) == 0) {
		json_put(request, "auth", auth);
	}
	json_put(request, "registry",
		json_pack("{sO*}", "insecure-registries",
			json_object_get(c->api->d.config, "insecure-registries")));
	call_ref(c);
	if (!job_start(c->api->d.jobs, "registry", TAKE(request), -1, false, handlers, c, &e)) {
		handlers->done(c, NULL, NULL, &e);
	}
}

/* --- distribution --- */

static void inspected(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct call *c = owner;
	if (result) {
		call_reply_json(c, 200, json_incref(result));
	} else {
		call_reply_error(c, e);
	}
	call_unref(c);
}

/* Clients ask for a manifest without pulling it before they make a service of it. */
void distribution_inspect(struct call *c)
{
	static const struct job_handlers handlers = {NULL, NULL, inspected};
	struct ref ref;
	struct err e;
	char canonical[REF_TEXT_MAX];
	if (strncmp(c->args[0], "sha256:", 7) == 0 || text_is_hex(c->args[0], 64)) {
		refuse(c, ERR_INVALID, "no manifest found for full image ID");
	} else if (ref_parse(c->args[0], &ref, &e) < 0) {
		call_reply_error(c, &e);
	} else {
		ref_default_tag(&ref);
		ask(c,
			json_pack("{ss ss}", "what", "manifest", "reference",
				ref_canonical(&ref, canonical)),
			&handlers);
	}
}

/* --- search --- */

/* What the filters leave. is-automated has no meaning any more: true finds nothing. */
struct wanted {
	bool by_official, official, automated;
	int stars;
};

static int read_filters(struct call *c, struct wanted *ret, struct err *e)
{
	static const char *const allowed[] = {"is-automated", "is-official", "stars", NULL};
	scoped(filters) struct filters *f = filters_read(c, allowed, e);
	const char *stars;
	if (!f || filters_bool(f, "is-automated", false, &ret->automated, e) < 0 ||
		filters_bool(f, "is-official", false, &ret->official, e) < 0) {
		return -1;
	}
	ret->by_official = filters_has(f, "is-official");
	for (size_t i = 0; (stars = filters_value(f, "stars", i)); i++) {
		int n;
		if (parse_int(stars, INT32_MIN, INT32_MAX, &n) < 0) {
			return err_set(e, ERR_INVALID, "invalid filter 'stars=%.64s'", stars);
		}
		ret->stars = n > ret->stars ? n : ret->stars;
	}
	return 0;
}

static void searched(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct call *c = owner;
	struct wanted w = {0};
	struct err ignored;
	if (!result) {
		call_reply_error(c, e);
		call_unref(c);
		return;
	}
	json_t *list = json_array();
	size_t i;
	json_t *found;
	bool any = c->r && read_filters(c, &w, &ignored) == 0 && !w.automated;
	json_array_foreach (json_object_get(result, "results"), i, found) {
		if (any && (!w.by_official || w.official == json_bool(found, "is_official")) &&
			json_i64(found, "star_count", 0) >= w.stars) {
			json_array_append(list, found);
		}
	}
	call_reply_json(c, 200, list);
	call_unref(c);
}

static bool names_a_registry(const char *term, size_t n)
{
	scoped(free) char *first = xstrndup(term, n);
	return term[n] == '/' && (strpbrk(first, ".:") || strcmp(first, "localhost") == 0);
}

/* "host/term" or a term for Docker Hub, as a reference in which only the host counts. */
static json_t *search_request(const char *term, int limit, struct err *e)
{
	struct ref ref;
	size_t n = strcspn(term, "/");
	bool private = names_a_registry(term, n);
	if (strstr(term, "://")) {
		(void)err_set(e, ERR_INVALID,
			"invalid repository name: repository name (%.128s) should not have a scheme",
			term);
		return NULL;
	}
	scoped(free) char *reference =
		xasprintf("%.*s/x", private ? (int)n : (int)strlen(REF_DEFAULT_DOMAIN),
			private ? term : REF_DEFAULT_DOMAIN);
	if (ref_parse(reference, &ref, e) < 0) {
		return NULL;
	}
	term += private ? n + 1 : text_starts(term, "library/") ? strlen("library/") : 0;
	return json_pack("{ss ss ss si}", "what", "search", "reference", reference, "term", term,
		"limit", limit);
}

void images_search(struct call *c)
{
	static const struct job_handlers handlers = {NULL, NULL, searched};
	struct wanted ignored = {0};
	struct err e;
	int limit;
	if (call_query_int(c, "limit", 0, &limit, &e) < 0) {
		err_wrap(&e, "invalid limit specified");
		call_reply_error(c, &e);
		return;
	}
	if (limit < 0) {
		refuse(c, ERR_INVALID, "invalid limit specified");
		return;
	}
	if (read_filters(c, &ignored, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	if (limit > SEARCH_MAX) {
		err_set(&e, ERR_INVALID, "limit %d is outside the range of [1, %d]", limit,
			SEARCH_MAX);
		call_reply_error(c, &e);
		return;
	}
	json_t *request = search_request(
		call_query_or(c, "term", ""), limit > 0 ? limit : SEARCH_DEFAULT, &e);
	if (!request) {
		call_reply_error(c, &e);
		return;
	}
	ask(c, request, &handlers);
}
