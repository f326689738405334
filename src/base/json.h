/* base/json.h - jansson with the checks that every reader of a stranger's JSON needs.
 *
 * The getters take a path-free key; a member that is absent or null gives the default, one of
 * another type fails with ERR_INVALID and a sentence that names the key ("HostConfig.Memory must be
 * a number, not a string"). Borrowed results live as long as the document.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/scoped.h"
#include "base/strv.h"

#define JSON_DEPTH_MAX 64
#define JSON_BODY_VALUES_MAX (1 << 17) /* 50 ms of the daemon's loop; 13000 published ports */

static inline void scoped_json(json_t **p)
{
	json_decref(*p);
}

/* Parses one document of at most JSON_DEPTH_MAX levels; trailing data and duplicate keys are
 * refused. what names the text in the sentence ("the body"). NULL with *e (ERR_INVALID) on failure.
 */
json_t *json_parse(const char *text, size_t n, const char *what, struct err *e);
/* The same for a request's body: of at most JSON_BODY_VALUES_MAX values, and in the words of
 * dockerd where clients look for them. */
json_t *json_parse_body(const char *text, size_t n, struct err *e);
/* Compact text, keys in insertion order; the caller's. */
char *json_text(const json_t *doc);

int json_get_str(
	const json_t *o, const char *key, const char **ret, struct err *e); /* NULL default */
int json_get_i64(const json_t *o, const char *key, int64_t dflt, int64_t *ret, struct err *e);
int json_get_bool(const json_t *o, const char *key, bool dflt, bool *ret, struct err *e);
int json_get_object(
	const json_t *o, const char *key, json_t **ret, struct err *e); /* borrowed or NULL */
int json_get_array(
	const json_t *o, const char *key, json_t **ret, struct err *e); /* borrowed or NULL */
/* An array of strings, appended to *ret; a single string counts as one element. */
int json_get_strv(const json_t *o, const char *key, struct strv *ret, struct err *e);

/* The same for our own documents, whose shape we trust: a wrong type gives the default. */
const char *json_str(const json_t *o, const char *key); /* "" default, never NULL; borrowed */
int64_t json_i64(const json_t *o, const char *key, int64_t dflt);
bool json_bool(const json_t *o, const char *key);
json_t *json_strv(const struct strv *s);        /* a new array */
json_t *json_str_or_null(const char *s);        /* a new value; NULL gives JSON null */
json_t *json_array_or_null(json_t *take_array); /* Go prints a list without elements as null */
void json_put(json_t *o, const char *key,
	json_t *take_value); /* aborts on OOM; value may be NULL: no-op */
void json_put_str(json_t *o, const char *key, const char *value); /* NULL gives "" */
