/* device/label.h - the value of a label that holds settings: a JSON object, or the short form
 * "key=value,key=value", fields as in CSV. Pure.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strv.h"

/* A new object; in the short form all values are strings, and a first word without '=' is under
 * the key "". NULL with ERR_INVALID: neither form, a key twice, no value. */
json_t *label_parse(const char *text, struct err *e);
/* The word under "", if there is one, gets its key. take_value: what it says there. ERR_INVALID
 * when the key is given too. */
int label_name_first(json_t *doc, const char *key, json_t *take_value, struct err *e);
/* What may follow the prefix of such a label: letters, digits, '_', '.', '-'; 1 to 64 of them. */
bool label_is_name(const char *name);
/* The labels that begin with prefix, in order; appended. */
void label_find(const json_t *labels, const char *prefix, struct strv *ret);
/* ERR_INVALID when an object has a key that is not in known (NULL ends it); the sentence lists
 * what is known. */
int label_check_keys(const json_t *doc, const char *const *known, struct err *e);
/* Settings that may be written as JSON's own type or as text. What is absent leaves *ret alone. */
int label_get_bool(const json_t *doc, const char *key, bool *ret, struct err *e);
int label_get_number(const json_t *doc, const char *key, int64_t max, int64_t *ret, struct err *e);
