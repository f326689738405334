#include "base/json.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct shape {
	int depth;
	size_t values; /* at most; a member's key is one too: it takes as long */
};

/* What a JSON text will cost, strings skipped: jansson's own limit of depth (2048) takes too much
 * stack, and each value takes 0.4 us and 100 bytes. */
static struct shape shape_of(const char *text, size_t n)
{
	int depth = 0;
	struct shape shape = {0, 1};
	bool in_string = false;
	for (size_t i = 0; i < n; i++) {
		char c = text[i];
		if (in_string) {
			if (c == '\\') {
				i++;
			} else if (c == '"') {
				in_string = false;
			}
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			depth++;
			shape.values++;
			shape.depth = depth > shape.depth ? depth : shape.depth;
		} else if (c == ',' || c == ':') {
			shape.values++;
		} else if (c == '}' || c == ']') {
			depth--;
		}
	}
	return shape;
}

#define LOAD_FLAGS (JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL)

static int check_shape(
	const char *text, size_t n, size_t values_max, const char *what, struct err *e)
{
	const struct shape shape = shape_of(text, n);
	if (shape.depth > JSON_DEPTH_MAX) {
		return err_set(e, ERR_INVALID, "invalid JSON: %s is nested deeper than %d levels",
			what, JSON_DEPTH_MAX);
	}
	if (shape.values > values_max) {
		return err_set(e, ERR_INVALID, "invalid JSON: %s holds more than %zu values", what,
			values_max);
	}
	return 0;
}

static int unreadable(const json_error_t *problem, const char *what, struct err *e)
{
	return err_set(e, ERR_INVALID, "invalid JSON: %s, line %d column %d: %s", what,
		problem->line, problem->column, problem->text);
}

json_t *json_parse(const char *text, size_t n, const char *what, struct err *e)
{
	json_error_t problem;
	if (check_shape(text, n, SIZE_MAX, what, e) < 0) {
		return NULL;
	}
	json_t *doc = json_loadb(text, n, LOAD_FLAGS, &problem);
	if (!doc) {
		(void)unreadable(&problem, what, e);
	}
	return doc;
}

/* "nope" is no null: the first character that is not the literal's. */
static bool wrong_literal(const char *token, struct err *e)
{
	static const char *const literals[] = {"true", "false", "null"};
	for (size_t i = 0; i < sizeof(literals) / sizeof(*literals); i++) {
		const char *word = literals[i];
		size_t n = 0;
		while (word[n] && token[n] == word[n]) {
			n++;
		}
		if (n > 0 && word[n] && token[n] > ' ' && token[n] <= '~' && token[n] != '\'') {
			(void)err_set(e, ERR_INVALID,
				"invalid JSON: invalid character '%c' in literal %s (expecting '%c')",
				token[n], word, word[n]);
			return true;
		}
	}
	return false;
}

/* What Go says of a wrong character, which clients' tests look for; false for other mistakes. */
static bool wrong_character(const json_error_t *problem, struct err *e)
{
	static const struct {
		const char *jansson, *go;
	} words[] = {
		{"string or '}' expected near '", "looking for beginning of object key string"},
		{"':' expected near '", "after object key"},
		{"'}' expected near '", "after object key:value pair"},
		{"']' expected near '", "after array element"},
		{"invalid token near '", "looking for beginning of value"},
		{"unexpected token near '", "looking for beginning of value"},
	};
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		size_t n = strlen(words[i].jansson);
		char c = problem->text[n < sizeof(problem->text) ? n : 0];
		if (strncmp(problem->text, words[i].jansson, n) != 0 || c <= ' ' || c > '~') {
			continue;
		}
		if (i >= 4 && strchr("tfn", c) && wrong_literal(problem->text + n, e)) {
			return true;
		}
		(void)err_set(e, ERR_INVALID, "invalid JSON: invalid character '%s%c' %s",
			c == '\'' ? "\\" : "", c, words[i].go);
		return true;
	}
	return false;
}

json_t *json_parse_body(const char *text, size_t n, struct err *e)
{
	static const char what[] = "the request body";
	json_error_t problem;
	if (check_shape(text, n, JSON_BODY_VALUES_MAX, what, e) < 0) {
		return NULL;
	}
	json_t *doc = json_loadb(text, n, LOAD_FLAGS, &problem);
	if (doc) {
		return doc;
	}
	switch (json_error_code(&problem)) {
	case json_error_premature_end_of_input:
		(void)err_set(e, ERR_INVALID, "invalid JSON: unexpected EOF");
		break;
	case json_error_end_of_input_expected:
		(void)err_set(e, ERR_INVALID, "unexpected content after JSON");
		break;
	default:
		if (!wrong_character(&problem, e)) {
			(void)unreadable(&problem, what, e);
		}
	}
	return NULL;
}

char *json_text(const json_t *doc)
{
	char *text = json_dumps(doc, JSON_COMPACT | JSON_ENCODE_ANY);
	if (!text) {
		fputs("out of memory\n", stderr);
		abort();
	}
	return text;
}

static const char *type_name(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	default:
		return "null";
	}
}

/* The member, or NULL when it is absent or null. */
static json_t *member(const json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);
	return json_is_null(v) ? NULL : v;
}

static int wrong_type(const char *key, const char *wanted, const json_t *v, struct err *e)
{
	return err_set(
		e, ERR_INVALID, "invalid JSON: %s must be %s, not %s", key, wanted, type_name(v));
}

int json_get_str(const json_t *o, const char *key, const char **ret, struct err *e)
{
	json_t *v = member(o, key);
	if (v && !json_is_string(v)) {
		return wrong_type(key, "a string", v, e);
	}
	if (v && strlen(json_string_value(v)) != json_string_length(v)) {
		return err_set(e, ERR_INVALID, "invalid JSON: %s contains a NUL character", key);
	}
	*ret = json_string_value(v);
	return 0;
}

/* A real without a fraction that a double holds exactly: beyond 2^53 the conversion would guess. */
static bool is_whole_real(const json_t *v)
{
	if (!v || !json_is_real(v)) {
		return false;
	}
	double x = json_real_value(v);
	return x > -9007199254740992.0 && x < 9007199254740992.0 && x == (double)(int64_t)x;
}

int json_get_i64(const json_t *o, const char *key, int64_t dflt, int64_t *ret, struct err *e)
{
	json_t *v = member(o, key);
	if (is_whole_real(v)) { /* 1e9, as JavaScript and Go write large numbers */
		*ret = (int64_t)json_real_value(v);
		return 0;
	}
	if (v && !json_is_integer(v)) {
		return wrong_type(key, "a whole number", v, e);
	}
	*ret = v ? json_integer_value(v) : dflt;
	return 0;
}

int json_get_bool(const json_t *o, const char *key, bool dflt, bool *ret, struct err *e)
{
	json_t *v = member(o, key);
	if (v && !json_is_boolean(v)) {
		return wrong_type(key, "a boolean", v, e);
	}
	*ret = v ? json_is_true(v) : dflt;
	return 0;
}

int json_get_object(const json_t *o, const char *key, json_t **ret, struct err *e)
{
	json_t *v = member(o, key);
	if (v && !json_is_object(v)) {
		return wrong_type(key, "an object", v, e);
	}
	*ret = v;
	return 0;
}

int json_get_array(const json_t *o, const char *key, json_t **ret, struct err *e)
{
	json_t *v = member(o, key);
	if (v && !json_is_array(v)) {
		return wrong_type(key, "a list", v, e);
	}
	*ret = v;
	return 0;
}

int json_get_strv(const json_t *o, const char *key, struct strv *ret, struct err *e)
{
	json_t *v = member(o, key);
	if (json_is_string(v)) {
		strv_add(ret, json_string_value(v));
		return 0;
	}
	if (v && !json_is_array(v)) {
		return wrong_type(key, "a list of strings", v, e);
	}
	size_t i;
	json_t *item;
	json_array_foreach (v, i, item) {
		if (!json_is_string(item) ||
			strlen(json_string_value(item)) != json_string_length(item)) {
			return err_set(e, ERR_INVALID,
				"invalid JSON: element %zu of %s must be a string without NUL", i,
				key);
		}
		strv_add(ret, json_string_value(item));
	}
	return 0;
}

const char *json_str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

int64_t json_i64(const json_t *o, const char *key, int64_t dflt)
{
	json_t *v = json_object_get(o, key);
	return json_is_integer(v) ? json_integer_value(v) : dflt;
}

bool json_bool(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

json_t *json_strv(const struct strv *s)
{
	json_t *array = json_array();
	for (size_t i = 0; i < s->n; i++) {
		json_array_append_new(array, json_string_nocheck(s->v[i]));
	}
	return array;
}

json_t *json_str_or_null(const char *s)
{
	return s ? json_string(s) : json_null();
}

json_t *json_array_or_null(json_t *take_array)
{
	if (json_array_size(take_array) > 0) {
		return take_array;
	}
	json_decref(take_array);
	return json_null();
}

void json_put(json_t *o, const char *key, json_t *take_value)
{
	if (take_value && json_object_set_new_nocheck(o, key, take_value) < 0) {
		fputs("out of memory\n", stderr);
		abort();
	}
}

void json_put_str(json_t *o, const char *key, const char *value)
{
	json_t *s = json_string(value ? value : "");
	if (!s) { /* not UTF-8: JSON cannot hold it; Go prints the replacement character */
		s = json_string("\xef\xbf\xbd");
	}
	json_put(o, key, s);
}
