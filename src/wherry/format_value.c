#include "wherry/format_value.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"

#define ARGS_MAX 8
#define BLANKS " \t\r\n"

static int eval_pipe(
	const struct format_scope *s, const char **p, int depth, json_t **ret, struct err *e);

bool format_truth(const json_t *v)
{
	switch (json_typeof(v ? v : json_null())) {
	case JSON_OBJECT:
		return json_object_size(v) > 0;
	case JSON_ARRAY:
		return json_array_size(v) > 0;
	case JSON_STRING:
		return json_string_length(v) > 0;
	case JSON_INTEGER:
	case JSON_REAL:
		return json_number_value(v) != 0;
	default:
		return json_is_true(v);
	}
}

static int by_key(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_map(const json_t *v, struct buf *ret)
{
	scoped(free) const char **keys = xnew_array(const char *, json_object_size(v) + 1);
	size_t n = 0;
	const char *key;
	json_t *item;
	json_object_foreach ((json_t *)v, key, item) {
		keys[n++] = key;
	}
	qsort(keys, n, sizeof(*keys), by_key);
	buf_puts(ret, "map[");
	for (size_t i = 0; i < n; i++) {
		buf_printf(ret, "%s%s:", i ? " " : "", keys[i]);
		format_put(json_object_get(v, keys[i]), ret);
	}
	buf_putc(ret, ']');
}

void format_put(const json_t *v, struct buf *ret)
{
	if (!v || json_is_null(v)) {
		buf_puts(ret, "<no value>");
	} else if (json_is_string(v)) {
		buf_append(ret, json_string_value(v), json_string_length(v));
	} else if (json_is_boolean(v)) {
		buf_puts(ret, json_is_true(v) ? "true" : "false");
	} else if (json_is_integer(v)) {
		buf_printf(ret, "%lld", (long long)json_integer_value(v));
	} else if (json_is_real(v)) {
		buf_printf(ret, "%g", json_real_value(v));
	} else if (json_is_object(v)) {
		put_map(v, ret);
	} else {
		buf_putc(ret, '[');
		for (size_t i = 0; i < json_array_size(v); i++) {
			buf_puts(ret, i ? " " : "");
			format_put(json_array_get(v, i), ret);
		}
		buf_putc(ret, ']');
	}
}

/* --- fields --- */

static const json_t *member(const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);
	const char *key;
	json_t *item;
	if (v) {
		return v;
	}
	json_object_foreach ((json_t *)o, key, item) {
		if (strcasecmp(key, name) == 0) {
			return item;
		}
	}
	return NULL;
}

/* ".A.B" below value; *p stands at the first dot. value is borrowed, so is *ret. */
static int follow(const struct format_scope *s, const char **p, const json_t *value,
	const json_t **ret, struct err *e)
{
	while (**p == '.') {
		size_t n = 0;
		while (isalnum((unsigned char)(*p)[1 + n]) || (*p)[1 + n] == '_') {
			n++;
		}
		if (n == 0) {
			if ((*p)[1] && !strchr(BLANKS "})|", (*p)[1])) {
				return err_set(
					e, ERR_INVALID, "unexpected \"%.16s\" in an action", *p);
			}
			++*p; /* "." alone */
			break;
		}
		scoped(free) char *name = xstrndup(*p + 1, n);
		*p += 1 + n;
		if (s->dry) {
			continue;
		}
		const json_t *next = member(value, name);
		if (!next && !s->lenient && value && !json_is_null(value)) {
			return json_is_object(value)
				       ? err_set(e, ERR_INVALID, "map has no entry for key \"%s\"",
						 name)
				       : err_set(e, ERR_INVALID,
						 "can't evaluate field %s: it is no object", name);
		}
		value = next;
	}
	*ret = value;
	return 0;
}

/* "$", "$v", "$.A" */
static int eval_variable(
	const struct format_scope *s, const char **p, const json_t **ret, struct err *e)
{
	size_t n = 0;
	while (isalnum((unsigned char)(*p)[1 + n]) || (*p)[1 + n] == '_') {
		n++;
	}
	scoped(free) char *name = xstrndup(*p + 1, n);
	*p += 1 + n;
	const json_t *value = s->root;
	bool known = n == 0;
	for (int i = s->n_vars - 1; i >= 0 && !known; i--) {
		known = strcmp(s->vars[i].name, name) == 0;
		value = s->vars[i].value;
	}
	if (!known) {
		return err_set(e, ERR_INVALID, "undefined variable \"$%s\"", name);
	}
	return follow(s, p, value, ret, e);
}

static int eval_quoted(const char **p, json_t **ret, struct err *e)
{
	char quote = **p;
	struct buf text = BUF_INIT;
	const char *q = *p + 1;
	for (; *q && *q != quote; q++) {
		if (*q == '\\' && quote == '"' && q[1]) {
			q++;
			buf_putc(&text, *q == 'n' ? '\n' : *q == 't' ? '\t' : *q);
		} else {
			buf_putc(&text, *q);
		}
	}
	if (!*q) {
		buf_deinit(&text);
		return err_set(e, ERR_INVALID, "unterminated quoted string");
	}
	*p = q + 1;
	*ret = json_string(buf_str(&text));
	buf_deinit(&text);
	return 0;
}

/* --- functions --- */

static int fn_json(json_t **args, int n, json_t **ret, struct err *e)
{
	scoped(free) char *text = json_dumps(args[0], JSON_COMPACT | JSON_ENCODE_ANY);
	*ret = json_string(text ? text : "null");
	return 0;
}

static int fn_index(json_t **args, int n, json_t **ret, struct err *e)
{
	json_t *v = args[0];
	for (int i = 1; i < n; i++) {
		if (json_is_array(v) && json_is_integer(args[i])) {
			json_int_t at = json_integer_value(args[i]);
			if (at < 0 || (size_t)at >= json_array_size(v)) {
				return err_set(e, ERR_INVALID,
					"error calling index: index out of range: %lld",
					(long long)at);
			}
			v = json_array_get(v, (size_t)at);
		} else if (json_is_string(args[i])) {
			v = json_object_get(v, json_string_value(args[i]));
			if (!v) { /* the zero value of Go's map[string]string */
				*ret = json_string("");
				return 0;
			}
		} else {
			return err_set(e, ERR_INVALID,
				"error calling index: cannot index with such a value");
		}
	}
	*ret = json_incref(v);
	return 0;
}

static int fn_len(json_t **args, int n, json_t **ret, struct err *e)
{
	size_t len = json_is_string(args[0])  ? json_string_length(args[0])
		     : json_is_array(args[0]) ? json_array_size(args[0])
					      : json_object_size(args[0]);
	*ret = json_integer((json_int_t)len);
	return 0;
}

static int fn_join(json_t **args, int n, json_t **ret, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	for (size_t i = 0; i < json_array_size(args[0]); i++) {
		buf_puts(&text, i ? json_string_value(args[1]) : "");
		format_put(json_array_get(args[0], i), &text);
	}
	*ret = json_string(buf_str(&text));
	return 0;
}

static int fn_split(json_t **args, int n, json_t **ret, struct err *e)
{
	const char *text = json_string_value(args[0]);
	const char *sep = json_string_value(args[1]);
	*ret = json_array();
	if (!text || !sep || !*sep) {
		return 0;
	}
	for (const char *end; (end = strstr(text, sep)); text = end + strlen(sep)) {
		json_array_append_new(*ret, json_stringn(text, (size_t)(end - text)));
	}
	json_array_append_new(*ret, json_string(text));
	return 0;
}

static json_t *change_case(const json_t *v, int (*change)(int), bool first_only)
{
	struct buf text = BUF_INIT;
	format_put(v, &text);
	for (size_t i = 0; i < text.len && (i == 0 || !first_only); i++) {
		text.data[i] = (char)change((unsigned char)text.data[i]);
	}
	json_t *ret = json_string(buf_str(&text));
	buf_deinit(&text);
	return ret;
}

static int fn_lower(json_t **args, int n, json_t **ret, struct err *e)
{
	*ret = change_case(args[0], tolower, false);
	return 0;
}

static int fn_upper(json_t **args, int n, json_t **ret, struct err *e)
{
	*ret = change_case(args[0], toupper, false);
	return 0;
}

static int fn_title(json_t **args, int n, json_t **ret, struct err *e)
{
	*ret = change_case(args[0], toupper, true);
	return 0;
}

static json_t *print_all(json_t **args, int n, const char *end)
{
	struct buf text = BUF_INIT;
	for (int i = 0; i < n; i++) {
		buf_puts(&text, i && *end ? " " : "");
		format_put(args[i], &text);
	}
	buf_puts(&text, end);
	json_t *ret = json_string(buf_str(&text));
	buf_deinit(&text);
	return ret;
}

static int fn_print(json_t **args, int n, json_t **ret, struct err *e)
{
	*ret = print_all(args, n, "");
	return 0;
}

static int fn_println(json_t **args, int n, json_t **ret, struct err *e)
{
	*ret = print_all(args, n, "\n");
	return 0;
}

static int fn_truncate(json_t **args, int n, json_t **ret, struct err *e)
{
	const char *text = json_string_value(args[0]);
	json_int_t len = json_integer_value(args[1]);
	size_t have = text ? strlen(text) : 0;
	*ret = json_stringn(text ? text : "", len >= 0 && (size_t)len < have ? (size_t)len : have);
	return 0;
}

static int fn_pad(json_t **args, int n, json_t **ret, struct err *e)
{
	int before = (int)(json_integer_value(args[1]) & 0xff);
	int after = (int)(json_integer_value(args[2]) & 0xff);
	const char *text = json_string_value(args[0]);
	scoped(free) char *padded = xasprintf("%*s%s%*s", before, "", text ? text : "", after, "");
	*ret = json_string(text && *text ? padded : "");
	return 0;
}

static int fn_not(json_t **args, int n, json_t **ret, struct err *e)
{
	*ret = json_boolean(!format_truth(args[0]));
	return 0;
}

static int fn_and(json_t **args, int n, json_t **ret, struct err *e)
{
	int i = 0;
	while (i + 1 < n && format_truth(args[i])) {
		i++;
	}
	*ret = json_incref(args[i]);
	return 0;
}

static int fn_or(json_t **args, int n, json_t **ret, struct err *e)
{
	int i = 0;
	while (i + 1 < n && !format_truth(args[i])) {
		i++;
	}
	*ret = json_incref(args[i]);
	return 0;
}

static int fn_eq(json_t **args, int n, json_t **ret, struct err *e)
{
	bool equal = false;
	for (int i = 1; i < n; i++) {
		equal = equal || json_equal(args[0], args[i]);
	}
	*ret = json_boolean(equal);
	return 0;
}

static int fn_ne(json_t **args, int n, json_t **ret, struct err *e)
{
	*ret = json_boolean(!json_equal(args[0], args[1]));
	return 0;
}

static int compare(json_t **args)
{
	if (json_is_string(args[0]) && json_is_string(args[1])) {
		return strcmp(json_string_value(args[0]), json_string_value(args[1]));
	}
	double a = json_number_value(args[0]);
	double b = json_number_value(args[1]);
	return a < b ? -1 : a > b;
}

static int fn_lt(json_t **args, int n, json_t **ret, struct err *e)
{
	*ret = json_boolean(compare(args) < 0);
	return 0;
}

static int fn_le(json_t **args, int n, json_t **ret, struct err *e)
{
	*ret = json_boolean(compare(args) <= 0);
	return 0;
}

static int fn_gt(json_t **args, int n, json_t **ret, struct err *e)
{
	*ret = json_boolean(compare(args) > 0);
	return 0;
}

static int fn_ge(json_t **args, int n, json_t **ret, struct err *e)
{
	*ret = json_boolean(compare(args) >= 0);
	return 0;
}

static const struct function {
	const char *name;
	int min, max;
	int (*call)(json_t **args, int n, json_t **ret, struct err *e);
} functions[] = {
	{"and", 1, ARGS_MAX, fn_and},
	{"eq", 2, ARGS_MAX, fn_eq},
	{"ge", 2, 2, fn_ge},
	{"gt", 2, 2, fn_gt},
	{"index", 1, ARGS_MAX, fn_index},
	{"join", 2, 2, fn_join},
	{"json", 1, 1, fn_json},
	{"le", 2, 2, fn_le},
	{"len", 1, 1, fn_len},
	{"lower", 1, 1, fn_lower},
	{"lt", 2, 2, fn_lt},
	{"ne", 2, 2, fn_ne},
	{"not", 1, 1, fn_not},
	{"or", 1, ARGS_MAX, fn_or},
	{"pad", 3, 3, fn_pad},
	{"print", 0, ARGS_MAX, fn_print},
	{"println", 0, ARGS_MAX, fn_println},
	{"split", 2, 2, fn_split},
	{"title", 1, 1, fn_title},
	{"truncate", 2, 2, fn_truncate},
	{"upper", 1, 1, fn_upper},
};

static const struct function *find_function(const char *name, size_t n)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++) {
		if (strncmp(functions[i].name, name, n) == 0 && functions[i].name[n] == '\0') {
			return &functions[i];
		}
	}
	return NULL;
}

/* --- operands, calls, pipes --- */

static bool at_end(const char *p)
{
	return !*p || *p == '|' || *p == ')' || text_starts(p, "}}") || text_starts(p, "-}}");
}

/* One operand: .A, $v, "text", 12, true, nil, (pipe). */
static int eval_operand(
	const struct format_scope *s, const char **p, int depth, json_t **ret, struct err *e)
{
	const json_t *found = NULL;
	if (**p == '.') {
		if (follow(s, p, s->dot, &found, e) < 0) {
			return -1;
		}
	} else if (**p == '$') {
		if (eval_variable(s, p, &found, e) < 0) {
			return -1;
		}
	} else if (**p == '"' || **p == '`') {
		return eval_quoted(p, ret, e);
	} else if (isdigit((unsigned char)**p) || (**p == '-' && isdigit((unsigned char)(*p)[1]))) {
		char *end;
		*ret = json_integer(strtoll(*p, &end, 10));
		*p = end;
		return 0;
	} else if (text_starts(*p, "true") || text_starts(*p, "false")) {
		*ret = json_boolean(**p == 't');
		*p += **p == 't' ? 4 : 5;
		return 0;
	} else if (text_starts(*p, "nil")) {
		*p += 3;
	} else if (**p == '(') {
		scoped(json) json_t *inner = NULL;
		++*p;
		if (eval_pipe(s, p, depth + 1, &inner, e) < 0) {
			return -1;
		}
		if (**p != ')') {
			return err_set(e, ERR_INVALID, "unclosed left paren");
		}
		++*p;
		if (follow(s, p, inner, &found, e) < 0) {
			return -1;
		}
		*ret = found ? json_incref((json_t *)found) : json_null();
		return 0;
	} else {
		size_t n = strcspn(*p, BLANKS "|)}");
		return err_set(e, ERR_INVALID, "function \"%.*s\" not defined",
			(int)(n < 32 ? n : 32), *p);
	}
	*ret = found ? json_incref((json_t *)found) : json_null();
	return 0;
}

/* .Label "key" of the lists: the value of one label. */
static json_t *call_label(const json_t *row, const char *key)
{
	const json_t *v = json_object_get(json_object_get(row, "_labels"), key);
	return v ? json_incref((json_t *)v) : json_string("");
}

static int call_function(const struct format_scope *s, const struct function *f, json_t **args,
	int n, json_t **ret, struct err *e)
{
	if (n < f->min || n > f->max) {
		return err_set(e, ERR_INVALID, "wrong number of args for %s: want %d got %d",
			f->name, f->min, n);
	}
	if (s->dry) {
		*ret = json_null();
		return 0;
	}
	return f->call(args, n, ret, e);
}

/* A call with its arguments or a single operand. piped: the result of the command before the '|',
 * or NULL. */
static int eval_command(const struct format_scope *s, const char **p, int depth, json_t *piped,
	json_t **ret, struct err *e)
{
	size_t n_name = 0;
	while (isalpha((unsigned char)(*p)[n_name])) {
		n_name++;
	}
	const struct function *f = n_name ? find_function(*p, n_name) : NULL;
	bool is_label = text_starts(*p, ".Label ");
	json_t *args[ARGS_MAX] = {NULL};
	int n = 0;
	int r = 0;
	if (!f && !is_label) {
		r = eval_operand(s, p, depth, ret, e);
		*p += strspn(*p, BLANKS);
		return r == 0 && !at_end(*p)
			       ? (json_decref(TAKE(*ret)),
					 err_set(e, ERR_INVALID,
						 "unexpected \"%.16s\" in an action", *p))
			       : r;
	}
	*p += f ? n_name : strlen(".Label");
	for (*p += strspn(*p, BLANKS); r == 0 && !at_end(*p) && n < ARGS_MAX - 1;
		*p += strspn(*p, BLANKS)) {
		r = eval_operand(s, p, depth, &args[n], e);
		n += r == 0;
	}
	if (r == 0 && piped) {
		args[n++] = json_incref(piped);
	}
	if (r == 0 && is_label) {
		*ret = call_label(
			s->dot, n && json_is_string(args[0]) ? json_string_value(args[0]) : "");
	} else if (r == 0) {
		r = call_function(s, f, args, n, ret, e);
	}
	for (int i = 0; i < n; i++) {
		json_decref(args[i]);
	}
	return r;
}

static int eval_pipe(
	const struct format_scope *s, const char **p, int depth, json_t **ret, struct err *e)
{
	scoped(json) json_t *value = NULL;
	if (depth > 16) {
		return err_set(e, ERR_INVALID, "too many parentheses");
	}
	for (;;) {
		json_t *next = NULL;
		*p += strspn(*p, BLANKS);
		if (at_end(*p)) {
			return err_set(e, ERR_INVALID, "missing value for command");
		}
		if (eval_command(s, p, depth, value, &next, e) < 0) {
			return -1;
		}
		json_decref(value);
		value = next;
		*p += strspn(*p, BLANKS);
		if (**p != '|') {
			break;
		}
		++*p;
	}
	*ret = TAKE(value);
	return 0;
}

int format_eval(const struct format_scope *s, const char **p, json_t **ret, struct err *e)
{
	return eval_pipe(s, p, 0, ret, e);
}
