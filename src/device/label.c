#include "device/label.h"

#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "base/text.h"

#define FIELDS_MAX 64

static int add_field(json_t *o, const char *field, bool first, struct err *e)
{
	const char *eq = strchr(field, '=');
	if (!eq && !first) {
		return err_set(e, ERR_INVALID, "'%.60s' is not of the form key=value", field);
	}
	scoped(free) char *key = xstrndup(field, eq ? (size_t)(eq - field) : 0);
	const char *value = eq ? eq + 1 : field;
	if (eq && !*key) {
		return err_set(e, ERR_INVALID, "'%.60s' is not of the form key=value", field);
	}
	if (!*value) {
		return err_set(e, ERR_INVALID, "%.60s has no value", *key ? key : "the label");
	}
	if (json_object_get(o, key)) {
		return err_set(e, ERR_INVALID, "%.60s is given twice", key);
	}
	json_t *text = json_string(value);
	if (!text) {
		return err_set(e, ERR_INVALID, "the value of %.60s is not UTF-8", key);
	}
	json_put(o, key, text);
	return 0;
}

static json_t *parse_short(const char *text, struct err *e)
{
	scoped(strv) struct strv fields = STRV_INIT;
	scoped(json) json_t *o = json_object();
	if (strv_split_csv(&fields, text) < 0) {
		(void)err_set(e, ERR_INVALID, "a quotation mark is not closed");
		return NULL;
	}
	if (fields.n > FIELDS_MAX) {
		(void)err_set(e, ERR_INVALID, "more than %d settings", FIELDS_MAX);
		return NULL;
	}
	for (size_t i = 0; i < fields.n; i++) {
		if (add_field(o, fields.v[i], i == 0, e) < 0) {
			return NULL;
		}
	}
	return TAKE(o);
}

json_t *label_parse(const char *text, struct err *e)
{
	text += strspn(text, " \t\n");
	if (*text == '{') {
		return json_parse(text, strlen(text), "the label", e);
	}
	return parse_short(text, e);
}

int label_name_first(json_t *doc, const char *key, json_t *take_value, struct err *e)
{
	if (json_object_get(doc, key)) {
		json_decref(take_value);
		return err_set(e, ERR_INVALID, "%s is given twice", key);
	}
	json_object_set_new(doc, key, take_value);
	json_object_del(doc, "");
	return 0;
}

bool label_is_name(const char *name)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t n = strlen(name);
	return n > 0 && n <= 64 && strspn(name, letters) == n;
}

void label_find(const json_t *labels, const char *prefix, struct strv *ret)
{
	const char *key;
	json_t *value;
	json_object_foreach ((json_t *)labels, key, value) {
		if (text_starts(key, prefix)) {
			strv_add(ret, key);
		}
	}
	strv_sort(ret);
}

static bool is_known(const char *key, const char *const *known)
{
	for (size_t i = 0; known[i]; i++) {
		if (strcmp(key, known[i]) == 0) {
			return true;
		}
	}
	return false;
}

int label_check_keys(const json_t *doc, const char *const *known, struct err *e)
{
	const char *key;
	json_t *value;
	json_object_foreach ((json_t *)doc, key, value) {
		if (is_known(key, known)) {
			continue;
		}
		scoped(buf) struct buf list = BUF_INIT;
		for (size_t i = 0; known[i]; i++) {
			buf_printf(&list, "%s%s", i > 0 ? ", " : "", known[i]);
		}
		return err_set(e, ERR_INVALID, "unknown setting '%.60s'; there are: %s", key,
			buf_str(&list));
	}
	return 0;
}

int label_get_bool(const json_t *doc, const char *key, bool *ret, struct err *e)
{
	const json_t *v = json_object_get(doc, key);
	if (!v || json_is_null(v)) {
		return 0;
	}
	if (json_is_boolean(v)) {
		*ret = json_is_true(v);
		return 0;
	}
	const char *text = json_is_string(v) ? json_string_value(v) : "";
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
		return err_set(e, ERR_INVALID, "%s must be true or false", key);
	}
	*ret = *text == 't';
	return 0;
}

int label_get_number(const json_t *doc, const char *key, int64_t max, int64_t *ret, struct err *e)
{
	const json_t *v = json_object_get(doc, key);
	if (!v || json_is_null(v)) {
		return 0;
	}
	int64_t n = json_is_integer(v) ? json_integer_value(v) : -1;
	if ((json_is_string(v) && parse_i64(json_string_value(v), 0, max, &n) < 0) || n < 0 ||
		n > max) {
		return err_set(
			e, ERR_INVALID, "%s must be a number from 0 to %lld", key, (long long)max);
	}
	*ret = n;
	return 0;
}
