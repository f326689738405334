/* Builds go through `wherry build`, so that both treat context, .dockerignore and Dockerfile alike.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "wherry/compose.h"
#include "wherry/flags.h"

static void add_option(struct strv *argv, const char *flag, const char *value)
{
	if (value && *value) {
		strv_add(argv, flag);
		strv_add(argv, value);
	}
}

static void add_pairs(struct strv *argv, const char *flag, const struct pairs *pairs)
{
	for (size_t i = 0; i < pairs->n; i++) {
		if (pairs->v[i].value) {
			scoped(free) char *text =
				xasprintf("%s=%s", pairs->v[i].name, pairs->v[i].value);
			add_option(argv, flag, text);
		}
	}
}

static void add_words(struct strv *argv, const char *flag, const struct words *words)
{
	for (size_t i = 0; i < words->n; i++) {
		add_option(argv, flag, words->v[i]);
	}
}

/* A file of our own with the inline Dockerfile; its name is the caller's to remove and free. NULL
 * with *e. */
static char *write_inline(const char *text, struct err *e)
{
	const char *dir = getenv("TMPDIR");
	scoped(free) char *path =
		xasprintf("%s/wherry-dockerfile-XXXXXX", dir && *dir ? dir : "/tmp");
	scoped(close) int fd = mkstemp(path);
	if (fd < 0) {
		err_sys(e, errno, "cannot write the inline Dockerfile to %s", path);
		return NULL;
	}
	int r = path_write_all(fd, text, strlen(text));
	if (r < 0) {
		unlink(path);
		err_sys(e, -r, "cannot write %s", path);
		return NULL;
	}
	return TAKE(path);
}

static void add_service_options(
	struct strv *argv, const struct service *s, const struct compose_build_options *o)
{
	const struct build *b = s->build;
	add_option(argv, "-t", s->image);
	add_words(argv, "-t", &b->tags);
	add_option(argv, "--target", b->target);
	add_option(argv, "--network", b->network);
	add_option(argv, "--platform",
		s->platform          ? s->platform
		: b->platforms.n > 0 ? b->platforms.v[0]
				     : NULL);
	add_pairs(argv, "--build-arg", &b->args);
	for (size_t i = 0; o->args && i < o->args->n; i++) {
		add_option(argv, "--build-arg", o->args->v[i]);
	}
	add_pairs(argv, "--label", &b->labels);
	add_words(argv, "--add-host", &b->extra_hosts);
	if (b->shm_size_bytes != UNSET) {
		scoped(free) char *size = xasprintf("%lld", (long long)b->shm_size_bytes);
		add_option(argv, "--shm-size", size);
	}
	if (o->no_cache || b->no_cache) {
		strv_add(argv, "--no-cache");
	}
	if (o->pull || b->pull) {
		strv_add(argv, "--pull");
	}
	if (o->quiet) {
		strv_add(argv, "-q");
	}
}

static int run_build(struct compose *c, const struct service *s,
	const struct compose_build_options *o, const char *dockerfile)
{
	scoped(strv) struct strv argv = STRV_INIT;
	scoped(free) char *joined = NULL;
	strv_add(&argv, "build");
	add_service_options(&argv, s, o);
	if (dockerfile && *dockerfile != '/') {
		joined = path_join(s->build->context, dockerfile);
	}
	add_option(&argv, "-f", joined ? joined : dockerfile);
	strv_add(&argv, s->build->context);
	/* the command takes words out of the list that it is given: the list keeps its own pointers
	 * for freeing */
	scoped(free) char **words = xnew_array(char *, argv.n + 1);
	memcpy(words, argv.v, argv.n * sizeof(*words));
	return command_build(c->cli, (int)argv.n, words);
}

int compose_build_service(struct compose *c, const struct service *s,
	const struct compose_build_options *o, struct err *e)
{
	scoped(free) char *inline_path = NULL;
	if (s->build->dockerfile_inline) {
		inline_path = write_inline(s->build->dockerfile_inline, e);
		if (!inline_path) {
			return -1;
		}
	}
	compose_progress_say(c->progress, "Service", s->name, "Building");
	compose_progress_leave(c->progress);
	int status = run_build(c, s, o, inline_path ? inline_path : s->build->dockerfile);
	if (inline_path) {
		unlink(inline_path);
	}
	compose_progress_say(c->progress, "Service", s->name, status == 0 ? "Built" : "Error");
	return status == 0 ? 0 : err_set(e, ERR_SYSTEM, "failed to build service %s", s->name);
}

int compose_build(struct compose *c, int argc, char **argv)
{
	struct compose_build_options o = {0};
	struct strv args = STRV_INIT;
	bool with_dependencies = false;
	const struct flag flags[] = {
		{"build-arg", 0, FLAG_LIST, &args, NULL, "Set build-time variables for services"},
		{"no-cache", 0, FLAG_BOOL, &o.no_cache, NULL,
			"Do not use cache when building the image"},
		{"pull", 0, FLAG_BOOL, &o.pull, NULL,
			"Always attempt to pull a newer version of the image"},
		{"quiet", 'q', FLAG_BOOL, &o.quiet, NULL, "Don't print anything to STDOUT"},
		{"with-dependencies", 0, FLAG_BOOL, &with_dependencies, NULL,
			"Also build dependencies (transitively)"},
		{0},
	};
	const struct syntax s = {"compose build", "[OPTIONS] [SERVICE...]",
		"Build or rebuild services", 0, -1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		strv_deinit(&args);
		return status;
	}
	struct err e;
	o.args = &args;
	status = 0;
	bool *selected = NULL;
	if (compose_load(c, argv + 1, argc - 1, &e) < 0) {
		status = cli_fail(&e);
	} else {
		selected = xnew_array(bool, c->project->n_services + 1);
		if (plan_select(c->project, &c->services, !with_dependencies, selected, &e) < 0) {
			status = cli_fail(&e);
		}
	}
	c->progress = compose_progress_new("plain", c->ansi, "Building");
	for (size_t i = 0; selected && status == 0 && i < c->project->n_services; i++) {
		const struct service *service = &c->project->services[i];
		if (selected[i] && service->build &&
			compose_build_service(c, service, &o, &e) < 0) {
			status = cli_fail(&e);
		}
	}
	free(selected);
	strv_deinit(&args);
	return status;
}
