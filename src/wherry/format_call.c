#include "wherry/format_call.h"

#include <ctype.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "wherry/format_node.h"

#define PAD_MAX 65536

char *format_go_json(const json_t *v, bool html)
{
	scoped(free) char *text =
		v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : xstrdup("null");
	struct buf out = BUF_INIT;
	for (const char *p = text; p && *p; p++) {
		if (html && strchr("<>&", *p)) {
			buf_printf(&out, "\\u%04x", (unsigned)*p);
		} else {
			buf_putc(&out, *p);
		}
	}
	return buf_take_str(&out);
}

static json_t *fn_json(const struct value *args, int n, struct err *e)
{
	if (!args[0].is_column) {
		scoped(free) char *text = format_go_json(args[0].json, false);
		return json_string(text);
	}
	scoped(json) json_t *row = json_copy((json_t *)args[0].json);
	json_object_del(row, "_labels");
	scoped(free) char *sorted = json_dumps(row, JSON_COMPACT | JSON_SORT_KEYS);
	scoped(json) json_t *again = json_loads(sorted, 0, NULL);
	scoped(free) char *text = format_go_json(again, true);
	return json_string(text);
}

static json_t *index_list(const json_t *list, struct value at, struct err *e)
{
	if (!json_is_integer(at.json)) {
		err_set(e, ERR_INVALID, "cannot index slice/array with type %s", value_type(at));
		return NULL;
	}
	json_int_t i = json_integer_value(at.json);
	size_t len = json_is_string(list) ? json_string_length(list) : json_array_size(list);
	if (i < 0 || (size_t)i >= len) {
		err_set(e, ERR_INVALID, "index out of range: %lld", (long long)i);
		return NULL;
	}
	return json_is_string(list) ? json_integer((unsigned char)json_string_value(list)[i])
				    : json_incref(json_array_get(list, (size_t)i));
}

/* What an absent key of a map of Docker's gives: the empty value of its elements. */
static json_t *index_map(const json_t *map, struct value at, struct err *e)
{
	if (!json_is_string(at.json)) {
		err_set(e, ERR_INVALID, "value has type %s; should be string", value_type(at));
		return NULL;
	}
	const json_t *found = json_object_get(map, json_string_value(at.json));
	const json_t *other = json_object_iter_value(json_object_iter((json_t *)map));
	return found                    ? json_incref((json_t *)found)
	       : json_is_array(other)   ? json_array()
	       : json_is_object(other)  ? json_null()
	       : json_is_integer(other) ? json_integer(0)
					: json_string("");
}

static json_t *fn_index(const struct value *args, int n, struct err *e)
{
	scoped(json) json_t *v = json_incref((json_t *)args[0].json);
	for (int i = 1; i < n; i++) {
		struct value item = i == 1 ? args[0] : value_of(v);
		if (value_is_nil(item) && item.nil != NIL_MAP) {
			err_set(e, ERR_INVALID, "index of untyped nil");
			return NULL;
		}
		json_t *found = json_is_array(v) || json_is_string(v) ? index_list(v, args[i], e)
				: value_is_nil(item) || json_is_object(v) ? index_map(v, args[i], e)
									  : NULL;
		if (!found) {
			if (!json_is_array(v) && !json_is_string(v) && !json_is_object(v)) {
				err_set(e, ERR_INVALID, "can't index item of type %s",
					value_type(item));
			}
			return NULL;
		}
		json_decref(v);
		v = found;
	}
	return json_incref(v);
}

static int slice_end(struct value at, size_t len, size_t *ret, struct err *e)
{
	if (!json_is_integer(at.json)) {
		return err_set(
			e, ERR_INVALID, "cannot index slice/array with type %s", value_type(at));
	}
	json_int_t i = json_integer_value(at.json);
	if (i < 0 || (size_t)i > len) {
		return err_set(e, ERR_INVALID, "index out of range: %lld", (long long)i);
	}
	*ret = (size_t)i;
	return 0;
}

static json_t *fn_slice(const struct value *args, int n, struct err *e)
{
	const json_t *v = args[0].json;
	size_t len = json_is_string(v) ? json_string_length(v) : json_array_size(v);
	size_t first = 0;
	size_t last = len;
	if (!json_is_string(v) && !json_is_array(v)) {
		err_set(e, ERR_INVALID, "can't slice item of type %s", value_type(args[0]));
		return NULL;
	}
	if (n > 3) {
		err_set(e, ERR_INVALID, "cannot 3-index slice a string");
		return NULL;
	}
	if ((n > 1 && slice_end(args[1], len, &first, e) < 0) ||
		(n > 2 && slice_end(args[2], len, &last, e) < 0)) {
		return NULL;
	}
	if (first > last) {
		err_set(e, ERR_INVALID, "invalid slice index: %zu > %zu", first, last);
		return NULL;
	}
	if (json_is_string(
		    v)) { /* a cut inside a character is no JSON string: the rest of it goes */
		json_t *cut = json_stringn(json_string_value(v) + first, last - first);
		return cut ? cut : json_stringn_nocheck("", 0);
	}
	json_t *ret = json_array();
	for (size_t i = first; i < last; i++) {
		json_array_append(ret, json_array_get(v, i));
	}
	return ret;
}

static json_t *fn_len(const struct value *args, int n, struct err *e)
{
	const json_t *v = args[0].json;
	if (value_is_nil(args[0]) && args[0].nil != NIL_LIST && args[0].nil != NIL_MAP) {
		err_set(e, ERR_INVALID, "len of nil pointer");
		return NULL;
	}
	if (json_is_number(v) || json_is_boolean(v)) {
		err_set(e, ERR_INVALID, "len of type %s", value_type(args[0]));
		return NULL;
	}
	size_t len = json_is_string(v)  ? json_string_length(v)
		     : json_is_array(v) ? json_array_size(v)
					: json_object_size(v);
	return json_integer((json_int_t)len);
}

static json_t *fn_join(const struct value *args, int n, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	for (size_t i = 0; i < json_array_size(args[0].json); i++) {
		buf_puts(&text, i ? json_string_value(args[1].json) : "");
		value_put(value_of(json_array_get(args[0].json, i)), &text);
	}
	return json_string(buf_str(&text));
}

static size_t char_length(const char *p)
{
	size_t n = 1;
	while (((unsigned char)p[n] & 0xc0) == 0x80) {
		n++;
	}
	return n;
}

static json_t *fn_split(const struct value *args, int n, struct err *e)
{
	const char *text = json_string_value(args[0].json);
	const char *sep = json_string_value(args[1].json);
	json_t *ret = json_array();
	if (!*sep) { /* into characters */
		for (; *text; text += char_length(text)) {
			json_array_append_new(ret, json_stringn(text, char_length(text)));
		}
		return ret;
	}
	for (const char *end; (end = strstr(text, sep)); text = end + strlen(sep)) {
		json_array_append_new(ret, json_stringn(text, (size_t)(end - text)));
	}
	json_array_append_new(ret, json_string(text));
	return ret;
}

/* Latin letters with accents (U+00C0 to U+00FE in UTF-8) change as well as ASCII; other scripts
 * stay. */
static json_t *change_case(const char *text, bool upper, bool first_only)
{
	scoped(free) char *copy = xstrdup(text);
	bool first = true;
	for (char *p = copy; *p; p++) {
		bool wanted = !first_only || first;
		unsigned char second = (unsigned char)p[1];
		first = isspace((unsigned char)*p);
		if (!wanted) {
			continue;
		}
		*p = (char)(upper ? toupper((unsigned char)*p) : tolower((unsigned char)*p));
		if ((unsigned char)*p == 0xc3 && second != (upper ? 0xb7 : 0x97) &&
			second != 0xbf && second != 0x9f &&
			(upper ? second >= 0xa0 : second < 0xa0)) {
			p[1] = (char)(second ^ 0x20);
		}
	}
	return json_string(copy);
}

static json_t *fn_lower(const struct value *args, int n, struct err *e)
{
	return change_case(json_string_value(args[0].json), false, false);
}

static json_t *fn_upper(const struct value *args, int n, struct err *e)
{
	return change_case(json_string_value(args[0].json), true, false);
}

static json_t *fn_title(const struct value *args, int n, struct err *e)
{
	return change_case(json_string_value(args[0].json), true, true);
}

static json_t *fn_truncate(const struct value *args, int n, struct err *e)
{
	const char *text = json_string_value(args[0].json);
	json_int_t len = json_integer_value(args[1].json);
	size_t have = strlen(text);
	size_t cut = len >= 0 && (size_t)len < have ? (size_t)len : have;
	while (cut > 0 && cut < have && ((unsigned char)text[cut] & 0xc0) == 0x80) {
		cut--;
	}
	return json_stringn(text, cut);
}

static json_t *fn_pad(const struct value *args, int n, struct err *e)
{
	json_int_t before = json_integer_value(args[1].json);
	json_int_t after = json_integer_value(args[2].json);
	const char *text = json_string_value(args[0].json);
	if (!*text) {
		return json_string("");
	}
	if (before < 0 || after < 0 || before > PAD_MAX || after > PAD_MAX) {
		err_set(e, ERR_INVALID, "a padding of %lld",
			(long long)(before < 0 || before > PAD_MAX ? before : after));
		return NULL;
	}
	scoped(free) char *padded = xasprintf("%*s%s%*s", (int)before, "", text, (int)after, "");
	return json_string(padded);
}

static json_t *fn_not(const struct value *args, int n, struct err *e)
{
	return json_boolean(!value_truth(args[0]));
}

static int kind_for_comparison(const json_t *v)
{
	return json_is_boolean(v) ? JSON_TRUE : (int)json_typeof(v);
}

/* Whether both are of one basic kind, as eq and lt want them. */
static int check_comparable(struct value a, struct value b, bool ordered, struct err *e)
{
	if (value_is_nil(a) || value_is_nil(b)) {
		return ordered ? err_set(e, ERR_INVALID, "invalid type for comparison") : 0;
	}
	bool basic = !json_is_object(a.json) && !json_is_array(a.json) &&
		     !(ordered && json_is_boolean(a.json));
	if (!basic) {
		return ordered ? err_set(e, ERR_INVALID, "invalid type for comparison")
			       : err_set(e, ERR_INVALID, "non-comparable type %s: %s",
					 value_type(a), value_type(b));
	}
	return kind_for_comparison(a.json) == kind_for_comparison(b.json)
		       ? 0
		       : err_set(e, ERR_INVALID, "incompatible types for comparison");
}

static bool equal(struct value a, struct value b)
{
	return value_is_nil(a) || value_is_nil(b) ? value_is_nil(a) && value_is_nil(b)
						  : json_equal(a.json, b.json);
}

static json_t *fn_eq(const struct value *args, int n, struct err *e)
{
	for (int i = 1; i < n; i++) {
		if (check_comparable(args[0], args[i], false, e) < 0) {
			return NULL;
		}
		if (equal(args[0], args[i])) {
			return json_true();
		}
	}
	return json_false();
}

static json_t *fn_ne(const struct value *args, int n, struct err *e)
{
	return check_comparable(args[0], args[1], false, e) < 0
		       ? NULL
		       : json_boolean(!equal(args[0], args[1]));
}

/* -1, 0, 1; -2 with *e. */
static int compare(const struct value *args, struct err *e)
{
	if (check_comparable(args[0], args[1], true, e) < 0) {
		return -2;
	}
	if (json_is_string(args[0].json)) {
		int r = strcmp(json_string_value(args[0].json), json_string_value(args[1].json));
		return r < 0 ? -1 : r > 0;
	}
	if (json_is_integer(args[0].json)) {
		json_int_t a = json_integer_value(args[0].json);
		json_int_t b = json_integer_value(args[1].json);
		return a < b ? -1 : a > b;
	}
	double a = json_real_value(args[0].json);
	double b = json_real_value(args[1].json);
	return a < b ? -1 : a > b;
}

static json_t *fn_lt(const struct value *args, int n, struct err *e)
{
	int r = compare(args, e);
	return r == -2 ? NULL : json_boolean(r < 0);
}

static json_t *fn_le(const struct value *args, int n, struct err *e)
{
	int r = compare(args, e);
	return r == -2 ? NULL : json_boolean(r <= 0);
}

static json_t *fn_gt(const struct value *args, int n, struct err *e)
{
	int r = compare(args, e);
	return r == -2 ? NULL : json_boolean(r > 0);
}

static json_t *fn_ge(const struct value *args, int n, struct err *e)
{
	int r = compare(args, e);
	return r == -2 ? NULL : json_boolean(r >= 0);
}

/* and, or have no function: their arguments are evaluated one by one (wherry/format_run.c). */
static const struct function functions[] = {
	{"and", ".*", NULL},
	{"eq", "..*", fn_eq},
	{"ge", "..", fn_ge},
	{"gt", "..", fn_gt},
	{"index", ".*", fn_index},
	{"join", "ls", fn_join},
	{"json", ".", fn_json},
	{"le", "..", fn_le},
	{"len", ".", fn_len},
	{"lower", "s", fn_lower},
	{"lt", "..", fn_lt},
	{"ne", "..", fn_ne},
	{"not", ".", fn_not},
	{"or", ".*", NULL},
	{"pad", "sii", fn_pad},
	{"print", "*", format_print_words},
	{"printf", "s*", format_printf},
	{"println", "*", format_print_line},
	{"slice", ".*", fn_slice},
	{"split", "ss", fn_split},
	{"title", "s", fn_title},
	{"truncate", "si", fn_truncate},
	{"upper", "s", fn_upper},
};

int format_function(const char *name)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++) {
		if (strcmp(functions[i].name, name) == 0) {
			return (int)i;
		}
	}
	return -1;
}

const struct function *format_function_at(int i)
{
	return &functions[i];
}
