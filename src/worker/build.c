/* The "build" job: context in, image out (worker/build.h). */
#include "worker/build.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/scoped.h"
#include "base/text.h"
#include "build/excerpt.h"
#include "codec/sha256.h"
#include "worker/build_cache_remote.h"
#include "worker/build_context.h"
#include "worker/jobs.h"
#include "worker/overlay.h"
#include "oci/platform.h"
#include "worker/rpc.h"
#include "worker/sync.h"

#define PLATFORMS_MAX 32

void build_mix(char state[static 65], const char *text)
{
	scoped(buf) struct buf both = BUF_INIT;
	char digest[72];
	buf_append(&both, state, 64);
	buf_puts(&both, text);
	sha256_digest(both.data, both.len, digest);
	memcpy(state, digest + 7, 65);
}

/* --- the request --- */

static int read_pairs(const json_t *options, const char *key, struct strv *ret, struct err *e)
{
	json_t *object, *value;
	const char *name;
	if (json_get_object(options, key, &object, e) < 0) {
		return -1;
	}
	json_object_foreach (object, name, value) {
		if (json_is_null(value)) {
			continue; /* `--build-arg X` without X in the client's environment */
		}
		if (!json_is_string(value)) {
			return err_set(e, ERR_INVALID, "%s: the value of %.80s must be a string",
				key, name);
		}
		strv_addf(ret, "%s=%s", name, json_string_value(value));
	}
	return 0;
}

static int open_tmp(struct build *b, struct err *e)
{
	const json_t *tmp = json_object_get(b->request, "tmp");
	b->tmp_dir = json_str(tmp, "dir");
	b->tmp_name = json_str(tmp, "name");
	b->layers_dir = json_str(b->request, "layers_dir");
	b->tmp_fd = open(b->tmp_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return b->tmp_fd < 0 ? err_sys(e, errno, "cannot prepare %s", b->tmp_dir) : 0;
}

static char *platform_name(const struct platform *p)
{
	return xasprintf("%s/%s%s%s", p->os, p->arch, *p->variant ? "/" : "", p->variant);
}

static int add_target(struct build *b, const char *asked, struct err *e)
{
	struct platform wanted;
	if (*asked && platform_parse(asked, &wanted, e) < 0) {
		return -1;
	}
	scoped(free) char *name = *asked ? platform_name(&wanted) : xstrdup("");
	for (size_t k = 0; k < b->n_targets; k++) {
		if (strcmp(b->targets[k].platform, name) == 0) {
			return 0;
		}
	}
	b->targets = xrealloc(b->targets, b->n_targets + 1, sizeof(*b->targets));
	b->targets[b->n_targets++] = (struct build_target){.b = b, .platform = TAKE(name)};
	return 0;
}

/* "platforms", or the one "platform" of the classic call. */
static int add_targets(struct build *b, struct err *e)
{
	scoped(strv) struct strv platforms = STRV_INIT;
	if (json_get_strv(b->options, "platforms", &platforms, e) < 0) {
		return -1;
	}
	if (platforms.n > PLATFORMS_MAX) {
		return err_set(e, ERR_INVALID, "more than %d platforms", PLATFORMS_MAX);
	}
	for (size_t k = 0; k < platforms.n; k++) {
		if (add_target(b, platforms.v[k], e) < 0) {
			return -1;
		}
	}
	return b->n_targets ? 0 : add_target(b, json_str(b->options, "platform"), e);
}

static int begin(struct build *b, struct err *e)
{
	struct platform own;
	b->no_cache = json_bool(b->options, "nocache");
	platform_host(&own);
	b->platform = platform_name(&own);
	return add_targets(b, e) < 0 ||
			       read_pairs(b->options, "buildargs", &b->build_args, e) < 0 ||
			       build_time_read(b, e) < 0 ||
			       read_pairs(b->options, "named_contexts", &b->contexts, e) < 0 ||
			       open_tmp(b, e) < 0
		       ? -1
		       : 0;
}

struct plan_options build_plan_options(const struct build *b, const struct build_target *g)
{
	return (struct plan_options){
		.build_args = &b->build_args,
		.target = json_str(b->options, "target"),
		.platform = g->platform,
		.build_platform = b->platform,
		.contexts = &b->contexts,
	};
}

static int plan_targets(struct build *b, struct err *e)
{
	for (size_t k = 0; k < b->n_targets; k++) {
		struct build_target *g = &b->targets[k];
		const struct plan_options options = build_plan_options(b, g);
		if (plan_make(&b->d, &options, &g->plan, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* --- stages --- */

static bool has_labels(const struct build *b)
{
	return json_object_size(json_object_get(b->options, "labels")) > 0;
}

/* --label: a last LABEL instruction, as the classic builder shows it. */
static int add_labels(struct build *b, struct build_stage *s, struct err *e)
{
	scoped(strv) struct strv pairs = STRV_INIT;
	if (!has_labels(b)) {
		return 0;
	}
	if (read_pairs(b->options, "labels", &pairs, e) < 0) {
		return -1;
	}
	strv_sort(&pairs);
	json_t *config = json_object_get(s->c.image, "config");
	json_t *labels = json_object_get(config, "Labels");
	if (!json_is_object(labels)) {
		labels = json_object();
		json_put(config, "Labels", labels);
	}
	struct buf text = BUF_INIT;
	buf_puts(&text, "LABEL");
	for (size_t k = 0; k < pairs.n; k++) {
		char *equals = strchr(pairs.v[k], '=');
		buf_printf(&text, " %s", pairs.v[k]);
		*equals = '\0';
		json_put_str(labels, pairs.v[k], equals + 1);
	}
	scoped(free) char *whole = buf_take_str(&text);
	build_say(b->events, NULL, "Step %zu/%zu : %s\n", b->n_steps, b->n_steps, whole);
	if (!b->vertices) {
		scoped(free) char *shown = history_nop(&s->c, true, false, whole);
		build_history(s, shown, true);
	}
	build_mix(s->state, whole);
	build_say(b->events, NULL, " ---> %.12s\n", s->state);
	return 0;
}

static bool is_used(const struct build *b, const char *arg)
{
	for (size_t k = 0; k < b->n_targets; k++) {
		const struct build_target *g = &b->targets[k];
		for (size_t i = 0; i < g->plan.n; i++) {
			if (strv_has(&g->stages[i].used_args, arg)) {
				return true;
			}
		}
	}
	return false;
}

static void warn_unused_args(struct build *b)
{
	/* moby builder/dockerfile/buildargs.go: known without a declaration */
	static const char *const predefined[] = {"http_proxy", "https_proxy", "ftp_proxy",
		"no_proxy", "all_proxy", "SOURCE_DATE_EPOCH"};
	struct buf names = BUF_INIT;
	for (size_t k = 0; k < b->build_args.n; k++) {
		scoped(free) char *name =
			xstrndup(b->build_args.v[k], strcspn(b->build_args.v[k], "="));
		bool known = is_used(b, name);
		for (size_t i = 0; i < sizeof(predefined) / sizeof(*predefined); i++) {
			known = known || strcasecmp(name, predefined[i]) == 0;
		}
		for (size_t i = 0; i < b->d.n && !known && b->d.v[i].kind != DF_FROM; i++) {
			size_t n = strlen(name);
			for (size_t w = 0; w < b->d.v[i].words.n; w++) { /* before the first FROM */
				const char *word = b->d.v[i].words.v[w];
				known = known || (strncmp(word, name, n) == 0 &&
							 (word[n] == '=' || !word[n]));
			}
		}
		if (!known) {
			buf_printf(&names, "%s%s", names.len ? " " : "", name);
		}
	}
	if (names.len) {
		build_say(b->events, NULL,
			"[Warning] One or more build-args [%s] were not consumed\n",
			buf_str(&names));
	}
	buf_deinit(&names);
}

static void count_steps(struct build *b)
{
	b->n_steps = has_labels(b);
	for (size_t k = 0; k < b->n_targets; k++) {
		b->n_steps += b->targets[k].plan.n_steps;
	}
}

/* Nothing is built: what is to say about the Dockerfile, also when it is wrong. */
static json_t *check_all(struct build *b, struct err *e)
{
	int r = build_input(b, e) < 0 || plan_targets(b, e) < 0 ? -1 : 0;
	return r < 0 && !b->d.name ? NULL : build_check(b, r < 0 ? e : NULL, e);
}

/* What the daemon has recorded reaches the disk from here, which spares it a process for that. */
static json_t *output(struct build *b, struct err *e)
{
	const char *journal = json_str(b->request, "journal");
	scoped(json) json_t *result = build_output(b, e);
	if (!result || (*journal && sync_path(journal, e) < 0)) {
		return NULL;
	}
	json_put(result, "synced", json_true());
	return TAKE(result);
}

static json_t *build_all(struct build *b, bool *ret_idle, struct err *e)
{
	/* first: what is mounted later is not seen through descriptors of the namespace before */
	if (overlay_enter_namespace(e) < 0 || begin(b, e) < 0) {
		return NULL;
	}
	if (json_bool(b->options, "check")) {
		return check_all(b, e);
	}
	const char *question = json_str(b->options, "question");
	if (*question) {
		return build_input(b, e) < 0 || plan_targets(b, e) < 0
			       ? NULL
			       : build_answer(b, question, e);
	}
	if (build_input(b, e) < 0 || plan_targets(b, e) < 0 || build_lint(b, e) < 0 ||
		build_context_open(b, e) < 0) {
		return NULL;
	}
	rpc_send(b->rpc, json_pack("{sb}", "accepted", 1));
	build_lint_say(b);
	count_steps(b);
	build_imports_open(b);
	if (build_schedule(b, ret_idle, e) < 0) {
		return NULL;
	}
	for (size_t k = 0; k < b->n_targets; k++) {
		if (add_labels(b, build_target_stage(&b->targets[k]), e) < 0) {
			return NULL;
		}
	}
	warn_unused_args(b);
	if (build_settle(b, e) < 0) {
		return NULL;
	}
	build_imports_learn(b);
	return output(b, e);
}

/* --- errors --- */

int build_go_on(const struct build *b, struct err *e)
{
	return atomic_load(&b->stopping) ? err_set(e, ERR_BUSY, "canceled") : 0;
}

static void send_source(struct build *b, const struct err *e)
{
	json_t *source = b->d.name ? excerpt_source(&b->d, e->msg) : NULL;
	if (source) {
		rpc_send(b->rpc, json_pack("{so}", "source", source));
	}
}

const char *build_message(const struct build *b, const char *message)
{
	const char *bare = b->vertices ? strstr(message, ": process \"") : NULL;
	bool placed = bare && b->d.name && text_starts(message, b->d.name) &&
		      strspn(message + strlen(b->d.name), ":0123456789") ==
			      (size_t)(bare + 1 - message) - strlen(b->d.name);
	return placed ? bare + 2 : message;
}

static void tell_error(struct build *b, struct err *e)
{
	build_events_close(b->events);
	send_source(b, e);
	const char *bare = build_message(b, e->msg);
	memmove(e->msg, bare, strlen(bare) + 1);
}

/* --- life --- */

static void target_deinit(struct build_target *g)
{
	for (size_t k = 0; g->stages && k < g->plan.n; k++) {
		build_stage_deinit(&g->stages[k]);
	}
	free(g->stages);
	plan_deinit(&g->plan);
	free(g->platform);
}

static void build_deinit(struct build *b)
{
	for (size_t k = 0; k < b->n_targets; k++) {
		target_deinit(&b->targets[k]);
	}
	free(b->targets);
	build_schedule_free(b->schedule);
	build_network_free(b->network);
	build_imports_free(b->imports);
	json_decref(b->cache_images);
	build_caches_free(b->caches);
	build_remotes_free(b->remotes);
	build_events_free(b->events);
	dockerfile_deinit(&b->d);
	buf_deinit(&b->text);
	ignore_free(b->ignore);
	strv_deinit(&b->build_args);
	pthread_mutex_destroy(&b->filter_lock);
	pthread_mutex_destroy(&b->exec_lock);
	pthread_mutex_destroy(&b->images_lock);
	json_decref(b->layout_images);
	free(b->seccomp);
	strv_deinit(&b->contexts);
	lint_deinit(&b->lint);
	free(b->platform);
	if (b->tmp_fd >= 0) {
		close(b->tmp_fd);
	}
	build_contexts_close(b);
	if (b->context_fd >= 0) {
		close(b->context_fd);
	}
}

json_t *worker_build(struct rpc *r, const json_t *request, struct err *e)
{
	struct build b = {.rpc = r, .request = request, .tmp_fd = -1, .context_fd = -1};
	bool idle = true;
	b.options = json_object_get(request, "options");
	b.vertices = strcmp(json_str(b.options, "progress"), "vertices") == 0;
	b.events = build_events_new(r, b.vertices);
	rpc_ask_many(r);
	atomic_store(&b.settled_ms, clock_mono_ms());
	b.network = build_network_new();
	b.caches = build_caches_new();
	b.imports = build_imports_new();
	b.remotes = build_remotes_new();
	pthread_mutex_init(&b.filter_lock, NULL);
	pthread_mutex_init(&b.exec_lock, NULL);
	pthread_mutex_init(&b.images_lock, NULL);
	b.layout_images = json_object();
	json_t *result = build_all(&b, &idle, e);
	if (!result) {
		tell_error(&b, e);
	}
	if (!idle) { /* a step is being killed, a pull goes on: they end with the process */
		rpc_error(r, e);
		_exit(1);
	}
	build_deinit(&b);
	return result;
}
