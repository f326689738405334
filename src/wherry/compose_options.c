/* The flags before a subcommand, those that every subcommand has, and the COMPOSE_ variables, which
 * may also stand in the project's .env file. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/text.h"
#include "compose/env.h"
#include "wherry/compose.h"

extern char **environ;

/* Older spellings and what is only asked here. */
struct asked {
	bool version, help, no_ansi, verbose;
	const char *workdir;
	int64_t parallel;
};

#define N_OWN_FLAGS 20

static void list_flags(struct compose *c, struct asked *a, struct flag *ret)
{
	const struct flag flags[N_OWN_FLAGS] = {
		{"all-resources", 0, FLAG_BOOL, &c->all_resources, NULL,
			"Include all resources, even those not used by services"},
		{"ansi", 0, FLAG_STRING, &c->ansi, NULL,
			"Control when to print ANSI control characters (\"never\"|\"always\"|\"auto\") (default \"auto\")"},
		{"compatibility", 0, FLAG_BOOL, &c->compatibility, NULL,
			"Run compose in backward compatibility mode"},
		{"dry-run", 0, FLAG_BOOL, &c->dry_run, NULL, "Execute command in dry run mode"},
		{"env-file", 0, FLAG_LIST, &c->env_files, "stringArray",
			"Specify an alternate environment file"},
		{"file", 'f', FLAG_LIST, &c->files, "stringArray", "Compose configuration files"},
		{"parallel", 0, FLAG_INT, &a->parallel, NULL,
			"Control max parallelism, -1 for unlimited (default -1)"},
		{"profile", 0, FLAG_LIST, &c->profiles, "stringArray",
			"Specify a profile to enable"},
		{"progress", 0, FLAG_STRING, &c->progress_mode, NULL,
			"Set type of progress output (auto, tty, plain, json, quiet)"},
		{"project-directory", 0, FLAG_STRING, &c->project_directory, NULL,
			"Specify an alternate working directory\n(default: the path of the, first specified, Compose file)"},
		{"project-name", 'p', FLAG_STRING, &c->project_name, NULL, "Project name"},
		{"workdir", 0, FLAG_STRING, &a->workdir, NULL, NULL},
		{"no-ansi", 0, FLAG_BOOL, &a->no_ansi, NULL, NULL},
		{"verbose", 0, FLAG_BOOL, &a->verbose, NULL, NULL},
		{"version", 'v', FLAG_BOOL, &a->version, NULL, NULL},
		{"help", 'h', FLAG_BOOL, &a->help, NULL, NULL},
		{0},
	};
	memcpy(ret, flags, sizeof(flags));
}

bool compose_switch(const char *name)
{
	static const char *const words[] = {"1", "t", "true", "y"};
	const char *value = getenv(name);
	for (size_t i = 0; value && i < sizeof(words) / sizeof(*words); i++) {
		if (strcasecmp(value, words[i]) == 0) {
			return true;
		}
	}
	return false;
}

/* ---- .env ---- */

static char *directory_of(const struct compose *c)
{
	const char *file = c->files.n > 0 ? c->files.v[0] : getenv("COMPOSE_FILE");
	if (c->project_directory) {
		return xstrdup(c->project_directory);
	}
	const char *slash = file && strcmp(file, "-") != 0 ? strrchr(file, '/') : NULL;
	return slash ? xstrndup(file, (size_t)(slash - file) + 1) : xstrdup(".");
}

/* Only COMPOSE_ variables, and what is set stays. A file that is wrong is for the loader to refuse.
 */
static void take_env_file(const char *path, const struct env *outer)
{
	struct err e;
	scoped(buf) struct buf text = BUF_INIT;
	scoped(env_free) struct env *found = env_new();
	if (path_read(AT_FDCWD, path, DOTENV_BYTES_MAX, &text) < 0 ||
		dotenv_parse(path, buf_str(&text), text.len, false, outer, found, &e) < 0) {
		return;
	}
	size_t pos = 0;
	const char *value;
	for (const char *name; (name = env_next(found, &pos, &value));) {
		if (text_starts(name, "COMPOSE_")) {
			setenv(name, value, 0);
		}
	}
}

static void take_env_files(const struct compose *c)
{
	scoped(env_free) struct env *outer = env_new();
	env_add_list(outer, environ);
	/* of several files the last wins; what is set first stays */
	for (size_t i = c->env_files.n; i-- > 0;) {
		take_env_file(c->env_files.v[i], outer);
	}
	if (c->env_files.n == 0 && !compose_switch("COMPOSE_DISABLE_ENV_FILE")) {
		scoped(free) char *dir = directory_of(c);
		scoped(free) char *path = path_join(dir, ".env");
		take_env_file(path, outer);
	}
}

/* ---- values ---- */

static void take_list(struct strv *list, const char *name)
{
	const char *value = getenv(name);
	scoped(strv) struct strv words = STRV_INIT;
	if (list->n > 0 || !value) {
		return;
	}
	strv_split(&words, value, ',');
	for (size_t i = 0; i < words.n; i++) {
		if (*words.v[i]) {
			strv_add(list, words.v[i]);
		}
	}
}

static bool is(const char *value, const char *word)
{
	return value && strcmp(value, word) == 0;
}

static int check_progress(struct compose *c, struct err *e)
{
	const char *mode = c->progress_mode;
	if (is(mode, "tty") && is(c->ansi, "never")) {
		return err_set(
			e, ERR_INVALID, "can't use --progress tty while ANSI support is disabled");
	}
	if (is(mode, "plain") && is(c->ansi, "always")) {
		return err_set(
			e, ERR_INVALID, "can't use --progress plain while ANSI support is forced");
	}
	if (is(mode, "none")) {
		c->progress_mode = "quiet";
	} else if (mode && *mode && !is(mode, "auto") && !is(mode, "tty") && !is(mode, "plain") &&
		   !is(mode, "json") && !is(mode, "quiet")) {
		return err_set(e, ERR_INVALID, "unsupported --progress value \"%s\"", mode);
	}
	if (!mode || !*mode || is(mode, "auto")) {
		c->progress_mode = is(c->ansi, "never")    ? "plain"
				   : is(c->ansi, "always") ? "tty"
							   : "auto";
	}
	return 0;
}

static int check_older(struct compose *c, const struct asked *a, struct err *e)
{
	if (a->no_ansi) {
		if (c->ansi && !is(c->ansi, "auto")) {
			return err_set(e, ERR_INVALID,
				"cannot specify DEPRECATED \"--no-ansi\" and \"--ansi\". Please use only \"--ansi\"");
		}
		c->ansi = "never";
		fprintf(stderr,
			"option '--no-ansi' is DEPRECATED ! Please use '--ansi' instead.\n");
	}
	if (a->workdir) {
		if (c->project_directory) {
			return err_set(e, ERR_INVALID,
				"cannot specify DEPRECATED \"--workdir\" and \"--project-directory\". Please use only \"--project-directory\" instead");
		}
		c->project_directory = a->workdir;
		fprintf(stderr,
			"option '--workdir' is DEPRECATED at root level! Please use '--project-directory' instead.\n");
	}
	return 0;
}

static int check_parallel(struct compose *c, const struct asked *a, struct err *e)
{
	const char *limit = getenv("COMPOSE_PARALLEL_LIMIT");
	c->parallel = a->parallel == INT64_MIN ? -1 : a->parallel;
	if (a->parallel == INT64_MIN && limit &&
		parse_i64(limit, INT32_MIN, INT32_MAX, &c->parallel) < 0) {
		return err_set(e, ERR_INVALID,
			"COMPOSE_PARALLEL_LIMIT must be an integer (found: \"%s\")", limit);
	}
	return 0;
}

static int apply(struct compose *c, const struct asked *a, struct err *e)
{
	take_list(&c->env_files, "COMPOSE_ENV_FILES");
	c->progress_mode = c->progress_mode ? c->progress_mode : getenv("COMPOSE_PROGRESS");
	take_env_files(c);
	if (c->compatibility) {
		setenv("COMPOSE_COMPATIBILITY", "true", 1);
	}
	if (check_older(c, a, e) < 0) {
		return -1;
	}
	c->ansi = c->ansi ? c->ansi : getenv("COMPOSE_ANSI");
	return check_progress(c, e) < 0 || check_parallel(c, a, e) < 0 ? -1 : 0;
}

int compose_options(struct compose *c, int *argc, char **argv, struct buf *ret_list)
{
	struct asked a = {.parallel = INT64_MIN};
	struct flag flags[N_OWN_FLAGS];
	const struct syntax s = {"compose", "[OPTIONS] COMMAND",
		"Define and run applications of several containers", 0, -1, true};
	struct err e;
	list_flags(c, &a, flags);
	flags_list(flags, flags_width(), ret_list);
	int status = flags_parse(&s, flags, argc, argv);
	if (status >= 0) {
		return status;
	}
	if (a.version) {
		static char word[] = "version";
		argv[1] = word; /* in the place of the flag */
		*argc = 2;
	} else if (a.help || *argc < 2) {
		*argc = 1;
		return -1;
	}
	return apply(c, &a, &e) < 0 ? cli_fail(&e) : -1;
}

int compose_flags(
	struct compose *c, const struct syntax *s, const struct flag *flags, int *argc, char **argv)
{
	size_t n = 0;
	while (flags[n].name) {
		n++;
	}
	scoped(free) struct flag *all = xnew_array(struct flag, n + 2);
	memcpy(all, flags, n * sizeof(*all));
	all[n] = (struct flag){
		"dry-run", 0, FLAG_BOOL, &c->dry_run, NULL, "Execute command in dry run mode"};
	return flags_parse(s, all, argc, argv);
}
