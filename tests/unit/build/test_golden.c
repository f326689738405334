/* BuildKit's own test data (golden/ORIGIN): what its parser makes of Dockerfiles, its lexer of
 * words. */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "base/text.h"
#include "build/dockerfile.h"
#include "build/expand.h"
#include "cmocka_all.h"

#include <fcntl.h>

static int golden_fd;

static char *read_file(const char *name, const char *suffix)
{
	scoped(free) char *path = xasprintf("%s%s", name, suffix);
	struct buf text = BUF_INIT;
	assert_int_equal(path_read(golden_fd, path, 1 << 20, &text), 0);
	return buf_take_str(&text);
}

/* --- the parser: instructions as its tests print them --- */

static void put_quoted(const char *text, struct buf *ret)
{
	buf_puts(ret, " \"");
	for (const char *p = text; *p; p++) {
		if (*p == '\t') {
			buf_puts(ret, "\\t");
		} else {
			buf_printf(ret, "%s%c", *p == '"' || *p == '\\' ? "\\" : "", *p);
		}
	}
	buf_putc(ret, '"');
}

static void put_words(const struct strv *words, struct buf *ret)
{
	for (size_t k = 0; k < words->n; k++) {
		put_quoted(words->v[k], ret);
	}
}

static void put_pairs(const struct df_instruction *i, struct buf *ret)
{
	for (size_t k = 0; k + 1 < i->words.n; k += 2) {
		put_quoted(i->words.v[k], ret);
		put_quoted(i->words.v[k + 1], ret);
		put_quoted(i->legacy_pair ? "" : "=", ret);
	}
}

static void put_instruction(const struct df_instruction *i, struct buf *ret);

static void put_trigger(const struct df_instruction *i, struct buf *ret)
{
	scoped(dockerfile) struct dockerfile d = {0};
	struct err e;
	assert_int_equal(dockerfile_parse_trigger(i->args, "x", &d, &e), 0);
	buf_putc(ret, ' ');
	put_instruction(&d.v[0], ret);
}

static void put_health(const struct df_instruction *i, struct buf *ret)
{
	scoped(free) char *type = xstrndup(i->args, strcspn(i->args, " \t"));
	const char *rest = i->args + strlen(type) + strspn(i->args + strlen(type), " \t");
	put_quoted(type, ret);
	if (i->json) {
		put_words(&i->words, ret);
	} else if (*rest) {
		put_quoted(rest, ret);
	}
}

static void put_instruction(const struct df_instruction *i, struct buf *ret)
{
	buf_putc(ret, '(');
	for (const char *p = df_keyword(i->kind); *p; p++) {
		buf_putc(ret, (char)tolower((unsigned char)*p));
	}
	for (size_t k = 0; k < i->flags.n; k++) {
		buf_printf(ret, "%s\"%s\"", k ? " " : " [", i->flags.v[k]);
	}
	buf_puts(ret, i->flags.n ? "]" : "");
	if (i->kind == DF_ENV || i->kind == DF_LABEL) {
		put_pairs(i, ret);
	} else if (i->kind == DF_ONBUILD) {
		put_trigger(i, ret);
	} else if (i->kind == DF_HEALTHCHECK) {
		put_health(i, ret);
	} else if (i->json || i->words.n) {
		put_words(&i->words, ret);
	} else {
		put_quoted(i->args, ret);
	}
	buf_putc(ret, ')');
}

static void check_parser(const char *name)
{
	scoped(free) char *want = read_file(name, ".result");
	scoped(free) char *file = read_file(name, ".Dockerfile");
	const bool whole = text_starts(want, "(from") || text_starts(want, "(arg");
	scoped(free) char *text = xasprintf("%s%s", whole ? "" : "FROM x\n", file);
	scoped(dockerfile) struct dockerfile d = {0};
	scoped(buf) struct buf got = BUF_INIT;
	struct err e;
	if (dockerfile_parse(text, strlen(text), name, &d, &e) < 0) {
		fail_msg("%s", e.msg);
	}
	for (size_t k = whole ? 0 : 1; k < d.n; k++) {
		put_instruction(&d.v[k], &got);
		buf_putc(&got, '\n');
	}
	if (strcmp(buf_str(&got), want) != 0) {
		fail_msg("%s:\n%s\nwanted:\n%s", name, buf_str(&got), want);
	}
}

static void dockerfiles_are_parsed_as_buildkits(void **state)
{
	scoped(strv) struct strv names = STRV_INIT;
	size_t checked = 0;
	assert_int_equal(path_list(golden_fd, &names), 0);
	for (size_t k = 0; k < names.n; k++) {
		if (!text_ends(names.v[k], ".result")) {
			continue;
		}
		scoped(free) char *name =
			xstrndup(names.v[k], strlen(names.v[k]) - strlen(".result"));
		check_parser(name);
		checked++;
	}
	assert_true(checked > 15);
}

/* --- words --- */

static const char *lookup(void *owner, const char *name, size_t n)
{
	const struct strv *env = owner;
	for (size_t k = env->n; k > 0; k--) {
		if (strncmp(env->v[k - 1], name, n) == 0 && env->v[k - 1][n] == '=') {
			return env->v[k - 1] + n + 1;
		}
	}
	return NULL;
}

static char *trimmed(const char *p, size_t n)
{
	while (n > 0 && isspace((unsigned char)*p)) {
		p++;
		n--;
	}
	while (n > 0 && isspace((unsigned char)p[n - 1])) {
		n--;
	}
	return xstrndup(p, n);
}

static void check_word(const struct expander *x, const char *line)
{
	const char *first = strchr(line, '|');
	const char *last = first ? strrchr(line, '|') : NULL;
	if (!first || first == last || !strchr("AU", *line)) {
		return; /* of another system */
	}
	scoped(free) char *source = trimmed(first + 1, (size_t)(last - first - 1));
	scoped(free) char *want = trimmed(last + 1, strlen(last + 1));
	scoped(free) char *got = NULL;
	struct err e;
	int r = expand_word(x, source, &got, &e);
	if (strcmp(r < 0 ? "error" : got, want) != 0) {
		fail_msg("%s: %s, wanted %s", source, r < 0 ? e.msg : got, want);
	}
}

static void words_are_expanded_as_buildkits(void **state)
{
	scoped(free) char *text = read_file("envVarTest", "");
	scoped(strv) struct strv lines = STRV_INIT;
	scoped(strv) struct strv env = STRV_INIT;
	const struct expander x = {.lookup = lookup, .owner = &env, .escape = '\\'};
	strv_split(&lines, text, '\n');
	strv_add(&env, "PWD=/home");
	strv_add(&env, "SHELL=bash");
	strv_add(&env, "KOREAN=한국어");
	strv_add(&env, "NULL=");
	for (size_t k = 0; k < lines.n; k++) {
		if (*lines.v[k] != '#') {
			check_word(&x, lines.v[k]);
		}
	}
}

static void check_split(const struct expander *x, const char *line)
{
	const char *bar = strchr(line, '|');
	scoped(free) char *source = trimmed(line, (size_t)(bar - line));
	scoped(free) char *list = trimmed(bar + 1, strlen(bar + 1));
	scoped(strv) struct strv got = STRV_INIT;
	scoped(buf) struct buf text = BUF_INIT;
	struct err e;
	if (expand_words(x, source, &got, &e) < 0) {
		strv_clear(&got);
		strv_add(&got, "error");
	}
	for (size_t k = 0; k < got.n; k++) {
		buf_printf(&text, "%s%s", k ? "," : "", got.v[k]);
	}
	scoped(free) char *whole = trimmed(buf_str(&text), text.len);
	if (strcmp(whole, list) != 0) {
		fail_msg("%s: %s, wanted %s", source, whole, list);
	}
}

static void values_are_split_as_buildkits(void **state)
{
	scoped(free) char *text = read_file("wordsTest", "");
	scoped(strv) struct strv lines = STRV_INIT;
	scoped(strv) struct strv env = STRV_INIT;
	const struct expander x = {.lookup = lookup, .owner = &env, .escape = '\\'};
	strv_split(&lines, text, '\n');
	for (size_t k = 0; k < lines.n; k++) {
		if (text_starts(lines.v[k], "ENV ")) {
			strv_add(&env, lines.v[k] + 4);
		} else if (*lines.v[k] && *lines.v[k] != '#') {
			check_split(&x, lines.v[k]);
		}
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dockerfiles_are_parsed_as_buildkits),
		cmocka_unit_test(words_are_expanded_as_buildkits),
		cmocka_unit_test(values_are_split_as_buildkits),
	};
	golden_fd = open(argc > 1 ? argv[1] : "golden", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return golden_fd < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
