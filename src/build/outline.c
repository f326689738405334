#include "build/outline.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "build/run_mount.h"

/* --- parts of both --- */

static json_t *location(const struct df_instruction *i)
{
	return json_pack("{s[{s{si} s{si}}]}", "ranges", "start", "line", i->line, "end", "line",
		i->end_line);
}

static json_t *sources(const struct dockerfile *d)
{
	scoped(buf) struct buf encoded = BUF_INIT;
	base64_encode(d->text, strlen(d->text), &encoded);
	return json_pack("[s]", buf_str(&encoded));
}

static void put_text(json_t *o, const char *key, const char *text)
{
	if (text && *text) {
		json_put_str(o, key, text);
	}
}

/* The comment that begins with the name. */
static void put_description(json_t *o, const struct df_instruction *i, const char *name)
{
	size_t n = name ? strlen(name) : 0;
	for (size_t k = 0; n > 0 && k < i->comments.n; k++) {
		const char *text = i->comments.v[k] + strspn(i->comments.v[k], " \t");
		if (strncmp(text, name, n) == 0 && text[n] == ' ') {
			put_text(o, "description", text + n + 1);
			return;
		}
	}
}

static size_t characters(const char *text)
{
	size_t n = 0;
	for (; *text; text++) {
		n += ((unsigned char)*text & 0xc0) != 0x80;
	}
	return n;
}

/* A table as Go's tabwriter pads it: all columns but the last to the longest and some blanks. */
static void put_table(struct buf *ret, const struct strv *cells, size_t columns, size_t blanks)
{
	for (size_t k = 0; k < cells->n; k++) {
		size_t column = k % columns;
		size_t width = 0;
		for (size_t i = column; i < cells->n; i += columns) {
			size_t n = characters(cells->v[i]);
			width = n > width ? n : width;
		}
		size_t own = characters(cells->v[k]);
		bool last = column + 1 == columns;
		buf_printf(ret, "%s%*s", cells->v[k], last ? 0 : (int)(width - own + blanks),
			last ? "" : " ");
		if (last) {
			buf_putc(ret, '\n');
		}
	}
}

/* --- targets --- */

json_t *outline_targets(const struct dockerfile *d)
{
	json_t *list = json_array();
	json_t *last = NULL;
	for (size_t k = 0; k < d->n; k++) {
		const struct df_instruction *i = &d->v[k];
		if (i->kind != DF_FROM) {
			continue;
		}
		const char *name = i->words.n == 3 ? i->words.v[2] : NULL;
		last = json_object();
		put_text(last, "name", name);
		put_description(last, i, name);
		put_text(last, "base", i->words.n > 0 ? i->words.v[0] : NULL);
		put_text(last, "platform", df_flag(i, "platform"));
		json_put(last, "location", location(i));
		json_array_append_new(list, last);
	}
	if (last) {
		json_put(last, "default", json_true());
	}
	return json_pack("{so so}", "targets", list, "sources", sources(d));
}

void outline_targets_text(const json_t *targets, struct buf *ret)
{
	scoped(strv) struct strv cells = STRV_INIT;
	size_t i;
	json_t *t;
	strv_add(&cells, "TARGET");
	strv_add(&cells, "DESCRIPTION");
	json_array_foreach (json_object_get(targets, "targets"), i, t) {
		const char *name = json_str(t, "name");
		bool dflt = json_bool(t, "default");
		strv_addf(
			&cells, "%s%s%s", name, dflt && *name ? " " : "", dflt ? "(default)" : "");
		strv_add(&cells, json_str(t, "description"));
	}
	put_table(ret, &cells, 2, 1);
}

/* --- an outline --- */

/* Whoever asks for the value of a variable in a stage. */
struct known {
	const struct strv *args; /* NAME=value, a later one wins */
};

static const char *find_value(const struct strv *pairs, const char *name, size_t n)
{
	const char *found = NULL;
	for (size_t k = 0; pairs && k < pairs->n; k++) {
		if (strncmp(pairs->v[k], name, n) == 0 && pairs->v[k][n] == '=') {
			found = pairs->v[k] + n + 1;
		}
	}
	return found;
}

static const char *look_up(void *owner, const char *name, size_t n)
{
	const struct known *k = owner;
	return find_value(k->args, name, n);
}

struct outliner {
	const struct plan *p;
	const struct strv *build_args;
	struct strv values; /* of the stage at work: NAME=value */
	json_t *args, *secrets, *agents;
};

static bool has_name(const json_t *list, const char *name)
{
	size_t i;
	json_t *one;
	json_array_foreach (list, i, one) {
		if (strcmp(json_str(one, "name"), name) == 0) {
			return true;
		}
	}
	return false;
}

static void add_arg(
	struct outliner *o, const struct df_instruction *i, const char *name, const char *value)
{
	if (has_name(o->args, name)) {
		return;
	}
	json_t *arg = json_object();
	json_put_str(arg, "name", name);
	put_description(arg, i, name);
	put_text(arg, "value", value);
	json_put(arg, "location", location(i));
	json_array_append_new(o->args, arg);
}

/* An ARG before the first FROM, or NULL. */
static const struct df_instruction *find_global(const struct outliner *o, const char *name)
{
	const struct dockerfile *d = o->p->d;
	size_t n = strlen(name);
	for (size_t k = 0; k < d->n && d->v[k].kind != DF_FROM; k++) {
		for (size_t w = 0; d->v[k].kind == DF_ARG && w < d->v[k].words.n; w++) {
			const char *word = d->v[k].words.v[w];
			if (strncmp(word, name, n) == 0 && (word[n] == '=' || !word[n])) {
				return &d->v[k];
			}
		}
	}
	return NULL;
}

/* One that a stage only takes over is described where it is declared. */
static int arg_word(
	struct outliner *o, const struct df_instruction *i, const char *word, struct err *e)
{
	const struct known known = {&o->values};
	const struct expander x = {look_up, (void *)&known, o->p->d->escape, false, NULL};
	const char *equals = strchr(word, '=');
	scoped(free) char *name = xstrndup(word, strcspn(word, "="));
	const char *given = find_value(o->build_args, name, strlen(name));
	scoped(free) char *value = given ? xstrdup(given) : NULL;
	const struct df_instruction *at = i;
	if (!given && equals && expand_word(&x, equals + 1, &value, e) < 0) {
		return df_error(o->p->d, i->line, e, "%s", "the default of an ARG is wrong");
	}
	if (!given && !equals) {
		const char *global = find_value(&o->p->global_args, name, strlen(name));
		const struct df_instruction *declared = find_global(o, name);
		value = global ? xstrdup(global) : NULL;
		if (global && !declared) { /* the platform's: nobody has to give it */
			strv_addf(&o->values, "%s=%s", name, value);
			return 0;
		}
		at = declared ? declared : i;
	}
	add_arg(o, at, name, value);
	strv_addf(&o->values, "%s=%s", name, value ? value : "");
	return 0;
}

static int add_mount(
	struct outliner *o, const struct df_instruction *i, const char *text, struct err *e)
{
	const struct known known = {&o->values};
	const struct expander x = {look_up, (void *)&known, o->p->d->escape, false, NULL};
	scoped(run_mount) struct run_mount m = {0};
	struct err why;
	if (run_mount_parse(text, &x, &m, &why) < 0) {
		return df_error(o->p->d, i->line, e, "%s", why.msg);
	}
	json_t *list = m.type == RUN_MOUNT_SECRET ? o->secrets
		       : m.type == RUN_MOUNT_SSH  ? o->agents
						  : NULL;
	if (list && !has_name(list, m.id)) {
		json_t *one = json_pack("{ss}", "name", m.id);
		if (m.required) {
			json_put(one, "required", json_true());
		}
		json_put(one, "location", location(i));
		json_array_append_new(list, one);
	}
	return 0;
}

/* "$NAME" and "${NAME...}" of a FROM are ARGs before it. */
static void from_args(struct outliner *o, const struct df_instruction *i)
{
	for (const char *at = strchr(i->args, '$'); at; at = strchr(at + 1, '$')) {
		const char *begin = at + 1 + (at[1] == '{');
		size_t n = strspn(begin, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
					 "0123456789");
		scoped(free) char *name = xstrndup(begin, n);
		const struct df_instruction *declared = n > 0 ? find_global(o, name) : NULL;
		if (declared) {
			add_arg(o, declared, name, find_value(&o->p->global_args, name, n));
		}
	}
}

static int add_instruction(struct outliner *o, const struct df_instruction *i, struct err *e)
{
	for (size_t k = 0; i->kind == DF_ARG && k < i->words.n; k++) {
		if (arg_word(o, i, i->words.v[k], e) < 0) {
			return -1;
		}
	}
	for (size_t k = 0; i->kind == DF_RUN && k < i->flags.n; k++) {
		const char *mount = run_mount_flag(i->flags.v[k]);
		if (mount && add_mount(o, i, mount, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int add_stages(struct outliner *o, struct err *e)
{
	const struct plan *p = o->p;
	for (size_t s = 0; s < p->n; s++) {
		if (!p->v[s].needed) {
			continue;
		}
		strv_clear(&o->values);
		from_args(o, &p->d->v[p->v[s].from]);
		for (size_t k = p->v[s].from + 1; k < p->v[s].end; k++) {
			if (add_instruction(o, &p->d->v[k], e) < 0) {
				return -1;
			}
		}
	}
	return 0;
}

static int line_of(const json_t *entry)
{
	const json_t *range =
		json_array_get(json_object_get(json_object_get(entry, "location"), "ranges"), 0);
	return (int)json_i64(json_object_get(range, "start"), "line", 0);
}

/* In the order of the file; those of one line stay as they are. */
static void put_sorted(json_t *outline, const char *key, json_t *list)
{
	json_t *sorted = json_array();
	size_t i;
	json_t *one;
	json_array_foreach (list, i, one) {
		size_t at = json_array_size(sorted);
		while (at > 0 && line_of(json_array_get(sorted, at - 1)) > line_of(one)) {
			at--;
		}
		json_array_insert(sorted, at, one);
	}
	if (json_array_size(sorted) > 0) {
		json_put(outline, key, sorted);
	} else {
		json_decref(sorted);
	}
}

json_t *outline_make(const struct plan *p, const struct strv *build_args, struct err *e)
{
	const struct stage *target = &p->v[p->target];
	scoped(json) json_t *args = json_array();
	scoped(json) json_t *secrets = json_array();
	scoped(json) json_t *agents = json_array();
	struct outliner o = {.p = p,
		.build_args = build_args,
		.args = args,
		.secrets = secrets,
		.agents = agents};
	int r = add_stages(&o, e);
	strv_deinit(&o.values);
	if (r < 0) {
		return NULL;
	}
	json_t *outline = json_object();
	put_text(outline, "name", target->name);
	put_description(outline, &p->d->v[target->from], target->name);
	put_sorted(outline, "args", args);
	put_sorted(outline, "secrets", secrets);
	put_sorted(outline, "ssh", agents);
	json_put(outline, "sources", sources(p->d));
	return outline;
}

static void put_required(const json_t *list, const char *title, struct buf *ret)
{
	scoped(strv) struct strv cells = STRV_INIT;
	size_t i;
	json_t *one;
	strv_add(&cells, title);
	strv_add(&cells, "REQUIRED");
	json_array_foreach (list, i, one) {
		strv_add(&cells, json_str(one, "name"));
		strv_add(&cells, json_bool(one, "required") ? "true" : "");
	}
	if (json_array_size(list) > 0) {
		put_table(ret, &cells, 2, 3);
		buf_putc(ret, '\n');
	}
}

static void put_args(const json_t *list, struct buf *ret)
{
	static const char *const keys[] = {"name", "value", "description"};
	scoped(strv) struct strv cells = STRV_INIT;
	size_t i;
	json_t *one;
	strv_add(&cells, "BUILD ARG");
	strv_add(&cells, "VALUE");
	strv_add(&cells, "DESCRIPTION");
	json_array_foreach (list, i, one) {
		for (size_t k = 0; k < 3; k++) {
			strv_add(&cells, json_str(one, keys[k]));
		}
	}
	if (json_array_size(list) > 0) {
		put_table(ret, &cells, 3, 3);
		buf_putc(ret, '\n');
	}
}

void outline_text(const json_t *outline, struct buf *ret)
{
	const char *name = json_str(outline, "name");
	const char *description = json_str(outline, "description");
	if (*name || *description) {
		scoped(strv) struct strv cells = STRV_INIT;
		strv_add(&cells, "TARGET:");
		strv_add(&cells, *name ? name : "(default)");
		if (*description) {
			strv_add(&cells, "DESCRIPTION:");
			strv_add(&cells, description);
		}
		put_table(ret, &cells, 2, 1);
		buf_putc(ret, '\n');
	}
	put_args(json_object_get(outline, "args"), ret);
	put_required(json_object_get(outline, "secrets"), "SECRET", ret);
	put_required(json_object_get(outline, "ssh"), "SSH", ret);
}
