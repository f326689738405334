/* __complete: what the shells' completion scripts ask. Words come from the tables that parse them;
 * names from the engine, which may be away: then there are none, and nothing is said.
 *
 * Answer: a line for each candidate, "word\tdescription", and at last ":files" or ":words": whether
 * file names are welcome too. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "wherry/commands.h"
#include "wherry/complete_values.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/globals.h"

#define PATIENCE_S 2
#define OUTPUT_MAX (1u << 20)

/* What a command prints, without it being seen. */
static int capture(struct cli *cli, command_fn *fn, int argc, char **argv, struct buf *ret)
{
	scoped(close) int into = memfd_create("complete", MFD_CLOEXEC);
	fflush(stdout);
	scoped(close) int saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (into < 0 || saved < 0 || dup2(into, STDOUT_FILENO) < 0) {
		return -1;
	}
	fn(cli, argc, argv);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	scoped(free) char *path = xasprintf("/proc/self/fd/%d", into);
	return path_read(AT_FDCWD, path, OUTPUT_MAX, ret);
}

/* The flags and operands of a command, as flags_describe printed them. */
struct described {
	struct strv lines; /* the operands first */
};

int commands_describe(
	struct cli *cli, command_fn *fn, const char *name, const char *sub, struct buf *ret)
{
	char marker[] = FLAGS_DESCRIBE;
	scoped(free) char *first = xstrdup(name);
	scoped(free) char *second = xstrdup(sub ? sub : marker);
	char *argv[] = {first, second, sub ? marker : NULL, NULL};
	return capture(cli, fn, sub ? 3 : 2, argv, ret);
}

static void describe(
	struct cli *cli, command_fn *fn, const char *name, const char *sub, struct described *ret)
{
	scoped(buf) struct buf text = BUF_INIT;
	*ret = (struct described){0};
	if (commands_describe(cli, fn, name, sub, &text) == 0) {
		strv_split(&ret->lines, buf_str(&text), '\n');
	}
}

/* The line of a flag: "name\tletter\twants value\ttype\thelp". */
static const char *find_flag(const struct described *d, const char *word)
{
	for (size_t i = 1; i < d->lines.n; i++) {
		const char *line = d->lines.v[i];
		size_t n = strcspn(line, "\t");
		bool is_long = word[0] == '-' && word[1] == '-';
		if (n == 0 || line[n] != '\t') {
			continue;
		}
		if (is_long ? strncmp(line, word + 2, n) == 0 &&
					(!word[2 + n] || word[2 + n] == '=')
			    : line[n + 1] == word[strlen(word) - 1]) {
			return line;
		}
	}
	return NULL;
}

static bool wants_value(const char *line)
{
	const char *letter = strchr(line, '\t');
	return letter && letter[3] == '1';
}

static void offer_flags(const struct described *d, const char *typed)
{
	for (size_t i = 1; i < d->lines.n; i++) {
		const char *line = d->lines.v[i];
		int n = (int)strcspn(line, "\t");
		const char *help = strrchr(line, '\t');
		scoped(free) char *word = xasprintf("--%.*s", n, line);
		if (n > 0 && help && text_starts(word, typed)) {
			printf("%s\t%.*s\n", word, (int)strcspn(help + 1, "\f"), help + 1);
		}
	}
}

/* Where the word to complete stands among a command's words. */
struct position {
	const char *flag; /* whose value it is: its line; NULL */
	int operand;      /* else the how manieth operand */
	bool ended;       /* behind "--", or behind the operand that ends flags */
};

static struct position locate(const struct described *d, char **words, int n)
{
	struct position p = {0};
	bool first_ends = d->lines.n > 0 && strstr(d->lines.v[0], "[ARG...]");
	for (int i = 0; i < n; i++) {
		const char *w = words[i];
		p.flag = NULL;
		if (p.ended || w[0] != '-' || !w[1]) {
			p.operand++;
			p.ended = p.ended || first_ends;
		} else if (strcmp(w, "--") == 0) {
			p.ended = true;
		} else {
			const char *line = find_flag(d, w);
			bool separate = line && wants_value(line) && !strchr(w, '=');
			if (separate && i + 1 == n) {
				p.flag = line;
			}
			i += separate;
		}
	}
	return p;
}

/* The k-th word of "[OPTIONS] CONTAINER COMMAND [ARG...]", bare: "CONTAINER". The last repeats when
 * dots follow. */
static char *operand_word(const char *operands, int k)
{
	scoped(strv) struct strv list = STRV_INIT;
	scoped(strv) struct strv bare = STRV_INIT;
	strv_split(&list, operands, ' ');
	for (size_t i = 0; i < list.n; i++) {
		const char *w = list.v[i] + (list.v[i][0] == '[');
		if (strcmp(list.v[i], "[OPTIONS]") != 0) {
			strv_addn(&bare, w, strcspn(w, "[]:."));
		}
	}
	bool repeats = strstr(operands, "...");
	if (bare.v && (size_t)k < bare.n) {
		return xstrdup(bare.v[k]);
	}
	return xstrdup(repeats && bare.v ? bare.v[bare.n - 1] : "");
}

static void finish(bool files)
{
	printf(files ? ":files\n" : ":words\n");
}

/* The value of a flag, or an operand, of one command. */
static void complete_words(
	struct cli *cli, const char *name, const struct described *d, char **words, int n)
{
	const char *typed = words[n - 1];
	struct position p = locate(d, words, n - 1);
	const char *equal = text_starts(typed, "--") ? strchr(typed, '=') : NULL;
	const char *flag = p.flag ? p.flag : equal && !p.ended ? find_flag(d, typed) : NULL;
	if (flag) {
		scoped(free) char *long_name = xstrndup(flag, strcspn(flag, "\t"));
		const char *prefix_end = equal && !p.flag ? equal + 1 : typed;
		scoped(free) char *prefix = xstrndup(typed, (size_t)(prefix_end - typed));
		finish(complete_flag(cli, name, long_name, prefix, prefix_end));
	} else if (*typed == '-' && !p.ended) {
		offer_flags(d, typed);
		finish(false);
	} else {
		scoped(free) char *operand =
			operand_word(d->lines.n ? d->lines.v[0] : "", p.operand);
		finish(complete_operand(cli, name, operand, typed));
	}
}

static void offer_commands(const char *typed)
{
	const struct command *c;
	for (size_t i = 0; (c = commands_at(i)); i++) {
		bool own = c->group == GROUP_COMMON || c->group == GROUP_COMMAND;
		size_t n = strcspn(c->name, " ");
		scoped(free) char *parent = xstrndup(c->name, n);
		const struct command *before = i ? commands_at(i - 1) : NULL;
		bool again =
			before && strncmp(before->name, c->name, n) == 0 && before->name[n] == ' ';
		if (own && text_starts(c->name, typed)) {
			printf("%s\t%s\n", c->name, c->summary);
		} else if (!own && c->name[n] && !again && text_starts(parent, typed) &&
			   commands_parent(parent) && c->group != GROUP_HIDDEN) {
			printf("%s\t%s\n", parent, commands_parent(parent));
		}
	}
}

static void offer_below(const char *parent, const char *typed)
{
	const struct command *c;
	for (size_t i = 0; (c = commands_at(i)); i++) {
		size_t n;
		const char *sub = commands_below(c, parent, &n);
		if (sub && strncmp(sub, typed, strlen(typed)) == 0) {
			printf("%.*s\t%s\n", (int)n, sub, c->summary);
		}
	}
}

/* --- compose has a table of its own --- */

/* "  up        Create and start containers" below "Commands:" of its help. */
static void offer_compose_commands(struct cli *cli, const char *typed)
{
	char name[] = "compose";
	char help[] = "--help";
	char *argv[] = {name, help, NULL};
	scoped(buf) struct buf text = BUF_INIT;
	capture(cli, command_compose, 2, argv, &text);
	const char *p = strstr(buf_str(&text), "\nCommands:\n");
	for (p = p ? p + strlen("\nCommands:\n") : ""; text_starts(p, "  ");
		p += strcspn(p, "\n"), p += *p == '\n') {
		size_t n = strcspn(p + 2, " \n");
		const char *help_at = p + 2 + n + strspn(p + 2 + n, " ");
		if (strncmp(p + 2, typed, strlen(typed)) == 0) {
			printf("%.*s\t%.*s\n", (int)n, p + 2, (int)strcspn(help_at, "\n"), help_at);
		}
	}
}

/* The services of the project that the words name. */
static void offer_services(struct cli *cli, char **globals, int n, const char *typed)
{
	char *argv[64] = {NULL};
	char name[] = "compose";
	char config[] = "config";
	char services[] = "--services";
	scoped(buf) struct buf text = BUF_INIT;
	scoped(strv) struct strv list = STRV_INIT;
	if (n > 60) {
		return;
	}
	argv[0] = name;
	memcpy(argv + 1, globals, (size_t)n * sizeof(*argv));
	argv[n + 1] = config;
	argv[n + 2] = services;
	capture(cli, command_compose, n + 3, argv, &text);
	strv_split(&list, buf_str(&text), '\n');
	for (size_t i = 0; i < list.n; i++) {
		if (*list.v[i] && text_starts(list.v[i], typed)) {
			printf("%s\n", list.v[i]);
		}
	}
}

static void complete_compose(struct cli *cli, char **words, int n)
{
	struct described d;
	describe(cli, command_compose, "compose", NULL, &d);
	int sub = 0;
	while (sub < n - 1 && words[sub][0] == '-') {
		const char *line = find_flag(&d, words[sub]);
		sub += line && wants_value(line) && !strchr(words[sub], '=') ? 2 : 1;
	}
	if (sub >= n - 1) {
		if (sub == n - 1 && words[sub][0] != '-') {
			offer_compose_commands(cli, words[sub]);
			finish(false);
		} else {
			complete_words(cli, "compose", &d, words, n);
		}
		strv_deinit(&d.lines);
		return;
	}
	struct described below;
	describe(cli, command_compose, "compose", words[sub], &below);
	struct position p = locate(&below, words + sub + 1, n - sub - 2);
	scoped(free) char *operand = operand_word(below.lines.n ? below.lines.v[0] : "", p.operand);
	if (!p.flag && words[n - 1][0] != '-' && strcmp(operand, "SERVICE") == 0) {
		offer_services(cli, words, sub, words[n - 1]);
		finish(false);
	} else {
		scoped(free) char *name = xasprintf("compose %s", words[sub]);
		complete_words(cli, name, &below, words + sub + 1, n - sub - 1);
	}
	strv_deinit(&below.lines);
	strv_deinit(&d.lines);
}

/* --- all --- */

/* words: the command and what follows, the last to be completed. */
static void complete_command(struct cli *cli, char **words, int n)
{
	if (n == 1) {
		offer_commands(words[0]);
		finish(false);
		return;
	}
	if (strcmp(words[0], "compose") == 0) {
		complete_compose(cli, words + 1, n - 1);
		return;
	}
	bool parent = commands_parent(words[0]);
	if (parent && n == 2) {
		offer_below(words[0], words[1]);
		finish(false);
		return;
	}
	scoped(free) char *name =
		parent ? xasprintf("%s %s", words[0], words[1]) : xstrdup(words[0]);
	const struct command *c = commands_find(name);
	struct described d;
	if (!c || c->group == GROUP_HIDDEN) {
		finish(true);
		return;
	}
	describe(cli, c->run, c->name, NULL, &d);
	complete_words(cli, c->name, &d, words + 1 + parent, n - 1 - parent);
	strv_deinit(&d.lines);
}

/* The program's own flags, as a described command. */
static void describe_globals(struct described *ret)
{
	scoped(buf) struct buf text = BUF_INIT;
	*ret = (struct described){0};
	globals_describe(&text);
	strv_split(&ret->lines, buf_str(&text), '\n');
}

/* argv: "__complete", "--", then the words after the program's name, the last one unfinished. */
int command_complete(struct cli *cli, int argc, char **argv)
{
	scoped(close) int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	dup2(nowhere, STDERR_FILENO);
	alarm(PATIENCE_S); /* an engine that hangs must not hang the shell */
	char **words = argv + 1 + (argc > 1 && strcmp(argv[1], "--") == 0);
	int n = argc - (int)(words - argv);
	struct described own;
	if (n < 1) {
		return 0;
	}
	describe_globals(&own);
	int first = 0;
	while (first < n - 1 && words[first][0] == '-') {
		const char *line = find_flag(&own, words[first]);
		first += line && wants_value(line) && !strchr(words[first], '=') ? 2 : 1;
	}
	if (first > n - 1 || (first == n - 1 && words[first][0] == '-')) {
		complete_words(cli, "", &own, words, n);
	} else {
		struct err e;
		struct globals g = {0};
		int n_flags = first + 1;
		char **flags = xnew_array(char *, (size_t)first + 2);
		char **rest = flags;
		memcpy(flags + 1, words, (size_t)first * sizeof(*flags));
		flags[0] = argv[0];
		struct cli named = *cli;
		named.host = NULL;
		named.headers = NULL;
		bool chosen = first > 0 && globals_read(&g, &n_flags, &rest) < 0 &&
			      globals_choose_engine(&g, &named, &e) == 0;
		struct http_client *http = chosen ? engine_connect(&named, &e) : NULL;
		named.http = http;
		complete_command(http ? &named : cli, words + first, n - first);
		http_client_free(http);
		free((char *)named.host);
		free(named.headers);
		free(flags);
		globals_deinit(&g);
	}
	strv_deinit(&own.lines);
	return 0;
}
