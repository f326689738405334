#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "codec/ref.h"
#include "oci/passwd.h"
#include "worker/build.h"
#include "worker/build_auth.h"
#include "worker/build_cache_remote.h"
#include "worker/build_context.h"
#include "worker/rpc.h"

#define TRIGGERS_MAX 100

static const struct stage *stage_plan(const struct build_stage *s)
{
	return &s->target->plan.v[s->index];
}

static void say_id(struct build_stage *s)
{
	build_say(s->target->b->events, s->turn, " ---> %.12s\n", s->state);
}

void build_stage_deinit(struct build_stage *s)
{
	if (!s->target) { /* it is not needed */
		return;
	}
	build_place_close(s->target->b, &s->place);
	strv_deinit(&s->used_args);
	free(s->vertices);
	build_config_deinit(&s->c);
	strv_deinit(&s->layers);
	strv_deinit(&s->dirs);
}

int build_fail(const struct build_step *t, struct err *e)
{
	const struct err why = *e;
	err_set_(e, why.kind == ERR_NOT_FOUND ? ERR_INVALID : why.kind, "%.100s:%d: %s", t->d->name,
		t->i->line, why.msg);
	e->sys = why.sys;
	return -1;
}

int build_expand(const struct build_step *t, const char *text, char **ret, struct err *e)
{
	const struct expander x = build_config_expander(&t->s->c, t->d->escape);
	if (expand_word(&x, text, ret, e) < 0) {
		(void)err_wrap(e, "%s", df_keyword(t->i->kind));
		return build_fail(t, e);
	}
	return 0;
}

/* --- images --- */

int build_ask_image(const struct build_step *t, const char *name, const char *platform,
	json_t **ret, struct err *e)
{
	struct build *b = t->b;
	if (text_starts(name, PLAN_LAYOUT)) {
		return build_layout_image(b, name, platform, ret, e);
	}
	scoped(json) json_t *question = json_pack("{ss ss ss si}", "ask", "image", "name", name,
		"platform", platform, "vertex", t->s->vertex);
	if (!question) {
		return err_set(e, ERR_INVALID, "invalid reference format");
	}
	json_put(question, "pull", json_boolean(json_bool(b->options, "pull")));
	*ret = rpc_ask(b->rpc, json_deep_copy(question), e);
	if (*ret && *json_str(*ret, "need")) { /* it is pulled: as whom, the client knows */
		json_t *auth = build_auth(b, name);
		json_put(question, "auth", auth ? auth : json_null());
		json_decref(*ret);
		*ret = rpc_ask(b->rpc, TAKE(question), e);
	}
	return *ret ? 0 : -1;
}

static int take_image_layers(
	const json_t *image, struct strv *layers, struct strv *dirs, struct err *e)
{
	return json_get_strv(image, "layers", layers, e) < 0 ||
			       json_get_strv(image, "dirs", dirs, e) < 0
		       ? -1
		       : 0;
}

int build_source_dirs(const struct build_step *t, const char *from, struct strv *ret_dirs,
	char ret_chain[static 65], struct err *e)
{
	struct build *b = t->b;
	const struct build_target *g = t->s->target;
	int ref = plan_stage_ref(&g->plan, t->s->index, t->i->line, from, e);
	if (t->d != &b->d && (ref < 0 || !g->plan.v[ref].needed)) {
		ref = PLAN_IMAGE; /* a trigger was written without this file in mind; it finds
				     stages that are made */
	}
	if (ref >= 0) {
		if (build_stage_wait(&g->stages[ref], e) < 0) {
			return -1;
		}
		strv_copy(ret_dirs, &g->stages[ref].dirs);
		build_chain(&g->stages[ref].layers, ret_chain);
		return 0;
	}
	if (ref != PLAN_IMAGE) {
		return -1;
	}
	if (strcmp(from, "scratch") == 0) {
		build_chain(&(struct strv)STRV_INIT, ret_chain);
		return 0;
	}
	const char *context = plan_context(&b->contexts, from);
	const char *name = context ? plan_context_image(context) : from;
	if (!name) {
		return build_named_dir(t, context, ret_dirs, ret_chain, e);
	}
	scoped(json) json_t *image = NULL;
	scoped(strv) struct strv layers = STRV_INIT;
	if (build_ask_image(t, name, g->platform, &image, e) < 0 ||
		take_image_layers(image, &layers, ret_dirs, e) < 0) {
		return build_fail(t, e);
	}
	build_chain(&layers, ret_chain);
	return 0;
}

/* --- FROM --- */

static const char *platform_part(const char *platform, int n, char ret[static 32])
{
	for (; n > 0 && platform; n--) {
		platform = strchr(platform, '/');
		platform = platform ? platform + 1 : NULL;
	}
	size_t len = platform ? strcspn(platform, "/") : 0;
	snprintf(ret, 32, "%.*s", (int)(len > 31 ? 31 : len), platform ? platform : "");
	return ret;
}

const char *build_stage_platform(const struct build_stage *s)
{
	const char *own = s->target->plan.v[s->index].platform;
	const char *platform = *own ? own : s->target->platform;
	return *platform ? platform : s->target->b->platform;
}

static void begin_scratch(struct build_stage *s)
{
	char os[32], arch[32], variant[32];
	const char *platform = build_stage_platform(s);
	build_config_from_image(&s->c, NULL, platform_part(platform, 0, os),
		platform_part(platform, 1, arch), platform_part(platform, 2, variant), NULL);
	memset(s->state, '0', 64);
}

static int begin_image(
	const struct build_step *t, const struct stage *plan, struct strv *triggers, struct err *e)
{
	scoped(json) json_t *image = NULL;
	const char *platform = *plan->platform ? plan->platform : t->s->target->platform;
	build_event_begin(t->b->events, t->s->metadata);
	int r = build_ask_image(t, plan->base, platform, &image, e);
	build_event_end(t->b->events, t->s->metadata, false, r < 0 ? e : NULL);
	if (r < 0 || take_image_layers(image, &t->s->layers, &t->s->dirs, e) < 0) {
		return build_fail(t, e);
	}
	build_config_from_image(&t->s->c, json_object_get(image, "config"), "", "", "", triggers);
	const char *id = json_str(image, "id");
	(void)clock_parse(json_str(json_object_get(image, "config"), "created"), &t->s->made_ns);
	snprintf(t->s->state, sizeof(t->s->state), "%.64s",
		text_starts(id, "sha256:") ? id + 7 : id);
	return 0;
}

static void begin_stage(
	struct build_stage *s, const struct build_stage *base, struct strv *triggers)
{
	build_config_from_stage(&s->c, &base->c, triggers);
	strv_copy(&s->layers, &base->layers);
	strv_copy(&s->dirs, &base->dirs);
	memcpy(s->state, base->state, sizeof(s->state));
	memcpy(s->cache_key, base->cache_key, sizeof(s->cache_key));
	s->made_ns = base->made_ns;
}

/* --- vertices, as BuildKit names them --- */

/* Whether BuildKit shows it as a step. */
static bool is_shown(const struct df_instruction *i)
{
	return i->kind == DF_RUN || i->kind == DF_COPY || i->kind == DF_ADD ||
	       i->kind == DF_WORKDIR;
}

static bool has_from_vertex(const struct stage *plan)
{
	return plan->base_stage == PLAN_IMAGE;
}

static size_t count_shown(const struct build_stage *s)
{
	const struct build *b = s->target->b;
	const struct stage *plan = stage_plan(s);
	size_t n = has_from_vertex(plan);
	for (size_t k = plan->from + 1; k < plan->end; k++) {
		n += is_shown(&b->d.v[k]);
	}
	return n;
}

/* "linux/arm64 build 2/5": what stands in the brackets. */
static char *step_label(const struct build_stage *s, size_t number, size_t total)
{
	const struct build_target *g = s->target;
	const struct stage *plan = stage_plan(s);
	int width = total >= 100 ? 3 : total >= 10 ? 2 : 1;
	struct buf text = BUF_INIT;
	if (g->b->n_targets > 1) {
		buf_printf(&text, "%s ", build_stage_platform(s));
	}
	if (plan->name) {
		buf_printf(&text, "%s ", plan->name);
	} else if (g->plan.n > 1) {
		buf_printf(&text, "stage-%zu ", s->index);
	}
	buf_printf(&text, "%*zu/%zu", width, number, total);
	return buf_take_str(&text);
}

static int stage_output(const struct build_target *g, size_t index)
{
	const struct build_stage *s = &g->stages[index];
	const struct stage *plan = &g->plan.v[index];
	return s->last_vertex          ? s->last_vertex
	       : plan->base_stage >= 0 ? stage_output(g, (size_t)plan->base_stage)
				       : 0;
}

/* What COPY --from adds to the step before; 0 for nothing that is a stage. */
static int source_output(const struct build_stage *s, const struct df_instruction *i)
{
	const struct build_target *g = s->target;
	const char *from = i->kind == DF_COPY ? df_flag(i, "from") : NULL;
	struct err ignored;
	int ref = from ? plan_stage_ref(&g->plan, s->index, i->line, from, &ignored) : PLAN_IMAGE;
	return ref >= 0 ? stage_output(g, (size_t)ref) : 0;
}

/* "docker.io/library/x:latest". The caller's. */
static char *full_name(const char *base)
{
	struct ref r;
	struct err ignored;
	char canonical[REF_TEXT_MAX];
	if (ref_parse(base, &r, &ignored) < 0) {
		return xstrdup(base);
	}
	ref_default_tag(&r);
	return xstrdup(ref_canonical(&r, canonical));
}

/* One vertex for each image, whichever stages want it. */
static int metadata_vertex(const struct build_stage *s, const char *name)
{
	const struct build_target *g = s->target;
	for (size_t k = 0; k < s->index; k++) {
		if (g->plan.v[k].needed && has_from_vertex(&g->plan.v[k]) &&
			strcmp(g->plan.v[k].base, stage_plan(s)->base) == 0) {
			return g->stages[k].metadata;
		}
	}
	return build_event_vertex(g->b->events, NULL, 0, "[internal] load metadata for %s", name);
}

/* One vertex for each step that is shown, known before any of them runs. */
void build_stage_announce(struct build_stage *s)
{
	const struct build_target *g = s->target;
	const struct build *b = g->b;
	const struct stage *plan = stage_plan(s);
	size_t total = count_shown(s), number = 0;
	s->vertices = xnew_array(int, plan->end - plan->from);
	s->last_vertex = plan->base_stage >= 0 ? stage_output(g, (size_t)plan->base_stage) : 0;
	for (size_t k = plan->from; k < plan->end; k++) {
		const struct df_instruction *i = &b->d.v[k];
		bool from = i->kind == DF_FROM;
		if (from ? !has_from_vertex(plan) : !is_shown(i)) {
			continue;
		}
		scoped(free) char *label = step_label(s, ++number, total);
		scoped(free) char *name = from ? full_name(plan->base) : NULL;
		scoped(free) char *base = from ? xasprintf("FROM %s", name) : NULL;
		if (from) {
			s->metadata = metadata_vertex(s, name);
		}
		const int inputs[] = {s->last_vertex, source_output(s, i)};
		s->last_vertex = build_event_vertex(
			b->events, inputs, 2, "[%s] %s", label, from ? base : i->text);
		s->vertices[k - plan->from] = s->last_vertex;
	}
}

static void begin_vertex(const struct build_step *t)
{
	const struct stage *plan = stage_plan(t->s);
	t->s->vertex = t->s->vertices[(size_t)(t->i - t->b->d.v) - plan->from];
	t->s->cached = false;
	build_event_begin(t->b->events, t->s->vertex);
}

static void end_vertex(const struct build_step *t, int result, const struct err *e)
{
	struct err shown = {0};
	if (result < 0) {
		shown = *e;
		snprintf(shown.msg, sizeof(shown.msg), "%s", build_message(t->b, e->msg));
	}
	build_event_end(t->b->events, t->s->vertex, t->s->cached, result < 0 ? &shown : NULL);
	t->s->vertex = 0;
}

static int run_instruction(const struct build_step *t, struct err *e)
{
	switch (t->i->kind) {
	case DF_RUN:
		return build_step_run(t, e);
	case DF_COPY:
	case DF_ADD:
		return build_step_copy(t, e);
	default:
		return build_step_config(t, e);
	}
}

static int run_triggers(const struct build_step *from, const struct strv *triggers, struct err *e)
{
	struct build *b = from->b;
	if (triggers->n == 0) {
		return 0;
	}
	if (triggers->n > TRIGGERS_MAX) {
		(void)err_set(e, ERR_INVALID, "the image has more than %d ONBUILD triggers",
			TRIGGERS_MAX);
		return build_fail(from, e);
	}
	if (build_context_widen(b, e) < 0) { /* no plan knew what they copy */
		return -1;
	}
	build_say(b->events, from->s->turn, "# Executing %zu build trigger%s\n", triggers->n,
		triggers->n > 1 ? "s" : "");
	for (size_t k = 0; k < triggers->n; k++) {
		scoped(dockerfile) struct dockerfile d = {0};
		if (dockerfile_parse_trigger(triggers->v[k], stage_plan(from->s)->base, &d, e) <
			0) {
			return -1;
		}
		const struct build_step t = {b, from->s, &d, &d.v[0]};
		if (run_instruction(&t, e) < 0) {
			return -1;
		}
		say_id(from->s);
	}
	return 0;
}

static int begin_from(const struct build_step *t, struct err *e)
{
	const struct stage *plan = stage_plan(t->s);
	scoped(strv) struct strv triggers = STRV_INIT;
	if (plan->base_stage == PLAN_SCRATCH) {
		begin_scratch(t->s);
		build_say(t->b->events, t->s->turn, " ---> \n");
		return 0;
	}
	if (plan->base_stage == PLAN_CONTEXT) {
		begin_scratch(t->s);
		if (build_named_layer(t, plan->context, e) < 0) {
			return -1;
		}
		build_mix(t->s->state, t->s->layers.v[t->s->layers.n - 1]);
		say_id(t->s);
		return 0;
	}
	if (plan->base_stage >= 0) {
		begin_stage(t->s, &t->s->target->stages[plan->base_stage], &triggers);
	} else if (begin_image(t, plan, &triggers, e) < 0) {
		return -1;
	}
	say_id(t->s);
	return run_triggers(t, &triggers, e);
}

static void say_step(struct build_stage *s, const struct df_instruction *i)
{
	struct build *b = s->target->b;
	build_say(b->events, s->turn, "Step %zu/%zu : %s\n", s->step++, b->n_steps, i->text);
}

static int run_all(struct build_stage *s, struct err *e)
{
	struct build *b = s->target->b;
	const struct stage *plan = stage_plan(s);
	struct build_step t = {b, s, &b->d, &b->d.v[plan->from]};
	for (size_t k = plan->from; k < plan->end; k++) {
		t.i = &b->d.v[k];
		if (build_go_on(b, e) < 0) {
			return -1;
		}
		say_step(s, t.i);
		begin_vertex(&t);
		int r = k == plan->from ? begin_from(&t, e) : run_instruction(&t, e);
		end_vertex(&t, r, e);
		if (r < 0) {
			return -1;
		}
		if (k > plan->from) {
			say_id(s);
		}
	}
	return 0;
}

int build_stage_run(struct build_stage *s, struct err *e)
{
	struct build *b = s->target->b;
	int r = build_place_open(b, &s->place, e) < 0 ? -1 : run_all(s, e);
	build_place_close(b, &s->place);
	return r;
}

/* --- instructions without files --- */

void build_history(struct build_stage *s, const char *text, bool empty)
{
	const struct build *b = s->target->b;
	char made[CLOCK_TEXT_MAX];
	int64_t ns = s->made_ns && b->epoch_ns < 0 ? s->made_ns : build_now_ns(b);
	build_config_history(
		&s->c, clock_format(ns, made), text, b->vertices ? HISTORY_COMMENT : "", empty);
}

/* The owner of a directory that WORKDIR makes is the USER. */
static int owner_of(struct build_layer *l, const char *user, struct oci_user *ret, struct err *e)
{
	scoped(strv) struct strv roots = STRV_INIT;
	strv_add(&roots, l->root);
	return oci_user_find(&roots, user, NULL, ret, e);
}

/* A layer only when the directory is not there yet: that needs a look, which the cache spares. */
static int workdir_layer(const struct build_step *t, bool *ret_empty, struct err *e)
{
	const char *path = build_config_workdir(&t->s->c);
	const char *user = json_str(json_object_get(t->s->c.image, "config"), "User");
	char key[65];
	build_chain(&t->s->layers, key);
	build_mix(key, "WORKDIR");
	build_mix(key, path);
	build_mix(key, user);
	*ret_empty = false;
	int cached = build_cache_look(t, key, e);
	if (cached != 0) {
		return cached < 0 ? -1 : 0;
	}
	scoped(build_layer) struct build_layer l = {0};
	struct oci_user owner = {0};
	if (build_layer_begin(t, &l, e) < 0) {
		return -1;
	}
	scoped(close) int there = path_open_in(l.root_fd, path, O_PATH | O_DIRECTORY, 0);
	if (there >= 0) {
		*ret_empty = true;
		close(TAKE_FD(there)); /* or the root could not be unmounted */
		return 0;
	}
	if (owner_of(&l, user, &owner, e) < 0 ||
		build_layer_mkdirs(&l, path, owner.uid, owner.gid, e) < 0) {
		return -1;
	}
	scoped(strv) struct strv keys = STRV_INIT;
	strv_add(&keys, key);
	return build_layer_end(t, &l, &keys, e);
}

int build_step_config(const struct build_step *t, struct err *e)
{
	struct build *b = t->b;
	scoped(build_history) struct build_history history = {.classic = !b->vertices};
	const struct config_args args = {
		&b->build_args, &t->s->target->plan.global_args, &t->s->used_args, &history};
	bool empty = true;
	if (build_config_apply(&t->s->c, t->d, t->i, &args, e) < 0) {
		return -1;
	}
	if (t->i->kind == DF_WORKDIR && workdir_layer(t, &empty, e) < 0) {
		return build_fail(t, e);
	}
	scoped(free) char *text = history_nop(
		&t->s->c, history.classic, t->i->kind == DF_WORKDIR, buf_str(&history.text));
	if (empty && build_cache_image_says(t, text)) {
		build_say(b->events, t->s->turn, " ---> Using cache\n");
	}
	if (history.text.len) {
		build_history(t->s, text, empty);
	}
	build_mix(t->s->state, t->i->text);
	return 0;
}
