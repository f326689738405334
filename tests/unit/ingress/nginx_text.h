/* nginx_text.h - nginx's configuration as nginx reads it: written anew for tests from what
 * ngx_conf_read_token does, so that it shares nothing with what writes.
 */
#pragma once
#include <stdbool.h>

#include "base/strv.h"

struct directive {
	struct strv args; /* the name first; quotes and their backslashes are gone */
	int depth;
	bool block;
};

struct nginx_text {
	struct directive *v;
	size_t n;
};

/* False when nginx would refuse its syntax; ret is the caller's in any case. */
bool nginx_text_read(const char *text, struct nginx_text *ret);
void nginx_text_deinit(struct nginx_text *t);
static inline void scoped_nginx_text(struct nginx_text *t)
{
	nginx_text_deinit(t);
}

/* Depth, name and number of arguments of each: what foreign texts must not change. The caller's. */
char *nginx_text_shape(const struct nginx_text *t);
size_t nginx_text_count(const struct nginx_text *t, const char *name);
/* Whether a directive has just these arguments; NULL ends them. */
bool nginx_text_has(const struct nginx_text *t, const char *name, ...) __attribute__((sentinel));
/* A text as an argument has it in which nginx looks for variables. The caller's. */
char *nginx_text_dollars(const char *value);
