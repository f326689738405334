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
#include "oci/passwd.h"
#include "worker/build.h"
#include "worker/rpc.h"

#define TRIGGERS_MAX 100

void build_stage_deinit(struct build_stage *s)
{
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

int build_ask_image(
	struct build *b, const char *name, const char *platform, json_t **ret, struct err *e)
{
	json_t *question =
		json_pack("{ss ss ss}", "ask", "image", "name", name, "platform", platform);
	if (!question) {
		return err_set(e, ERR_INVALID, "invalid reference format");
	}
	json_put(question, "pull", json_boolean(json_bool(b->options, "pull")));
	*ret = rpc_ask(b->rpc, question, e);
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
	int ref = plan_stage_ref(&b->plan, t->stage, t->i->line, from, e);
	if (t->d != &b->d && (ref < 0 || !b->stages[ref].c.image)) {
		ref = PLAN_IMAGE; /* a trigger was written without this file in mind; it finds
				     stages that are made */
	}
	if (ref >= 0) {
		strv_copy(ret_dirs, &b->stages[ref].dirs);
		build_chain(&b->stages[ref].layers, ret_chain);
		return 0;
	}
	if (ref != PLAN_IMAGE) {
		return -1;
	}
	if (strcmp(from, "scratch") == 0) {
		build_chain(&(struct strv)STRV_INIT, ret_chain);
		return 0;
	}
	scoped(json) json_t *image = NULL;
	scoped(strv) struct strv layers = STRV_INIT;
	if (build_ask_image(b, from, b->target_platform, &image, e) < 0 ||
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

static void begin_scratch(struct build *b, struct build_stage *s)
{
	char os[32], arch[32], variant[32];
	const char *platform = *b->target_platform ? b->target_platform : b->platform;
	build_config_from_image(&s->c, NULL, platform_part(platform, 0, os),
		platform_part(platform, 1, arch), platform_part(platform, 2, variant), NULL);
	memset(s->state, '0', 64);
}

static int begin_image(
	const struct build_step *t, const struct stage *plan, struct strv *triggers, struct err *e)
{
	struct build *b = t->b;
	scoped(json) json_t *image = NULL;
	const char *platform = *plan->platform ? plan->platform : b->target_platform;
	if (build_ask_image(b, plan->base, platform, &image, e) < 0 ||
		take_image_layers(image, &t->s->layers, &t->s->dirs, e) < 0) {
		return build_fail(t, e);
	}
	build_config_from_image(&t->s->c, json_object_get(image, "config"), "", "", "", triggers);
	const char *id = json_str(image, "id");
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
	build_say(b, "# Executing %zu build trigger%s\n", triggers->n, triggers->n > 1 ? "s" : "");
	for (size_t k = 0; k < triggers->n; k++) {
		scoped(dockerfile) struct dockerfile d = {0};
		if (dockerfile_parse_trigger(triggers->v[k], b->plan.v[from->stage].base, &d, e) <
			0) {
			return -1;
		}
		const struct build_step t = {b, from->s, from->stage, &d, &d.v[0]};
		if (run_instruction(&t, e) < 0) {
			return -1;
		}
		build_say_id(b, from->s);
	}
	return 0;
}

static int begin_from(const struct build_step *t, struct err *e)
{
	struct build *b = t->b;
	const struct stage *plan = &b->plan.v[t->stage];
	scoped(strv) struct strv triggers = STRV_INIT;
	if (plan->base_stage == PLAN_SCRATCH) {
		begin_scratch(b, t->s);
		build_say(b, " ---> \n");
		return 0;
	}
	if (plan->base_stage >= 0) {
		begin_stage(t->s, &b->stages[plan->base_stage], &triggers);
	} else if (begin_image(t, plan, &triggers, e) < 0) {
		return -1;
	}
	build_say_id(b, t->s);
	return run_triggers(t, &triggers, e);
}

static void say_step(struct build *b, const struct df_instruction *i)
{
	build_say(b, "Step %zu/%zu : %s\n", ++b->step, b->n_steps, i->text);
}

int build_stage_begin(struct build *b, size_t index, struct err *e)
{
	const struct stage *plan = &b->plan.v[index];
	struct build_step t = {b, &b->stages[index], index, &b->d, &b->d.v[plan->from]};
	say_step(b, t.i);
	if (begin_from(&t, e) < 0) {
		return -1;
	}
	for (size_t k = plan->from + 1; k < plan->end; k++) {
		t.i = &b->d.v[k];
		say_step(b, t.i);
		if (run_instruction(&t, e) < 0) {
			return -1;
		}
		build_say_id(b, t.s);
	}
	return 0;
}

/* --- instructions without files --- */

void build_history(struct build_stage *s, const char *text, bool empty)
{
	char now[CLOCK_TEXT_MAX];
	build_config_history(&s->c, clock_format(clock_real_ns(), now), text, empty);
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
	const struct config_args args = {&b->build_args, &b->plan.global_args, &b->used_args};
	bool empty = true;
	if (build_config_apply(&t->s->c, t->d, t->i, &args, e) < 0) {
		return -1;
	}
	if (t->i->kind == DF_WORKDIR && workdir_layer(t, &empty, e) < 0) {
		return build_fail(t, e);
	}
	build_history(t->s, t->i->text, empty);
	build_mix(t->s->state, t->i->text);
	return 0;
}
