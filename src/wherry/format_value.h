/* wherry/format_value.h - expressions inside {{ }}: fields, variables, literals, function calls,
 * pipes. */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

#define FORMAT_VARS_MAX 16

struct format_scope {
	const json_t *root; /* $ */
	const json_t *dot;
	struct {
		char name[32];
		const json_t
			*value; /* borrowed from the document or held by the block that set it */
	} vars[FORMAT_VARS_MAX];
	int n_vars;
	bool dry;     /* parse only: values are null and nothing is missing */
	bool lenient; /* a missing key is null */
};

/* Reads one pipeline from *p up to the end of the action ("}}" or "-}}"); *p then stands there.
 * ret: a new reference. ERR_INVALID without the "template parsing error" in front. */
int format_eval(const struct format_scope *s, const char **p, json_t **ret, struct err *e);
/* Go's idea of emptiness: false, 0, "", null, [] and {}. */
bool format_truth(const json_t *value);
/* As fmt.Print: strings bare, [a b], map[k:v], <no value>. */
void format_put(const json_t *value, struct buf *ret);
