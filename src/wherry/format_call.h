/* wherry/format_call.h - the functions of templates. */
#pragma once
#include <jansson.h>

#include "base/err.h"
#include "wherry/format_value.h"

#define FORMAT_ARGS_MAX 32

struct function {
	const char *name;
	/* One letter an argument: s string, l list of strings, i int, . anything; '*' at the end:
	 * any number more of anything. */
	const char *args;
	/* A new reference, or NULL with *e: what is wrong, without "error calling NAME: ". */
	json_t *(*call)(const struct value *args, int n, struct err *e);
};

const struct function *format_function_at(int i);
/* print, println, printf and %v: fmt.Sprint and its kin (wherry/format_printf.c). */
json_t *format_print_words(const struct value *args, int n, struct err *e);
json_t *format_print_line(const struct value *args, int n, struct err *e);
json_t *format_printf(const struct value *args, int n, struct err *e);
/* Compact JSON as Go's encoder writes it; with escapes for < > & when a type of docker's makes it
 * itself. */
char *format_go_json(const json_t *v, bool html);
