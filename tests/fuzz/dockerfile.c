/* A stranger's Dockerfile: parsed, planned, applied and checked. Lines grow, errors name the file,
 * a plan builds its target, warnings point into the file. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/json.h"
#include "base/scoped.h"
#include "base/text.h"
#include "build/config.h"
#include "build/excerpt.h"
#include "build/lint.h"
#include "build/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_instructions(const struct dockerfile *d)
{
	int line = 0;
	for (size_t i = 0; i < d->n; i++) {
		const struct df_instruction *in = &d->v[i];
		assert(in->line > line && in->end_line >= in->line);
		line = in->end_line;
		assert(*in->text && *in->args && in->kind < DF_KINDS);
		for (size_t h = 0; h < in->n_heredocs; h++) {
			char *text = df_heredoc_text(&in->heredocs[h]);
			assert(strlen(text) <= strlen(in->heredocs[h].data));
			free(text);
		}
	}
}

static void apply_stage(const struct dockerfile *d, const struct plan *p, const struct stage *s)
{
	struct strv none = STRV_INIT;
	const struct config_args args = {&none, &p->global_args, NULL, NULL};
	struct build_config c;
	struct err e = {0};
	build_config_from_image(&c, NULL, "linux", "arm64", "", NULL);
	for (size_t i = s->from + 1; i < s->end; i++) {
		const enum df_kind kind = d->v[i].kind;
		if (kind == DF_RUN || kind == DF_COPY || kind == DF_ADD) {
			continue;
		}
		if (build_config_apply(&c, d, &d->v[i], &args, &e) < 0) {
			assert(text_starts(e.msg, "D:"));
			break;
		}
		assert(*build_config_workdir(&c) == '/');
	}
	char *text = json_text(c.image); /* it can be written */
	assert(text);
	free(text);
	build_config_deinit(&c);
}

static void check_lint(const struct dockerfile *d, const struct plan_options *o)
{
	scoped(lint) struct lint l = {0};
	scoped(buf) struct buf text = BUF_INIT;
	struct err e = {0};
	const struct lint_options options = {.plan = o};
	if (lint_run(d, &options, &l, &e) < 0) {
		assert(text_starts(e.msg, "failed to parse check options"));
		return;
	}
	lint_text(d, &l, &text);
	for (size_t i = 0; i < l.n; i++) {
		assert(l.v[i].line >= 1 && l.v[i].end_line >= l.v[i].line);
		assert(i == 0 || l.v[i - 1].line <= l.v[i].line);
	}
	scoped(json) json_t *result = lint_result(d, &l, NULL);
	assert(result);
}

/* What is wrong in the file can be shown. */
static void check_place(const struct dockerfile *d, const struct err *e)
{
	scoped(json) json_t *source = excerpt_source(d, e->msg);
	scoped(buf) struct buf text = BUF_INIT;
	excerpt_of_source(source, e->msg, &text);
	assert(text.len == 0 || text_starts(buf_str(&text), "D:"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(dockerfile) struct dockerfile d = {0};
	scoped(plan) struct plan p = {0};
	struct err e = {0};
	if (size > 8192) {
		return 0;
	}
	if (dockerfile_parse((const char *)data, size, "D", &d, &e) < 0) {
		assert(text_starts(e.msg, "D:") && e.kind == ERR_INVALID);
		check_place(&d, &e);
		return 0;
	}
	check_instructions(&d);
	struct strv none = STRV_INIT;
	const struct plan_options o = {
		.build_args = &none, .target = "", .platform = "", .build_platform = "linux/amd64"};
	if (plan_make(&d, &o, &p, &e) < 0) {
		assert(text_starts(e.msg, "D"));
		check_lint(&d, &o);
		return 0;
	}
	check_lint(&d, &o);
	assert(p.target == p.n - 1 && p.v[p.target].needed && p.n_steps <= d.n);
	for (size_t s = 0; s < p.n; s++) {
		assert(p.v[s].base_stage < (int)s && p.v[s].end > p.v[s].from);
		apply_stage(&d, &p, &p.v[s]);
	}
	return 0;
}
