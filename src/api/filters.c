#include "api/filters.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/call.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/regex.h"
#include "base/strv.h"
#include "base/text.h"
#include "base/timestamp.h"

struct filters {
	struct map *by_key; /* key to struct strv * */
};

static bool is_allowed(const char *key, const char *const *allowed)
{
	for (; *allowed; allowed++) {
		if (strcmp(*allowed, key) == 0) {
			return true;
		}
	}
	return false;
}

static int add_values(struct strv *values, const json_t *v, struct err *e)
{
	if (json_is_object(v)) {
		const char *text;
		json_t *on; /* whatever it says: dockerd looks at the keys */
		json_object_foreach ((json_t *)v, text, on) {
			strv_add(values, text);
		}
		return 0;
	}
	size_t i;
	json_t *item;
	json_array_foreach (v, i, item) {
		if (!json_is_string(item)) {
			return err_set(e, ERR_INVALID, "invalid filter");
		}
		strv_add(values, json_string_value(item));
	}
	return json_is_array(v) ? 0 : err_set(e, ERR_INVALID, "invalid filter");
}

static int add_all(struct filters *f, const json_t *doc, const char *const *allowed, struct err *e)
{
	const char *key;
	json_t *v;
	json_object_foreach ((json_t *)doc, key, v) {
		struct strv *values = xnew(struct strv);
		map_put(f->by_key, key, values);
		if (add_values(values, v, e) < 0) {
			return -1;
		}
	}
	json_object_foreach ((json_t *)doc, key, v) {
		if (allowed && !is_allowed(key, allowed)) {
			return err_set(e, ERR_INVALID, "invalid filter '%.64s'", key);
		}
	}
	return 0;
}

struct filters *filters_read(const struct call *c, const char *const *allowed, struct err *e)
{
	struct filters *f = xnew(struct filters);
	f->by_key = map_new();
	const char *text = call_query_or(c, "filters", NULL);
	if (!text) {
		return f;
	}
	scoped(json) json_t *doc = json_parse(text, strlen(text), "the filters parameter", e);
	if (!json_is_object(doc)) {
		err_set(e, ERR_INVALID, "invalid filter"); /* Docker's words: they name nothing */
	}
	if (!json_is_object(doc) || add_all(f, doc, allowed, e) < 0) {
		filters_free(f);
		return NULL;
	}
	return f;
}

void filters_free(struct filters *f)
{
	if (!f) {
		return;
	}
	map_each (f->by_key, struct strv, values) {
		strv_deinit(values);
		free(values);
	}
	map_free(f->by_key);
	free(f);
}

void filters_add(struct filters *f, const char *key, const char *value)
{
	struct strv *values = map_get(f->by_key, key);
	if (!values) {
		values = xnew(struct strv);
		map_put(f->by_key, key, values);
	}
	strv_add(values, value);
}

static const struct strv *values_of(const struct filters *f, const char *key)
{
	return map_get(f->by_key, key);
}

bool filters_has(const struct filters *f, const char *key)
{
	const struct strv *values = values_of(f, key);
	return values && values->n > 0;
}

const char *filters_value(const struct filters *f, const char *key, size_t i)
{
	const struct strv *values = values_of(f, key);
	return values && i < values->n ? values->v[i] : NULL;
}

typedef bool compare_fn(const char *value, const char *text);

static bool any(const struct filters *f, const char *key, const char *text, compare_fn *compare)
{
	const struct strv *values = values_of(f, key);
	if (!values || values->n == 0) {
		return true;
	}
	for (size_t i = 0; i < values->n; i++) {
		if (compare(values->v[i], text)) {
			return true;
		}
	}
	return false;
}

static bool compare_equal(const char *value, const char *text)
{
	return strcmp(value, text) == 0;
}

static bool compare_prefix(const char *value, const char *text)
{
	return text_starts(text, value);
}

/* Compiled once for each object: costly expressions and long ones count as plain text. */
static bool is_costly(const char *value)
{
	return strlen(value) > 128 || strchr(value, '{') || regex_is_costly(value);
}

static bool compare_name(const char *value, const char *text)
{
	regex_t re;
	if (is_costly(value) || regcomp(&re, value, REG_EXTENDED | REG_NOSUB) != 0) {
		return strstr(text, value) != NULL;
	}
	bool match = regexec(&re, text, 0, NULL, 0) == 0;
	regfree(&re);
	return match;
}

bool filters_match(const struct filters *f, const char *key, const char *text)
{
	return any(f, key, text, compare_equal);
}

bool filters_match_prefix(const struct filters *f, const char *key, const char *text)
{
	return any(f, key, text, compare_prefix);
}

bool filters_match_name(const struct filters *f, const char *key, const char *text)
{
	return any(f, key, text, compare_name);
}

/* "K" or "K=V" against the labels. */
static bool has_label(const json_t *labels, const char *wanted)
{
	size_t key_len = strcspn(wanted, "=");
	scoped(free) char *key = xstrndup(wanted, key_len);
	const json_t *value = json_object_get(labels, key);
	if (!value) {
		return false;
	}
	const char *text = json_string_value(value);
	return !wanted[key_len] || strcmp(text ? text : "", wanted + key_len + 1) == 0;
}

bool filters_match_labels(const struct filters *f, const json_t *labels)
{
	const struct strv *wanted = values_of(f, "label");
	for (size_t i = 0; wanted && i < wanted->n; i++) {
		if (!has_label(labels, wanted->v[i])) {
			return false;
		}
	}
	const struct strv *unwanted = values_of(f, "label!");
	for (size_t i = 0; unwanted && i < unwanted->n; i++) {
		if (has_label(labels, unwanted->v[i])) {
			return false;
		}
	}
	return true;
}

int filters_bool(const struct filters *f, const char *key, bool dflt, bool *ret, struct err *e)
{
	const struct strv *values = values_of(f, key);
	bool yes = values && (strv_has(values, "1") || strv_has(values, "true"));
	bool no = values && (strv_has(values, "0") || strv_has(values, "false"));
	*ret = values ? yes : dflt;
	if (!values || yes != no) {
		return 0;
	}
	if (values->n == 0) {
		return err_set(e, ERR_INVALID, "invalid filter '%s'", key);
	}
	scoped(buf) struct buf all = BUF_INIT;
	for (size_t i = 0; i < values->n; i++) {
		buf_printf(&all, "%s%s", i ? " " : "", values->v[i]);
	}
	return err_set(e, ERR_INVALID, "invalid filter '%s=[%.64s]'", key, buf_str(&all));
}

int filters_until_nth(
	const struct filters *f, size_t i, int64_t now_ns, int64_t *ret_ns, struct err *e)
{
	const char *text = filters_value(f, "until", i);
	if (timestamp_parse(text, now_ns, ret_ns) == 0) {
		return 0;
	}
	return err_set(
		e, ERR_INVALID, "failed to parse value as time or duration: \"%.64s\"", text);
}

int filters_until(const struct filters *f, int64_t now_ns, int64_t *ret_ns, struct err *e)
{
	*ret_ns = INT64_MAX;
	if (!filters_has(f, "until")) {
		return 0;
	}
	if (filters_value(f, "until", 1)) {
		return err_set(e, ERR_INVALID, "more than one until filter specified");
	}
	return filters_until_nth(f, 0, now_ns, ret_ns, e);
}
