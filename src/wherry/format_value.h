/* wherry/format_value.h - values of a template: JSON, with what Go's types would know about it. */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"

/* A JSON null, or nothing at all, prints as the type says that it has in Docker's structures. */
enum nil_kind { NIL_NO_VALUE, NIL_POINTER, NIL_LIST, NIL_MAP, NIL_TEXT };

struct value {
	const json_t *json; /* borrowed; NULL: there is none */
	enum nil_kind nil;  /* of none and of null */
	bool is_map;    /* an object with keys of the user's: prints as map[a:b], lacks nothing */
	bool is_column; /* a row of a table */
};

/* The member of an object: null becomes what the Go field of this name would be. v may be NULL. */
struct value value_member(const char *key, const json_t *v);
/* As an element of a list, or what a function made. */
struct value value_of(const json_t *v);
/* Whether engines leave out the member of this name when it is empty, so that its absence is a
 * value. */
bool value_is_optional(const char *key);

/* Go's idea of emptiness: false, 0, "", nil, [] and {}. */
bool value_truth(struct value v);
/* As fmt.Print. */
void value_put(struct value v, struct buf *ret);
/* "string", "int", "map[string]interface {}" ... for sentences. */
const char *value_type(struct value v);
bool value_is_nil(struct value v);
/* Members in the order of their names. keys: the caller's array of json_object_size elements. */
void value_sorted_keys(const json_t *object, const char **ret_keys);
