/* tests/unit/compose/files.h - compose files that exist only in the test: a project in /p, loaded
 * without a disk. */
#pragma once
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "base/err.h"
#include "compose/load.h"

struct file {
	const char *path; /* absolute */
	const char *text;
};

struct setting {
	const struct file *files; /* ends with {0} */
	const char *environment[8];
	const char *profiles[4], *compose_files[4], *services[4];
	const char *project_name;
	bool keep_variables, only_show;
	struct strv *warnings; /* of a load that fails */
};

static inline int read_made_up(void *owner, const char *path, size_t limit, struct buf *ret)
{
	for (const struct file *f = owner; f && f->path; f++) {
		if (strcmp(f->path, path) == 0) {
			size_t n = strlen(f->text);
			buf_append(ret, f->text, n < limit ? n : limit);
			return n > limit ? -EFBIG : 0;
		}
	}
	return -ENOENT;
}

static inline struct project *load_setting(const struct setting *s, struct err *e)
{
	struct strv lists[4] = {{0}};
	for (size_t i = 0; i < 4; i++) {
		for (size_t k = 0; i < 3 && k < 4; k++) {
			const char *const *from = i == 0   ? s->profiles
						  : i == 1 ? s->compose_files
							   : s->services;
			if (from[k]) {
				strv_add(&lists[i], from[k]);
			}
		}
	}
	const struct load_options o = {.files = &lists[1],
		.env_files = &lists[3],
		.profiles = &lists[0],
		.services = &lists[2],
		.project_name = s->project_name,
		.keep_variables = s->keep_variables,
		.only_show = s->only_show,
		.warnings = s->warnings,
		.cwd = "/p",
		.environment = (char *const *)s->environment,
		.read = read_made_up,
		.owner = (void *)s->files};
	struct project *p = project_load(&o, e);
	for (size_t i = 0; i < 4; i++) {
		strv_deinit(&lists[i]);
	}
	return p;
}

/* One compose.yaml in /p. */
static inline struct project *load_text(const char *text, struct err *e)
{
	const struct file files[] = {{"/p/compose.yaml", text}, {0}};
	const struct setting s = {.files = files};
	return load_setting(&s, e);
}

static inline struct project *load_good(const char *text)
{
	struct err e = {0};
	struct project *p = load_text(text, &e);
	if (!p) {
		print_error("refused: %s\n", e.msg);
	}
	assert_non_null(p);
	return p;
}

static inline const char *pair_value(const struct pairs *pairs, const char *name)
{
	for (size_t i = 0; i < pairs->n; i++) {
		if (strcmp(pairs->v[i].name, name) == 0) {
			return pairs->v[i].value ? pairs->v[i].value : "(null)";
		}
	}
	return "(absent)";
}
