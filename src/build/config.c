#include "build/config.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "build/config_parts.h"

void build_config_deinit(struct build_config *c)
{
	json_decref(c->image);
	strv_deinit(&c->env);
	strv_deinit(&c->args);
	strv_deinit(&c->own_args);
	*c = (struct build_config){0};
}

static json_t *config_of(const struct build_config *c)
{
	return json_object_get(c->image, "config");
}

static void take_triggers(struct build_config *c, struct strv *ret)
{
	json_t *config = config_of(c);
	size_t i;
	json_t *trigger;
	json_array_foreach (json_object_get(config, "OnBuild"), i, trigger) {
		if (ret && json_is_string(trigger)) {
			strv_add(ret, json_string_value(trigger));
		}
	}
	json_object_del(config, "OnBuild");
}

/* Puts or replaces NAME=value in a JSON list of them; the place of a known name stays. */
static void set_config_env(json_t *config, const char *assignment)
{
	json_t *env = json_object_get(config, "Env");
	if (!json_is_array(env)) {
		env = json_array();
		json_put(config, "Env", env);
	}
	size_t n = strcspn(assignment, "=") + 1;
	size_t i;
	json_t *item;
	json_array_foreach (env, i, item) {
		if (json_is_string(item) && strncmp(json_string_value(item), assignment, n) == 0) {
			json_array_set_new(env, i, json_string(assignment));
			return;
		}
	}
	json_array_append_new(env, json_string(assignment));
}

static void begin_scratch(
	struct build_config *c, const char *os, const char *arch, const char *variant)
{
	c->image = json_pack(
		"{s{} s{ss s[]} s[]}", "config", "rootfs", "type", "layers", "diff_ids", "history");
	json_put_str(c->image, "architecture", arch);
	json_put_str(c->image, "os", os);
	if (*variant) {
		json_put_str(c->image, "variant", variant);
	}
	json_t *config = config_of(c);
	json_put_str(config, "WorkingDir", "/");
}

static void read_image(struct build_config *ret, const json_t *base, const char *os,
	const char *arch, const char *variant, struct strv *ret_triggers)
{
	*ret = (struct build_config){0};
	if (!base) {
		begin_scratch(ret, os, arch, variant);
	} else {
		ret->image = json_deep_copy(base);
	}
	if (!json_is_object(config_of(ret))) {
		json_put(ret->image, "config", json_object());
	}
	if (!json_is_array(json_object_get(ret->image, "history"))) {
		json_put(ret->image, "history", json_array());
	}
	take_triggers(ret, ret_triggers);
	size_t i;
	json_t *item;
	json_array_foreach (json_object_get(config_of(ret), "Env"), i, item) {
		if (json_is_string(item) && strchr(json_string_value(item), '=')) {
			strv_env_set(&ret->env, json_string_value(item));
		}
	}
}

void build_config_from_image(struct build_config *ret, const json_t *base, const char *os,
	const char *arch, const char *variant, struct strv *ret_triggers)
{
	read_image(ret, base, os, arch, variant, ret_triggers);
	if (!strv_env_get(&ret->env, "PATH")) {
		set_config_env(config_of(ret), "PATH=" BUILD_DEFAULT_PATH);
		strv_env_set(&ret->env, "PATH=" BUILD_DEFAULT_PATH);
	}
}

void build_config_for_changes(struct build_config *ret, const json_t *base)
{
	read_image(ret, base, "", "", "", NULL);
}

void build_config_from_stage(
	struct build_config *ret, const struct build_config *base, struct strv *ret_triggers)
{
	*ret = (struct build_config){.image = json_deep_copy(base->image)};
	strv_copy(&ret->env, &base->env);
	strv_copy(&ret->args, &base->args);
	take_triggers(ret, ret_triggers);
}

static const char *lookup(void *owner, const char *name, size_t n)
{
	const struct build_config *c = owner;
	for (size_t i = 0; i < c->env.n; i++) {
		if (strncmp(c->env.v[i], name, n) == 0 && c->env.v[i][n] == '=') {
			return c->env.v[i] + n + 1;
		}
	}
	return NULL;
}

struct expander build_config_expander(struct build_config *c, char escape)
{
	return (struct expander){.lookup = lookup, .owner = c, .escape = escape};
}

int config_fail(struct config_change *ch, const char *why)
{
	return df_error(ch->d, ch->i->line, ch->e, "%s: %.300s", df_keyword(ch->i->kind), why);
}

void config_say(struct config_change *ch, const char *fmt, ...)
{
	va_list args;
	if (!ch->a->history) {
		return;
	}
	va_start(args, fmt);
	scoped(free) char *text = xvasprintf(fmt, args);
	va_end(args);
	buf_puts(&ch->a->history->text, text);
}

static void say_argv(struct config_change *ch, const struct strv *argv)
{
	if (ch->a->history) {
		config_say(ch, "%s ", df_keyword(ch->i->kind));
		history_quoted_list(&ch->a->history->text, argv);
	}
}

static int expand(struct config_change *ch, const char *text, char **ret)
{
	struct err why;
	return expand_word(&ch->x, text, ret, &why) < 0 ? config_fail(ch, why.msg) : 0;
}

int config_expand_all(struct config_change *ch, const char *text, struct strv *ret)
{
	struct err why;
	return expand_words(&ch->x, text, ret, &why) < 0 ? config_fail(ch, why.msg) : 0;
}

/* All values are expanded before the first is set: ENV a=1 b=$a uses the old a. */
static int expand_pairs(struct config_change *ch, struct strv *ret)
{
	for (size_t k = 0; k + 1 < ch->i->words.n; k += 2) {
		scoped(free) char *name = NULL;
		scoped(free) char *value = NULL;
		if (expand(ch, ch->i->words.v[k], &name) < 0 ||
			expand(ch, ch->i->words.v[k + 1], &value) < 0) {
			return -1;
		}
		if (!*name) {
			return config_fail(ch, "names can not be blank");
		}
		strv_add(ret, name);
		strv_add(ret, value);
	}
	return 0;
}

static void say_list(struct config_change *ch, const struct strv *list)
{
	if (ch->a->history) {
		config_say(ch, "%s ", df_keyword(ch->i->kind));
		history_list(&ch->a->history->text, list);
	}
}

static void say_pairs(struct config_change *ch, const struct strv *pairs)
{
	config_say(ch, "%s", df_keyword(ch->i->kind));
	for (size_t k = 0; k + 1 < pairs->n; k += 2) {
		config_say(ch, " %s=%s", pairs->v[k], pairs->v[k + 1]);
	}
}

static int apply_env(struct config_change *ch)
{
	scoped(strv) struct strv pairs = STRV_INIT;
	if (expand_pairs(ch, &pairs) < 0) {
		return -1;
	}
	for (size_t k = 0; k + 1 < pairs.n; k += 2) {
		scoped(free) char *assignment = xasprintf("%s=%s", pairs.v[k], pairs.v[k + 1]);
		strv_env_set(&ch->c->env, assignment);
		set_config_env(ch->config, assignment);
	}
	say_pairs(ch, &pairs);
	return 0;
}

json_t *config_object(json_t *o, const char *key)
{
	json_t *member = json_object_get(o, key);
	if (!json_is_object(member)) {
		member = json_object();
		json_put(o, key, member);
	}
	return member;
}

static int apply_label(struct config_change *ch)
{
	scoped(strv) struct strv pairs = STRV_INIT;
	if (expand_pairs(ch, &pairs) < 0) {
		return -1;
	}
	json_t *labels = config_object(ch->config, "Labels");
	for (size_t k = 0; k + 1 < pairs.n; k += 2) {
		json_put_str(labels, pairs.v[k], pairs.v[k + 1]);
	}
	say_pairs(ch, &pairs);
	return 0;
}

static bool in_list(const struct strv *s, const char *text)
{
	return s && strv_has(s, text);
}

static int declare_arg(struct config_change *ch, const char *word)
{
	const char *equals = strchr(word, '=');
	scoped(free) char *name = equals ? xstrndup(word, (size_t)(equals - word)) : xstrdup(word);
	scoped(free) char *value = NULL;
	const char *given = strv_env_get(ch->a->build_args, name);
	scoped(free) char *own = NULL; /* the default, as it is without anything given */
	if (equals && expand(ch, equals + 1, &own) < 0 && !given) {
		return -1;
	}
	config_say(ch, " %s%s%s", name, own ? "=" : "", own ? own : "");
	if (given) {
		value = xstrdup(given);
		if (ch->a->used && !in_list(ch->a->used, name)) {
			strv_add(ch->a->used, name);
		}
	} else if (equals) {
		value = TAKE(own);
	} else {
		value = xstrdup(strv_env_get(ch->a->global_args, name));
	}
	if (!strv_has(&ch->c->args, name)) {
		strv_add(&ch->c->args, name);
	}
	if (!strv_has(&ch->c->own_args, name)) {
		strv_add(&ch->c->own_args, name);
	}
	if (value) {
		scoped(free) char *assignment = xasprintf("%s=%s", name, value);
		strv_env_set(&ch->c->env, assignment);
	}
	return 0;
}

static int apply_arg(struct config_change *ch)
{
	config_say(ch, "ARG");
	for (size_t k = 0; k < ch->i->words.n; k++) {
		if (declare_arg(ch, ch->i->words.v[k]) < 0) {
			return -1;
		}
	}
	return 0;
}

void build_config_argv(const struct build_config *c, bool json, const struct strv *words,
	const char *text, struct strv *ret)
{
	if (json) {
		strv_copy(ret, words);
		return;
	}
	json_t *shell = json_object_get(config_of(c), "Shell");
	size_t i;
	json_t *item;
	json_array_foreach (shell, i, item) {
		strv_add(ret, json_string_value(item) ? json_string_value(item) : "");
	}
	if (ret->n == 0) {
		strv_add(ret, "/bin/sh");
		strv_add(ret, "-c");
	}
	strv_add(ret, text);
}

static int apply_cmd(struct config_change *ch)
{
	scoped(strv) struct strv argv = STRV_INIT;
	build_config_argv(ch->c, ch->i->json, &ch->i->words, ch->i->args, &argv);
	json_put(ch->config, "Cmd", json_strv(&argv));
	say_argv(ch, &argv);
	ch->c->cmd_set = true;
	return 0;
}

static int apply_entrypoint(struct config_change *ch)
{
	scoped(strv) struct strv argv = STRV_INIT;
	build_config_argv(ch->c, ch->i->json, &ch->i->words, ch->i->args, &argv);
	json_put(ch->config, "Entrypoint", json_strv(&argv));
	say_argv(ch, &argv);
	if (!ch->c->cmd_set) {
		json_object_del(
			ch->config, "Cmd"); /* the base's arguments are for the base's program */
	}
	return 0;
}

static int apply_volume(struct config_change *ch)
{
	json_t *volumes = config_object(ch->config, "Volumes");
	scoped(strv) struct strv paths = STRV_INIT;
	for (size_t k = 0; k < ch->i->words.n; k++) {
		scoped(free) char *path = NULL;
		if (expand(ch, ch->i->words.v[k], &path) < 0) {
			return -1;
		}
		if (!*path) {
			return config_fail(ch, "a volume can not be an empty string");
		}
		json_put(volumes, path, json_object());
		strv_take(&paths, TAKE(path));
	}
	say_list(ch, &paths);
	return ch->i->words.n ? 0 : config_fail(ch, "at least one path is needed");
}

static int apply_user(struct config_change *ch)
{
	scoped(free) char *user = NULL;
	if (expand(ch, ch->i->args, &user) < 0) {
		return -1;
	}
	json_put_str(ch->config, "User", user);
	config_say(ch, "USER %s", user);
	return 0;
}

const char *build_config_workdir(const struct build_config *c)
{
	const char *dir = json_str(config_of(c), "WorkingDir");
	return *dir ? dir : "/";
}

static int apply_workdir(struct config_change *ch)
{
	scoped(free) char *path = NULL;
	if (expand(ch, ch->i->args, &path) < 0) {
		return -1;
	}
	/* as BuildKit: an empty path changes nothing */
	scoped(free) char *whole = path_join(build_config_workdir(ch->c), path);
	json_put_str(ch->config, "WorkingDir", whole);
	config_say(ch, "WORKDIR %s", whole);
	return 0;
}

static int apply_shell(struct config_change *ch)
{
	if (!ch->i->json || ch->i->words.n == 0) {
		return config_fail(ch,
			"it requires the arguments in JSON form: SHELL [\"program\", \"option\"]");
	}
	json_put(ch->config, "Shell", json_strv(&ch->i->words));
	say_list(ch, &ch->i->words);
	return 0;
}

static int apply_stopsignal(struct config_change *ch)
{
	scoped(free) char *name = NULL;
	int number;
	if (expand(ch, ch->i->args, &name) < 0) {
		return -1;
	}
	if (parse_signal(name, &number) < 0) {
		scoped(free) char *why = xasprintf("invalid signal: %.60s", name);
		return config_fail(ch, why);
	}
	json_put_str(ch->config, "StopSignal", name);
	config_say(ch, "STOPSIGNAL %s", name);
	return 0;
}

static int apply_maintainer(struct config_change *ch)
{
	json_put_str(ch->c->image, "author", ch->i->args);
	config_say(ch, "MAINTAINER %s", ch->i->args);
	return 0;
}

static int apply_onbuild(struct config_change *ch)
{
	scoped(dockerfile) struct dockerfile trigger = {0};
	struct err why;
	struct buf text = BUF_INIT;
	buf_puts(&text, ch->i->args);
	for (size_t k = 0; k < ch->i->n_heredocs; k++) {
		buf_printf(&text, "\n%s%s", ch->i->heredocs[k].data, ch->i->heredocs[k].name);
	}
	scoped(free) char *whole = buf_take_str(&text);
	if (dockerfile_parse_trigger(whole, "this stage", &trigger, &why) < 0) {
		return config_fail(ch, why.msg);
	}
	json_t *list = json_object_get(ch->config, "OnBuild");
	if (!list) {
		list = json_array();
		json_put(ch->config, "OnBuild", list);
	}
	json_array_append_new(list, json_string(whole));
	if (ch->a->history && ch->a->history->classic) {
		config_say(ch, "ONBUILD %s", whole);
	}
	return 0;
}

int build_config_apply(struct build_config *c, const struct dockerfile *d,
	const struct df_instruction *i, const struct config_args *a, struct err *e)
{
	static int (*const apply[DF_KINDS])(struct config_change *) = {
		[DF_ARG] = apply_arg,
		[DF_CMD] = apply_cmd,
		[DF_ENTRYPOINT] = apply_entrypoint,
		[DF_ENV] = apply_env,
		[DF_EXPOSE] = config_apply_expose,
		[DF_HEALTHCHECK] = config_apply_healthcheck,
		[DF_LABEL] = apply_label,
		[DF_MAINTAINER] = apply_maintainer,
		[DF_ONBUILD] = apply_onbuild,
		[DF_SHELL] = apply_shell,
		[DF_STOPSIGNAL] = apply_stopsignal,
		[DF_USER] = apply_user,
		[DF_VOLUME] = apply_volume,
		[DF_WORKDIR] = apply_workdir,
	};
	static const char *const no_flags[] = {NULL};
	struct config_change ch = {
		c, config_of(c), d, i, a, build_config_expander(c, d->escape), e};
	if (!apply[i->kind]) {
		return df_error(d, i->line, e, "%s is not allowed here", df_keyword(i->kind));
	}
	if (i->kind != DF_HEALTHCHECK && i->kind != DF_ONBUILD &&
		df_check_flags(d, i, no_flags, e) < 0) {
		return -1;
	}
	return apply[i->kind](&ch);
}
