/* The checks of build/lint.h for a build, with what the daemon knows of base images. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "build/excerpt.h"
#include "build/outline.h"
#include "worker/build.h"
#include "worker/rpc.h"

#define RESULT_VERSION "1.0.0" /* of frontend.lint */

/* Configurations of base images, by name and platform; JSON null: it is not there. */
struct bases {
	struct build *b;
	json_t *known;
};

/* Only what is there already: nothing is pulled to say something about a file. */
static json_t *ask_config(struct build *b, const char *name, const char *platform)
{
	struct err ignored;
	json_t *question = json_pack(
		"{ss ss ss sb}", "ask", "image", "name", name, "platform", platform, "local", 1);
	scoped(json) json_t *found = question ? rpc_ask(b->rpc, question, &ignored) : NULL;
	json_t *config = json_object_get(found, "config");
	return config ? json_incref(config) : json_null();
}

static const json_t *find_base(void *owner, const char *name, const char *platform)
{
	struct bases *k = owner;
	scoped(free) char *key = xasprintf("%s %s", name, platform);
	json_t *config = json_object_get(k->known, key);
	if (!config) {
		config = ask_config(k->b, name, platform);
		json_put(k->known, key, config);
	}
	return json_is_object(config) ? config : NULL;
}

static int run(struct build *b, bool all_stages, struct err *e)
{
	scoped(json) json_t *known = json_object();
	struct bases bases = {b, known};
	const struct build_target *g = &b->targets[0];
	const struct plan_options plan = build_plan_options(b, g);
	const struct lint_options o = {
		.plan = &plan,
		.made = all_stages ? NULL : &g->plan,
		.ignore = b->ignore,
		.base = find_base,
		.owner = &bases,
	};
	return lint_run(&b->d, &o, &b->lint, e);
}

int build_lint(struct build *b, struct err *e)
{
	return run(b, false, e) < 0 || lint_verdict(&b->lint, e) < 0 ? -1 : 0;
}

void build_lint_say(struct build *b)
{
	for (size_t k = 0; k < b->lint.n; k++) {
		const struct lint_warning *w = &b->lint.v[k];
		scoped(free) char *text = xasprintf("%s (line %d)", w->message, w->line);
		scoped(free) char *url = lint_url(w->rule);
		const struct build_warning said = {
			.rule = w->rule->name,
			.text = text,
			.detail = w->rule->description,
			.url = url,
			.file = b->d.name,
			.first = w->line,
			.last = w->end_line,
			.level = 1,
		};
		build_event_warning(b->events, b->definition, &said);
	}
}

json_t *build_check(struct build *b, const struct err *problem, struct err *e)
{
	const struct err why = problem ? *problem : (struct err){0};
	const bool some = *json_str(b->options, "target") != '\0' && !problem;
	if (run(b, !some, e) < 0) {
		return NULL;
	}
	scoped(buf) struct buf text = BUF_INIT;
	scoped(json) json_t *result = lint_result(&b->d, &b->lint, problem ? &why : NULL);
	scoped(free) char *doc = json_dumps(result, JSON_INDENT(2));
	lint_text(&b->d, &b->lint, &text);
	if (problem) { /* who shows the text only is told, too */
		scoped(json) json_t *source = excerpt_source(&b->d, why.msg);
		buf_printf(&text, "\nERROR: %s\n", why.msg);
		excerpt_of_source(source, why.msg, &text);
	}
	return json_pack("{ss s{ss ss ss ss}}", "id", "", "response", "result.json", doc,
		"result.txt", buf_str(&text), "result.statuscode", b->lint.n || problem ? "1" : "0",
		"version", RESULT_VERSION);
}

json_t *build_answer(struct build *b, const char *question, struct err *e)
{
	const bool targets = strcmp(question, "frontend.targets") == 0;
	scoped(buf) struct buf text = BUF_INIT;
	scoped(json) json_t *result =
		targets ? outline_targets(&b->d)
			: outline_make(&b->targets[0].plan, &b->build_args, e);
	if (!result) {
		return NULL;
	}
	(targets ? outline_targets_text : outline_text)(result, &text);
	scoped(free) char *doc = json_dumps(result, JSON_INDENT(2));
	return json_pack("{ss s{ss ss ss}}", "id", "", "response", "result.json", doc, "result.txt",
		buf_str(&text), "version", RESULT_VERSION);
}
