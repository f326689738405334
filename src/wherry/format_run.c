/* Runs a parsed template over one document. Go text/template/exec.go says what is an error, and in
 * which words. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/format.h"
#include "wherry/format_call.h"
#include "wherry/format_node.h"
#include "wherry/format_value.h"

#define VARS_MAX 64
#define STEPS_MAX 2000000
#define OUT_MAX (64u << 20)

struct format {
	const char *name;
	char *text;
	struct format_node *root;
};

struct run {
	const struct format *f;
	const struct format_style *style;
	struct buf *out;
	json_t *held; /* what functions made lives until the end */
	struct {
		const char *name;
		struct value value;
	} vars[VARS_MAX];
	size_t n_vars;
	size_t steps;
	struct err *e;
};

enum flow { FLOW_ERROR = -1, FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

static int eval_pipe(
	struct run *r, struct value dot, const struct format_node *pipe, struct value *ret);
static enum flow walk(struct run *r, struct value dot, const struct format_node *n);

PRINTF(3, 4)
static int fail(struct run *r, const struct format_node *at, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	scoped(free) char *text = xvasprintf(fmt, args);
	va_end(args);
	scoped(buf) struct buf context = BUF_INIT;
	format_node_put(at, &context);
	int line = 1;
	size_t start = 0;
	for (size_t i = 0; i < at->pos; i++) {
		if (r->f->text[i] == '\n') {
			line++;
			start = i + 1;
		}
	}
	return err_set(r->e, ERR_INVALID, "template: %s:%d:%zu: executing \"%s\" at <%s>: %s",
		r->f->name, line, at->pos - start, r->f->name, buf_str(&context), text);
}

static struct value hold(struct run *r, json_t *take_new)
{
	json_array_append_new(r->held, take_new);
	return value_of(take_new);
}

/* --- fields and variables --- */

static const json_t *member(const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);
	const char *key;
	json_t *item;
	if (v || !isupper((unsigned char)*name)) {
		return v;
	}
	json_object_foreach ((json_t *)o, key, item) {
		if (strcasecmp(key, name) == 0) {
			return item;
		}
	}
	return NULL;
}

static int eval_field(struct run *r, const struct format_node *at, const char *name,
	struct value from, struct value *ret)
{
	if (r->style->is_titles) {
		const json_t *v = json_object_get(from.json, name);
		*ret = value_of(v);
		return 0;
	}
	if (from.is_column) {
		const json_t *v = json_object_get(from.json, name);
		*ret = value_member(name, v);
		return v && *name != '_' ? 0
					 : fail(r, at, "can't evaluate field %s in type %s", name,
						   r->style->type);
	}
	if (value_is_nil(from)) {
		return fail(r, at, "nil data; no entry for key \"%s\"", name);
	}
	if (!json_is_object(from.json)) {
		return fail(r, at, "can't evaluate field %s in type %s", name, value_type(from));
	}
	const json_t *v = from.is_map ? json_object_get(from.json, name) : member(from.json, name);
	if (!v && !from.is_map && !value_is_optional(name)) {
		return r->style->type ? fail(r, at, "can't evaluate field %s in type %s", name,
						r->style->type)
				      : fail(r, at, "map has no entry for key \"%s\"", name);
	}
	*ret = from.is_map ? value_of(v) : value_member(name, v);
	return 0;
}

/* names[first..] below from. */
static int eval_fields(struct run *r, const struct format_node *at, size_t first, struct value from,
	struct value *ret)
{
	for (size_t i = first; i < at->names.n; i++) {
		bool absent = i > first && value_is_nil(from) && from.nil == NIL_POINTER;
		if (absent && !r->style->type) { /* where Docker falls back to a plain map */
			return fail(r, at, "map has no entry for key \"%s\"", at->names.v[i - 1]);
		}
		if (eval_field(r, at, at->names.v[i], from, &from) < 0) {
			return -1;
		}
	}
	*ret = from;
	return 0;
}

static struct value *find_var(struct run *r, const char *name)
{
	for (size_t i = r->n_vars; i > 0; i--) {
		if (strcmp(r->vars[i - 1].name, name) == 0) {
			return &r->vars[i - 1].value;
		}
	}
	return NULL;
}

static int push_var(struct run *r, const struct format_node *at, const char *name, struct value v)
{
	if (r->n_vars == VARS_MAX) {
		return fail(r, at, "more than %d variables", VARS_MAX);
	}
	r->vars[r->n_vars].name = name;
	r->vars[r->n_vars++].value = v;
	return 0;
}

/* --- calls --- */

static int eval_operand(
	struct run *r, struct value dot, const struct format_node *n, struct value *ret);

/* .Label "key" of a row. */
static int call_label(struct run *r, struct value dot, const struct format_node *cmd,
	const struct value *piped, struct value *ret)
{
	size_t n = cmd->n_kids - 1 + (piped != NULL);
	struct value key = {0};
	if (n != 1) {
		return fail(r, cmd->kids[0], "wrong number of args for Label: want 1 got %zu", n);
	}
	if (piped) {
		key = *piped;
	} else if (eval_operand(r, dot, cmd->kids[1], &key) < 0) {
		return -1;
	}
	if (!json_is_string(key.json)) {
		return fail(
			r, cmd, "wrong type for value; expected string; got %s", value_type(key));
	}
	const char *name = json_string_value(key.json);
	if (r->style->is_titles) { /* "com.example.my_label" stands above its column as "my label"
				    */
		const char *dot_at = strrchr(name, '.');
		scoped(free) char *title = xstrdup(dot_at ? dot_at + 1 : name);
		for (char *p = title; (p = strpbrk(p, "-_"));) {
			*p = ' ';
		}
		*ret = hold(r, json_string(title));
		return 0;
	}
	const json_t *v = json_object_get(json_object_get(dot.json, "_labels"), name);
	*ret = v ? value_of(v) : hold(r, json_string(""));
	return 0;
}

/* What a function takes as its i-th argument: 0 when there may be none. */
static char type_of_arg(const struct function *f, size_t i)
{
	size_t n = strcspn(f->args, "*");
	return i < n ? f->args[i] : f->args[n] ? '.' : 0;
}

static int check_arg(struct run *r, const struct format_node *at, char type, struct value v)
{
	static const struct {
		char type;
		const char *name;
	} words[] = {{'s', "string"}, {'l', "[]string"}, {'i', "int"}};
	bool right =
		type == '.' || (type == 's' && json_is_string(v.json)) ||
		(type == 'i' && json_is_integer(v.json)) ||
		(type == 'l' && (json_is_array(v.json) || (value_is_nil(v) && v.nil == NIL_LIST)));
	for (size_t i = 0; !right && i < 3; i++) {
		if (words[i].type == type) {
			return value_is_nil(v)
				       ? fail(r, at, "invalid value; expected %s", words[i].name)
				       : fail(r, at, "wrong type for value; expected %s; got %s",
						 words[i].name, value_type(v));
		}
	}
	return 0;
}

static int check_count(
	struct run *r, const struct format_node *cmd, const struct function *f, size_t n)
{
	size_t wanted = strcspn(f->args, "*");
	bool more = f->args[wanted];
	if (n < wanted || (n > wanted && !more)) {
		return fail(r, cmd, "wrong number of args for %s: want %s%zu got %zu", f->name,
			more ? "at least " : "", wanted, n);
	}
	return n > FORMAT_ARGS_MAX ? fail(r, cmd, "more than %d arguments", FORMAT_ARGS_MAX) : 0;
}

/* and, or: the first argument that decides is the result, and the last that is looked at. */
static int call_logic(struct run *r, struct value dot, const struct function *f,
	const struct format_node *cmd, const struct value *piped, struct value *ret)
{
	bool stop_at = *f->name == 'o';
	struct value v = {0};
	for (size_t i = 1; i < cmd->n_kids; i++) {
		if (eval_operand(r, dot, cmd->kids[i], &v) < 0) {
			return -1;
		}
		if (value_truth(v) == stop_at) {
			*ret = v;
			return 0;
		}
	}
	*ret = piped ? *piped : v;
	return 0;
}

/* The titles of a table go through functions as they are, but json has none. */
static struct value title_of(struct run *r, const struct function *f, const struct value *args)
{
	return strcmp(f->name, "json") == 0 ? hold(r, json_string("")) : args[0];
}

static bool hands_titles_through(const struct function *f)
{
	static const char *const names[] = {
		"json", "join", "lower", "pad", "split", "title", "truncate", "upper"};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(names[i], f->name) == 0) {
			return true;
		}
	}
	return false;
}

static int call_function(struct run *r, struct value dot, const struct format_node *cmd,
	const struct value *piped, struct value *ret)
{
	const struct function *f = format_function_at(format_function(cmd->kids[0]->text));
	struct value args[FORMAT_ARGS_MAX] = {0};
	size_t n = cmd->n_kids - 1 + (piped != NULL);
	bool through = r->style->is_titles && hands_titles_through(f);
	if (check_count(r, cmd, f, n) < 0) {
		return -1;
	}
	if (!f->call) {
		return call_logic(r, dot, f, cmd, piped, ret);
	}
	for (size_t i = 0; i < n; i++) {
		const struct format_node *at = i + 1 < cmd->n_kids ? cmd->kids[i + 1] : cmd;
		if (i + 1 < cmd->n_kids) {
			if (eval_operand(r, dot, at, &args[i]) < 0) {
				return -1;
			}
		} else if (piped) {
			args[i] = *piped;
		}
		if (!through && check_arg(r, at, type_of_arg(f, i), args[i]) < 0) {
			return -1;
		}
	}
	if (through) {
		*ret = title_of(r, f, args);
		return 0;
	}
	struct err e = {0};
	json_t *result = f->call(args, (int)n, &e);
	if (!result) {
		return fail(r, cmd, "error calling %s: %s", f->name,
			*e.msg ? e.msg : "the result is no text");
	}
	*ret = hold(r, result);
	return 0;
}

/* --- operands, commands, pipes --- */

static int eval_variable(struct run *r, const struct format_node *n, struct value *ret)
{
	struct value *v = find_var(r, n->names.v[0]);
	return v ? eval_fields(r, n, 1, *v, ret)
		 : fail(r, n, "undefined variable: %s", n->names.v[0]);
}

static int eval_operand(
	struct run *r, struct value dot, const struct format_node *n, struct value *ret)
{
	struct value inner = {0};
	switch (n->kind) {
	case NODE_DOT:
		*ret = dot;
		return 0;
	case NODE_NIL:
		*ret = (struct value){.nil = NIL_POINTER};
		return 0;
	case NODE_CONSTANT:
		*ret = value_of(n->value);
		return 0;
	case NODE_FIELD:
		return eval_fields(r, n, 0, dot, ret);
	case NODE_VARIABLE:
		return eval_variable(r, n, ret);
	case NODE_PIPE:
		return eval_pipe(r, dot, n, ret);
	case NODE_CHAIN:
		return eval_operand(r, dot, n->kids[0], &inner) < 0
			       ? -1
			       : eval_fields(r, n, 0, inner, ret);
	case NODE_IDENTIFIER: {
		struct format_node *kids[] = {(struct format_node *)n};
		const struct format_node cmd = {
			.kind = NODE_COMMAND, .pos = n->pos, .kids = kids, .n_kids = 1};
		return call_function(r, dot, &cmd, NULL, ret);
	}
	default:
		return fail(r, n, "can't handle it as an operand");
	}
}

static int eval_command(struct run *r, struct value dot, const struct format_node *cmd,
	const struct value *piped, struct value *ret)
{
	const struct format_node *first = cmd->kids[0];
	bool has_args = cmd->n_kids > 1 || piped;
	if (++r->steps > STEPS_MAX) {
		return fail(r, cmd, "more than %d steps", STEPS_MAX);
	}
	if (first->kind == NODE_IDENTIFIER) {
		return call_function(r, dot, cmd, piped, ret);
	}
	bool is_field = first->kind == NODE_FIELD;
	bool has_labels = dot.is_column || r->style->is_titles;
	if (is_field && first->names.n == 1 && has_labels &&
		strcmp(first->names.v[0], "Label") == 0) {
		return call_label(r, dot, cmd, piped, ret);
	}
	if (has_args && is_field && dot.is_column) {
		return fail(r, first, "wrong number of args for %s: want 0 got %zu",
			first->names.v[first->names.n - 1], cmd->n_kids - 1 + (piped != NULL));
	}
	if (has_args && (is_field || first->kind == NODE_CHAIN)) {
		return fail(r, first, "%s is not a method but has arguments",
			first->names.v[first->names.n - 1]);
	}
	if (has_args) {
		scoped(buf) struct buf text = BUF_INIT;
		format_node_put(first, &text);
		return fail(r, first, "can't give argument to non-function %s", buf_str(&text));
	}
	return first->kind == NODE_NIL ? fail(r, first, "nil is not a command")
				       : eval_operand(r, dot, first, ret);
}

/* Without setting the names of the pipe. */
static int eval_value(
	struct run *r, struct value dot, const struct format_node *pipe, struct value *ret)
{
	struct value v = {0};
	for (size_t i = 0; i < pipe->n_kids; i++) {
		if (eval_command(r, dot, pipe->kids[i], i ? &v : NULL, &v) < 0) {
			return -1;
		}
	}
	*ret = v;
	return 0;
}

static int eval_pipe(
	struct run *r, struct value dot, const struct format_node *pipe, struct value *ret)
{
	if (eval_value(r, dot, pipe, ret) < 0) {
		return -1;
	}
	for (size_t i = 0; i < pipe->names.n; i++) {
		struct value *known = pipe->assigns ? find_var(r, pipe->names.v[i]) : NULL;
		if (known) {
			*known = *ret;
		} else if (push_var(r, pipe, pipe->names.v[i], *ret) < 0) {
			return -1;
		}
	}
	return 0;
}

/* --- blocks --- */

static enum flow walk_if(struct run *r, struct value dot, const struct format_node *n)
{
	struct value v;
	size_t n_vars = r->n_vars;
	enum flow flow = FLOW_ON;
	if (eval_pipe(r, dot, n->pipe, &v) < 0) {
		return FLOW_ERROR;
	}
	if (value_truth(v)) {
		flow = walk(r, n->kind == NODE_WITH ? v : dot, n->list);
	} else if (n->else_list) {
		flow = walk(r, dot, n->else_list);
	}
	r->n_vars = n_vars;
	return flow;
}

/* One turn of a range. */
static enum flow walk_element(
	struct run *r, const struct format_node *n, struct value key, struct value v)
{
	const struct strv *names = &n->pipe->names;
	size_t n_vars = r->n_vars;
	for (size_t i = 0; i < names->n; i++) {
		struct value set = names->n == 2 && i == 0 ? key : v;
		struct value *known = n->pipe->assigns ? find_var(r, names->v[i]) : NULL;
		if (known) {
			*known = set;
		} else if (push_var(r, n->pipe, names->v[i], set) < 0) {
			return FLOW_ERROR;
		}
	}
	enum flow flow = walk(r, v, n->list);
	r->n_vars = n_vars;
	return flow == FLOW_CONTINUE ? FLOW_ON : flow;
}

static enum flow walk_map(struct run *r, const struct format_node *n, const json_t *map)
{
	size_t size = json_object_size(map);
	scoped(free) const char **keys = xnew_array(const char *, size + 1);
	enum flow flow = FLOW_ON;
	value_sorted_keys(map, keys);
	for (size_t i = 0; i < size && flow == FLOW_ON; i++) {
		struct value key = hold(r, json_string(keys[i]));
		flow = walk_element(r, n, key, value_of(json_object_get(map, keys[i])));
	}
	return flow;
}

/* A list, or the numbers below an integer. */
static enum flow walk_count(struct run *r, const struct format_node *n, const json_t *list)
{
	enum flow flow = FLOW_ON;
	size_t size =
		json_is_array(list) ? json_array_size(list) : (size_t)json_integer_value(list);
	for (size_t i = 0; i < size && flow == FLOW_ON; i++) {
		struct value key = hold(r, json_integer((json_int_t)i));
		flow = walk_element(
			r, n, key, json_is_array(list) ? value_of(json_array_get(list, i)) : key);
	}
	return flow;
}

static enum flow walk_range(struct run *r, struct value dot, const struct format_node *n)
{
	struct value v;
	enum flow flow = FLOW_ON;
	if (eval_value(r, dot, n->pipe, &v) < 0) {
		return FLOW_ERROR;
	}
	bool empty = value_is_nil(v) || (json_is_array(v.json) && json_array_size(v.json) == 0) ||
		     (json_is_object(v.json) && json_object_size(v.json) == 0) ||
		     (json_is_integer(v.json) && json_integer_value(v.json) <= 0);
	if (empty) {
		flow = n->else_list ? walk(r, dot, n->else_list) : FLOW_ON;
	} else if (json_is_object(v.json)) {
		flow = walk_map(r, n, v.json);
	} else if (json_is_array(v.json) || json_is_integer(v.json)) {
		flow = walk_count(r, n, v.json);
	} else {
		scoped(buf) struct buf text = BUF_INIT;
		value_put(v, &text);
		return fail(r, n->pipe, "range can't iterate over %s", buf_str(&text)) < 0
			       ? FLOW_ERROR
			       : FLOW_ON;
	}
	return flow == FLOW_BREAK ? FLOW_ON : flow;
}

static enum flow walk_action(struct run *r, struct value dot, const struct format_node *n)
{
	struct value v;
	if (eval_pipe(r, dot, n->pipe, &v) < 0) {
		return FLOW_ERROR;
	}
	if (n->pipe->names.n == 0) {
		value_put(v, r->out);
	}
	return FLOW_ON;
}

static enum flow walk_list(struct run *r, struct value dot, const struct format_node *list)
{
	enum flow flow = FLOW_ON;
	for (size_t i = 0; i < list->n_kids && flow == FLOW_ON; i++) {
		flow = walk(r, dot, list->kids[i]);
	}
	return flow;
}

static enum flow walk(struct run *r, struct value dot, const struct format_node *n)
{
	if (++r->steps > STEPS_MAX || r->out->len > OUT_MAX) {
		err_set(r->e, ERR_INVALID, "template: %s: it prints or does too much", r->f->name);
		return FLOW_ERROR;
	}
	switch (n->kind) {
	case NODE_LIST:
		return walk_list(r, dot, n);
	case NODE_TEXT:
		buf_puts(r->out, n->text);
		return FLOW_ON;
	case NODE_IF:
	case NODE_WITH:
		return walk_if(r, dot, n);
	case NODE_RANGE:
		return walk_range(r, dot, n);
	case NODE_BREAK:
		return FLOW_BREAK;
	case NODE_CONTINUE:
		return FLOW_CONTINUE;
	default:
		return walk_action(r, dot, n);
	}
}

/* --- the module --- */

struct format *format_new(const char *name, const char *text, struct err *e)
{
	struct format *f = xnew(struct format);
	f->name = name;
	f->text = xstrdup(text);
	f->root = format_parse(name, f->text, e);
	if (!f->root) {
		format_free(TAKE(f));
	}
	return f;
}

void format_free(struct format *f)
{
	if (f) {
		format_node_free(f->root);
		free(f->text);
		free(f);
	}
}

int format_run(const struct format *f, const json_t *doc, const struct format_style *style,
	struct buf *ret, struct err *e)
{
	struct value dot = {.json = doc, .is_column = style->is_row};
	struct run r = {.f = f, .style = style, .out = ret, .held = json_array(), .e = e};
	r.vars[r.n_vars].name = "$";
	r.vars[r.n_vars++].value = dot;
	enum flow flow = walk(&r, dot, f->root);
	json_decref(r.held);
	return flow == FLOW_ERROR ? -1 : 0;
}

int format_print(const char *text, const json_t *doc, struct buf *ret, struct err *e)
{
	scoped(format) struct format *f = format_new("", text, e);
	return !f || format_run(f, doc, &(struct format_style){0}, ret, e) < 0
		       ? err_wrap(e, "template parsing error")
		       : 0;
}

int format_check(const char *text, struct err *e)
{
	scoped(format) struct format *f = format_new("", text, e);
	return f ? 0 : err_wrap(e, "template parsing error");
}

char *format_unescape(const char *text)
{
	struct buf out = BUF_INIT;
	for (; *text; text++) {
		if (*text == '\\' && (text[1] == 't' || text[1] == 'n')) {
			buf_putc(&out, *++text == 't' ? '\t' : '\n');
		} else {
			buf_putc(&out, *text);
		}
	}
	return buf_take_str(&out);
}

int format_put_line(const struct format *f, const json_t *doc, const char *type, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	const struct format_style style = {.type = type};
	if (format_run(f, doc, &style, &text, e) < 0) {
		return err_wrap(e, "Error parsing format");
	}
	printf("%s\n", buf_str(&text));
	return 0;
}
