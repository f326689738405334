/* api/filters.h - the filters parameter of lists, prunes and events.
 *
 * Both JSON forms: {"label": ["a=b"]} and {"label": {"a=b": true}}. Values of one key are
 * alternatives, except label, of which all must match.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct call;
struct filters;

/* Reads c's filters; allowed is a NULL-terminated list, or NULL for any key: "invalid filter 'x'"
 * for another one. NULL with *e. */
struct filters *filters_read(const struct call *c, const char *const *allowed, struct err *e);
void filters_free(struct filters *f);
static inline void scoped_filters(struct filters **f)
{
	filters_free(*f);
}

/* One more value, for what older clients send as a parameter of its own. */
void filters_add(struct filters *f, const char *key, const char *value);
bool filters_has(const struct filters *f, const char *key);
/* The i-th value of a key, or NULL; borrowed. */
const char *filters_value(const struct filters *f, const char *key, size_t i);
/* True when key is absent or one of its values equals text. */
bool filters_match(const struct filters *f, const char *key, const char *text);
/* The same with values as extended regular expressions that may match anywhere (names); a value
 * that is no valid expression is compared as a substring. */
bool filters_match_name(const struct filters *f, const char *key, const char *text);
/* True when key is absent or one of its values is a prefix of text (ids). */
bool filters_match_prefix(const struct filters *f, const char *key, const char *text);
/* label=K, label=K=V, and label!=...: labels is an object of strings. */
bool filters_match_labels(const struct filters *f, const json_t *labels);
/* A boolean key (dangling=true): dflt when absent. "invalid filter 'dangling=[x]'" otherwise. */
int filters_bool(const struct filters *f, const char *key, bool dflt, bool *ret, struct err *e);
/* until=10m (before now), a time or seconds since 1970, for prunes: INT64_MAX when absent. */
/* The same of one of several values. */
int filters_until_nth(
	const struct filters *f, size_t i, int64_t now_ns, int64_t *ret_ns, struct err *e);
int filters_until(const struct filters *f, int64_t now_ns, int64_t *ret_ns, struct err *e);
