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

#define MIN_HEALTH_NS NS_PER_MS
#define PORTS_MAX 2000

/* What an apply function works with. */
struct change {
	struct build_config *c;
	json_t *config; /* c->image's member "config" */
	const struct dockerfile *d;
	const struct df_instruction *i;
	const struct config_args *a;
	struct expander x;
	struct err *e;
};

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

static int fail(struct change *ch, const char *why)
{
	return df_error(ch->d, ch->i->line, ch->e, "%s: %.300s", df_keyword(ch->i->kind), why);
}

/* Appended to what history says of the instruction. */
static PRINTF(2, 3) void say(struct change *ch, const char *fmt, ...)
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

static void say_argv(struct change *ch, const struct strv *argv)
{
	if (ch->a->history) {
		say(ch, "%s ", df_keyword(ch->i->kind));
		history_quoted_list(&ch->a->history->text, argv);
	}
}

static int expand(struct change *ch, const char *text, char **ret)
{
	struct err why;
	return expand_word(&ch->x, text, ret, &why) < 0 ? fail(ch, why.msg) : 0;
}

static int expand_all(struct change *ch, const char *text, struct strv *ret)
{
	struct err why;
	return expand_words(&ch->x, text, ret, &why) < 0 ? fail(ch, why.msg) : 0;
}

/* All values are expanded before the first is set: ENV a=1 b=$a uses the old a. */
static int expand_pairs(struct change *ch, struct strv *ret)
{
	for (size_t k = 0; k + 1 < ch->i->words.n; k += 2) {
		scoped(free) char *name = NULL;
		scoped(free) char *value = NULL;
		if (expand(ch, ch->i->words.v[k], &name) < 0 ||
			expand(ch, ch->i->words.v[k + 1], &value) < 0) {
			return -1;
		}
		if (!*name) {
			return fail(ch, "names can not be blank");
		}
		strv_add(ret, name);
		strv_add(ret, value);
	}
	return 0;
}

static void say_list(struct change *ch, const struct strv *list)
{
	if (ch->a->history) {
		say(ch, "%s ", df_keyword(ch->i->kind));
		history_list(&ch->a->history->text, list);
	}
}

static void say_pairs(struct change *ch, const struct strv *pairs)
{
	say(ch, "%s", df_keyword(ch->i->kind));
	for (size_t k = 0; k + 1 < pairs->n; k += 2) {
		say(ch, " %s=%s", pairs->v[k], pairs->v[k + 1]);
	}
}

static int apply_env(struct change *ch)
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

static json_t *object_member(json_t *o, const char *key)
{
	json_t *member = json_object_get(o, key);
	if (!json_is_object(member)) {
		member = json_object();
		json_put(o, key, member);
	}
	return member;
}

static int apply_label(struct change *ch)
{
	scoped(strv) struct strv pairs = STRV_INIT;
	if (expand_pairs(ch, &pairs) < 0) {
		return -1;
	}
	json_t *labels = object_member(ch->config, "Labels");
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

static int declare_arg(struct change *ch, const char *word)
{
	const char *equals = strchr(word, '=');
	scoped(free) char *name = equals ? xstrndup(word, (size_t)(equals - word)) : xstrdup(word);
	scoped(free) char *value = NULL;
	const char *given = strv_env_get(ch->a->build_args, name);
	scoped(free) char *own = NULL; /* the default, as it is without anything given */
	if (equals && expand(ch, equals + 1, &own) < 0 && !given) {
		return -1;
	}
	say(ch, " %s%s%s", name, own ? "=" : "", own ? own : "");
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

static int apply_arg(struct change *ch)
{
	say(ch, "ARG");
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

static int apply_cmd(struct change *ch)
{
	scoped(strv) struct strv argv = STRV_INIT;
	build_config_argv(ch->c, ch->i->json, &ch->i->words, ch->i->args, &argv);
	json_put(ch->config, "Cmd", json_strv(&argv));
	say_argv(ch, &argv);
	ch->c->cmd_set = true;
	return 0;
}

static int apply_entrypoint(struct change *ch)
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

/* "80" or "8000-8010" */
static bool parse_range(const char *text, unsigned *ret_first, unsigned *ret_last)
{
	const char *dash = strchr(text, '-');
	scoped(free) char *begin = dash ? xstrndup(text, (size_t)(dash - text)) : xstrdup(text);
	uint16_t first, last;
	if (parse_u16(begin, &first) < 0 || (dash && parse_u16(dash + 1, &last) < 0)) {
		return false;
	}
	*ret_first = first;
	*ret_last = dash ? last : first;
	return *ret_first <= *ret_last;
}

static int fail_port(struct change *ch, const char *part)
{
	scoped(free) char *why = xasprintf(
		"invalid containerPort: %.60s: expected PORT, FIRST-LAST or either with /tcp, /udp or /sctp",
		part);
	return fail(ch, why);
}

/* "80", "80/udp", "8000-8010/tcp" as ExposedPorts members. "[IP:][PORT:]80" as `docker run -p`
 * takes it means 80 alone, as BuildKit's convert_expose.go has it. */
static int expose(struct change *ch, json_t *ports, const char *word)
{
	const char *own = strrchr(word, ':') ? strrchr(word, ':') + 1 : word;
	const char *slash = strchr(own, '/');
	scoped(free) char *range = slash ? xstrndup(own, (size_t)(slash - own)) : xstrdup(own);
	scoped(free) char *proto = xstrdup(slash && slash[1] ? slash + 1 : "tcp");
	for (char *p = proto; *p; p++) {
		*p = (char)tolower((unsigned char)*p);
	}
	if (strcmp(proto, "tcp") != 0 && strcmp(proto, "udp") != 0 && strcmp(proto, "sctp") != 0) {
		scoped(free) char *why = xasprintf("invalid proto: %.60s", proto);
		return fail(ch, why);
	}
	unsigned first, last;
	if (!parse_range(range, &first, &last)) {
		return fail_port(ch, range);
	}
	for (unsigned port = first; port <= last; port++) {
		if (json_object_size(ports) >= PORTS_MAX) {
			return fail(ch, "more than 2000 ports");
		}
		scoped(free) char *key = xasprintf("%u/%s", port, proto);
		json_put(ports, key, json_object());
	}
	return 0;
}

static int apply_expose(struct change *ch)
{
	scoped(strv) struct strv words = STRV_INIT;
	if (expand_all(ch, ch->i->args, &words) < 0) {
		return -1;
	}
	scoped(json) json_t *ports = json_object();
	for (size_t k = 0; k < words.n; k++) {
		if (expose(ch, ports, words.v[k]) < 0) {
			return -1;
		}
	}
	if (ch->a->history) {
		history_ports(ch->a->history, &words, ports);
	}
	json_t *all = object_member(ch->config, "ExposedPorts");
	json_object_update(all, ports);
	return json_object_size(all) > PORTS_MAX ? fail(ch, "more than 2000 ports") : 0;
}

static int apply_volume(struct change *ch)
{
	json_t *volumes = object_member(ch->config, "Volumes");
	scoped(strv) struct strv paths = STRV_INIT;
	for (size_t k = 0; k < ch->i->words.n; k++) {
		scoped(free) char *path = NULL;
		if (expand(ch, ch->i->words.v[k], &path) < 0) {
			return -1;
		}
		if (!*path) {
			return fail(ch, "a volume can not be an empty string");
		}
		json_put(volumes, path, json_object());
		strv_take(&paths, TAKE(path));
	}
	say_list(ch, &paths);
	return ch->i->words.n ? 0 : fail(ch, "at least one path is needed");
}

static int apply_user(struct change *ch)
{
	scoped(free) char *user = NULL;
	if (expand(ch, ch->i->args, &user) < 0) {
		return -1;
	}
	json_put_str(ch->config, "User", user);
	say(ch, "USER %s", user);
	return 0;
}

const char *build_config_workdir(const struct build_config *c)
{
	const char *dir = json_str(config_of(c), "WorkingDir");
	return *dir ? dir : "/";
}

static int apply_workdir(struct change *ch)
{
	scoped(free) char *path = NULL;
	if (expand(ch, ch->i->args, &path) < 0) {
		return -1;
	}
	/* as BuildKit: an empty path changes nothing */
	scoped(free) char *whole = path_join(build_config_workdir(ch->c), path);
	json_put_str(ch->config, "WorkingDir", whole);
	say(ch, "WORKDIR %s", whole);
	return 0;
}

static int apply_shell(struct change *ch)
{
	if (!ch->i->json || ch->i->words.n == 0) {
		return fail(ch,
			"it requires the arguments in JSON form: SHELL [\"program\", \"option\"]");
	}
	json_put(ch->config, "Shell", json_strv(&ch->i->words));
	say_list(ch, &ch->i->words);
	return 0;
}

static int apply_stopsignal(struct change *ch)
{
	scoped(free) char *name = NULL;
	int number;
	if (expand(ch, ch->i->args, &name) < 0) {
		return -1;
	}
	if (parse_signal(name, &number) < 0) {
		scoped(free) char *why = xasprintf("invalid signal: %.60s", name);
		return fail(ch, why);
	}
	json_put_str(ch->config, "StopSignal", name);
	say(ch, "STOPSIGNAL %s", name);
	return 0;
}

static int apply_maintainer(struct change *ch)
{
	json_put_str(ch->c->image, "author", ch->i->args);
	say(ch, "MAINTAINER %s", ch->i->args);
	return 0;
}

static int apply_onbuild(struct change *ch)
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
		return fail(ch, why.msg);
	}
	json_t *list = json_object_get(ch->config, "OnBuild");
	if (!list) {
		list = json_array();
		json_put(ch->config, "OnBuild", list);
	}
	json_array_append_new(list, json_string(whole));
	if (ch->a->history && ch->a->history->classic) {
		say(ch, "ONBUILD %s", whole);
	}
	return 0;
}

static int put_health_duration(
	struct change *ch, json_t *health, const char *flag, const char *member)
{
	const char *text = df_flag(ch->i, flag);
	if (!text) {
		return 0;
	}
	int64_t ns;
	if (parse_duration(text, &ns) < 0 || ns < 0 || (ns > 0 && ns < MIN_HEALTH_NS)) {
		scoped(free) char *why =
			xasprintf("--%s=%.60s is not a duration of at least 1ms, like 30s or 1m30s",
				flag, text);
		return fail(ch, why);
	}
	if (ns > 0) {
		json_put(health, member, json_integer(ns));
	}
	return 0;
}

static int put_health_options(struct change *ch, json_t *health)
{
	static const char *const flags[] = {
		"interval", "timeout", "start-period", "start-interval", "retries", NULL};
	if (df_check_flags(ch->d, ch->i, flags, ch->e) < 0 ||
		put_health_duration(ch, health, "interval", "Interval") < 0 ||
		put_health_duration(ch, health, "timeout", "Timeout") < 0 ||
		put_health_duration(ch, health, "start-period", "StartPeriod") < 0 ||
		put_health_duration(ch, health, "start-interval", "StartInterval") < 0) {
		return -1;
	}
	const char *text = df_flag(ch->i, "retries");
	int retries = 0;
	if (text && parse_int(text, 0, 1000000, &retries) < 0) {
		return fail(ch, "--retries must be a number of at least 0");
	}
	if (retries) {
		json_put(health, "Retries", json_integer(retries));
	}
	return 0;
}

/* The command behind CMD, in either form. */
static int put_health_test(struct change *ch, json_t *health, const char *command)
{
	if (!*command || (ch->i->json && ch->i->words.n == 0)) {
		return fail(ch, "missing command after HEALTHCHECK CMD");
	}
	json_t *test = ch->i->json ? json_strv(&ch->i->words) : json_pack("[s]", command);
	json_array_insert_new(test, 0, json_string(ch->i->json ? "CMD" : "CMD-SHELL"));
	json_put(health, "Test", test);
	return 0;
}

static int apply_healthcheck(struct change *ch)
{
	size_t n = strcspn(ch->i->args, " \t");
	const char *rest = ch->i->args + n + strspn(ch->i->args + n, " \t");
	scoped(json) json_t *health = json_object();
	if (n == 4 && strncasecmp(ch->i->args, "NONE", 4) == 0) {
		if (*rest || ch->i->flags.n) {
			return fail(ch, "HEALTHCHECK NONE takes no arguments");
		}
		json_put(health, "Test", json_pack("[s]", "NONE"));
	} else if (n == 3 && strncasecmp(ch->i->args, "CMD", 3) == 0) {
		if (put_health_options(ch, health) < 0 || put_health_test(ch, health, rest) < 0) {
			return -1;
		}
	} else {
		scoped(free) char *why = xasprintf("unknown type \"%.*s\" (try CMD or NONE)",
			n > 40 ? 40 : (int)n, ch->i->args);
		return fail(ch, why);
	}
	if (ch->a->history) {
		say(ch, "HEALTHCHECK ");
		history_health(&ch->a->history->text, health);
	}
	json_put(ch->config, "Healthcheck", TAKE(health));
	return 0;
}

int build_config_apply(struct build_config *c, const struct dockerfile *d,
	const struct df_instruction *i, const struct config_args *a, struct err *e)
{
	static int (*const apply[DF_KINDS])(struct change *) = {
		[DF_ARG] = apply_arg,
		[DF_CMD] = apply_cmd,
		[DF_ENTRYPOINT] = apply_entrypoint,
		[DF_ENV] = apply_env,
		[DF_EXPOSE] = apply_expose,
		[DF_HEALTHCHECK] = apply_healthcheck,
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
	struct change ch = {c, config_of(c), d, i, a, build_config_expander(c, d->escape), e};
	if (!apply[i->kind]) {
		return df_error(d, i->line, e, "%s is not allowed here", df_keyword(i->kind));
	}
	if (i->kind != DF_HEALTHCHECK && i->kind != DF_ONBUILD &&
		df_check_flags(d, i, no_flags, e) < 0) {
		return -1;
	}
	return apply[i->kind](&ch);
}
