#include "build/lint.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "build/excerpt.h"
#include "build/lint_rules.h"

#define CHECK_ARG "BUILDKIT_DOCKERFILE_CHECK"
#define PAGES "https://docs.docker.com/go/dockerfile/rule/"

static const struct lint_rule rules[RULES] = {
	[RULE_CONSISTENT_INSTRUCTION_CASING] = {"ConsistentInstructionCasing",
		"All commands within the Dockerfile should use the same casing (either upper or lower)",
		"consistent-instruction-casing", false},
	[RULE_COPY_IGNORED_FILE] = {"CopyIgnoredFile",
		"Attempting to Copy file that is excluded by .dockerignore", "copy-ignored-file",
		false},
	[RULE_DUPLICATE_STAGE_NAME] = {"DuplicateStageName", "Stage names should be unique",
		"duplicate-stage-name", false},
	[RULE_EXPOSE_INVALID_FORMAT] = {"ExposeInvalidFormat",
		"IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
		"expose-invalid-format", false},
	[RULE_EXPOSE_PROTO_CASING] = {"ExposeProtoCasing",
		"Protocol in EXPOSE instruction should be lowercase", "expose-proto-casing", false},
	[RULE_FROM_AS_CASING] = {"FromAsCasing",
		"The 'as' keyword should match the case of the 'from' keyword", "from-as-casing",
		false},
	[RULE_FROM_PLATFORM_CONST] = {"FromPlatformFlagConstDisallowed",
		"FROM --platform flag should not use a constant value",
		"from-platform-flag-const-disallowed", false},
	[RULE_INVALID_BASE_PLATFORM] = {"InvalidBaseImagePlatform",
		"Base image platform does not match expected target platform", NULL, false},
	[RULE_INVALID_DEFAULT_ARG] = {"InvalidDefaultArgInFrom",
		"Default value for global ARG results in an empty or invalid base image name",
		"invalid-default-arg-in-from", false},
	[RULE_INVALID_DESCRIPTION] = {"InvalidDefinitionDescription",
		"Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
		"invalid-definition-description", true},
	[RULE_INVALID_JSON] = {"InvalidJSONArgs",
		"What looks like a JSON array and is none is taken as plain text", NULL, false},
	[RULE_JSON_ARGS] = {"JSONArgsRecommended",
		"JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
		"json-args-recommended", false},
	[RULE_LEGACY_KEY_VALUE] = {"LegacyKeyValueFormat",
		"Legacy key/value format with whitespace separator should not be used",
		"legacy-key-value-format", false},
	[RULE_MAINTAINER] = {"MaintainerDeprecated",
		"The MAINTAINER instruction is deprecated, use a label instead to define an image author",
		"maintainer-deprecated", false},
	[RULE_MULTIPLE_INSTRUCTIONS] = {"MultipleInstructionsDisallowed",
		"Multiple instructions of the same type should not be used in the same stage",
		"multiple-instructions-disallowed", false},
	[RULE_NO_EMPTY_CONTINUATION] = {"NoEmptyContinuation",
		"Empty continuation lines will become errors in a future release",
		"no-empty-continuation", false},
	[RULE_REDUNDANT_PLATFORM] = {"RedundantTargetPlatform",
		"Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
		"redundant-target-platform", false},
	[RULE_RESERVED_STAGE_NAME] = {"ReservedStageName",
		"Reserved words should not be used as stage names", "reserved-stage-name", false},
	[RULE_SECRETS] = {"SecretsUsedInArgOrEnv",
		"Sensitive data should not be used in the ARG or ENV commands",
		"secrets-used-in-arg-or-env", false},
	[RULE_STAGE_NAME_CASING] = {"StageNameCasing", "Stage names should be lowercase",
		"stage-name-casing", false},
	[RULE_UNDEFINED_ARG_IN_FROM] = {"UndefinedArgInFrom", "FROM command must use declared ARGs",
		"undefined-arg-in-from", false},
	[RULE_UNDEFINED_VAR] = {"UndefinedVar", "Variables should be defined before their use",
		"undefined-var", false},
	[RULE_WORKDIR_RELATIVE] = {"WorkdirRelativePath",
		"Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
		"workdir-relative-path", false},
};

/* --- which rules are wanted --- */

static void choice_deinit(struct lint_choice *c)
{
	strv_deinit(&c->skip);
	strv_deinit(&c->experimental);
}
static void scoped_choice(struct lint_choice *c)
{
	choice_deinit(c);
}

static char *trimmed(const char *p, size_t n)
{
	while (n > 0 && (*p == ' ' || *p == '\t')) {
		p++;
		n--;
	}
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t')) {
		n--;
	}
	return xstrndup(p, n);
}

static void read_names(const char *value, bool *ret_all, struct strv *ret)
{
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, value, ',');
	*ret_all = *ret_all || strcmp(value, "all") == 0;
	for (size_t k = 0; k < parts.n; k++) {
		strv_take(ret, trimmed(parts.v[k], strlen(parts.v[k])));
	}
}

static int read_option(const char *option, struct lint_choice *c, struct err *e)
{
	const char *equals = strchr(option, '=');
	if (!equals) {
		return err_set(e, ERR_INVALID, "invalid check option \"%.60s\"", option);
	}
	scoped(free) char *key = trimmed(option, (size_t)(equals - option));
	scoped(free) char *value = trimmed(equals + 1, strlen(equals + 1));
	if (strcmp(key, "skip") == 0) {
		read_names(value, &c->skip_all, &c->skip);
	} else if (strcmp(key, "experimental") == 0) {
		read_names(value, &c->experimental_all, &c->experimental);
	} else if (strcmp(key, "error") != 0) {
		return err_set(e, ERR_INVALID, "invalid check option \"%.60s\"", key);
	} else if (strcasecmp(value, "true") == 0 || strcmp(value, "1") == 0) {
		c->error = true;
	} else if (strcasecmp(value, "false") != 0 && strcmp(value, "0") != 0) {
		return err_set(e, ERR_INVALID, "check option error=%.60s is neither true nor false",
			value);
	}
	return 0;
}

/* "skip=A,B;error=true" */
static int read_choice(const char *text, struct lint_choice *ret, struct err *e)
{
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, text, ';');
	for (size_t k = 0; k < parts.n; k++) {
		if (read_option(parts.v[k], ret, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static bool chosen(const struct lint_choice *c, const struct lint_rule *r)
{
	return r->experimental ? c->experimental_all || strv_has(&c->experimental, r->name)
			       : !c->skip_all && !strv_has(&c->skip, r->name);
}

/* A comment "# check=skip=A" above the instruction adds to what the file says. */
static bool chosen_at(
	const struct lint_choice *c, const struct lint_rule *r, const struct df_instruction *i)
{
	scoped(choice) struct lint_choice own = {
		.skip_all = c->skip_all, .experimental_all = c->experimental_all};
	strv_copy(&own.skip, &c->skip);
	strv_copy(&own.experimental, &c->experimental);
	for (size_t k = 0; k < i->comments.n; k++) {
		struct err ignored;
		if (strncasecmp(i->comments.v[k], "check=", 6) == 0) {
			(void)read_choice(i->comments.v[k] + 6, &own, &ignored);
		}
	}
	return chosen(&own, r);
}

void lint_note(
	struct linter *l, enum rule_id id, const struct df_instruction *i, const char *fmt, ...)
{
	struct lint *ret = l->ret;
	if (ret->n >= LINT_WARNINGS_MAX || !chosen_at(l->choice, &rules[id], i)) {
		return;
	}
	va_list args;
	va_start(args, fmt);
	char *message = xvasprintf(fmt, args);
	va_end(args);
	ret->v = xrealloc(ret->v, ret->n + 1, sizeof(*ret->v));
	ret->v[ret->n++] = (struct lint_warning){&rules[id], message, i->line, i->end_line};
}

static int by_line(const void *a, const void *b)
{
	const struct lint_warning *x = a;
	const struct lint_warning *y = b;
	return x->line != y->line ? x->line - y->line : strcmp(x->rule->name, y->rule->name);
}

int lint_run(
	const struct dockerfile *d, const struct lint_options *o, struct lint *ret, struct err *e)
{
	scoped(choice) struct lint_choice choice = {0};
	const char *asked = strv_env_get(o->plan->build_args, CHECK_ARG);
	asked = asked ? asked : d->check ? d->check : "";
	*ret = (struct lint){0};
	if (read_choice(asked, &choice, e) < 0) {
		return err_wrap(e, "failed to parse check options");
	}
	struct linter l = {d, o, &choice, ret};
	lint_all(&l);
	if (ret->n > 1) {
		qsort(ret->v, ret->n, sizeof(*ret->v), by_line);
	}
	ret->error = choice.error;
	return 0;
}

void lint_deinit(struct lint *l)
{
	for (size_t k = 0; k < l->n; k++) {
		free(l->v[k].message);
	}
	free(l->v);
	*l = (struct lint){0};
}

int lint_verdict(const struct lint *l, struct err *e)
{
	if (!l->error || l->n == 0) {
		return 0;
	}
	scoped(strv) struct strv names = STRV_INIT;
	scoped(buf) struct buf text = BUF_INIT;
	for (size_t k = 0; k < l->n; k++) {
		if (!strv_has(&names, l->v[k].rule->name)) {
			strv_add(&names, l->v[k].rule->name);
			buf_printf(&text, "%s%s", names.n > 1 ? ", " : "", l->v[k].rule->name);
		}
	}
	return err_set(e, ERR_INVALID, "lint violation found for rules: %.200s", buf_str(&text));
}

/* --- how it is shown --- */

char *lint_url(const struct lint_rule *r)
{
	return r->page ? xasprintf(PAGES "%s/", r->page) : xstrdup("");
}

/* pb.Location of BuildKit. */
static json_t *location(int line, int end)
{
	return json_pack("{s[{s{si} s{si}}]}", "ranges", "start", "line", line, "end", "line", end);
}

static json_t *source_info(const struct dockerfile *d)
{
	scoped(buf) struct buf data = BUF_INIT;
	base64_encode(d->text, strlen(d->text), &data);
	return json_pack("{ss ss ss}", "filename", d->name, "data", buf_str(&data), "language",
		"Dockerfile");
}

json_t *lint_result(const struct dockerfile *d, const struct lint *l, const struct err *problem)
{
	json_t *warnings = json_array();
	for (size_t k = 0; k < l->n; k++) {
		const struct lint_warning *w = &l->v[k];
		scoped(free) char *url = lint_url(w->rule);
		json_t *one = json_pack(
			"{ss ss}", "ruleName", w->rule->name, "description", w->rule->description);
		if (*url) {
			json_put_str(one, "url", url);
		}
		json_put_str(one, "detail", w->message);
		json_put(one, "location", location(w->line, w->end_line));
		json_array_append_new(warnings, one);
	}
	json_t *result = json_object();
	json_put(result, "warnings", json_array_or_null(warnings));
	json_put(result, "sources", json_pack("[o]", source_info(d)));
	if (problem) {
		int line = 0, end = 0;
		bool found = excerpt_find(d, problem->msg, &line, &end);
		json_t *error = json_pack("{ss}", "message", problem->msg);
		json_put(error, "location", found ? location(line, end) : json_object());
		json_put(result, "buildError", error);
	}
	return result;
}

void lint_text(const struct dockerfile *d, const struct lint *l, struct buf *ret)
{
	for (size_t k = 0; k < l->n; k++) {
		const struct lint_warning *w = &l->v[k];
		scoped(free) char *url = lint_url(w->rule);
		scoped(free) char *word = excerpt_word(w->message);
		const struct excerpt x = {d->name, d->text, w->line, w->end_line, word};
		buf_printf(ret, "\nWARNING: %s%s%s\n%s\n", w->rule->name, *url ? " - " : "", url,
			w->message);
		excerpt_print(&x, ret);
	}
}
