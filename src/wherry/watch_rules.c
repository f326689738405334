#include "wherry/watch_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "build/ignore.h"
#include "wherry/build_url.h"
#include "wherry/watch_tree.h"

/* What JetBrains' editors, emacs, vim, kate and go put beside a file and take away again, and git's
 * own files (docker compose pkg/watch/ephemeral.go). */
static const char editor_files[] = "**/*___jb_old___\n**/*___jb_tmp___\n**/.idea/**\n"
				   "**/.#*\n**/#*#\n"
				   "**/4913\n**/*~\n**/.*.swp\n**/.*.swx\n**/.*.swo\n**/.*.swn\n"
				   "**/.*.kate-swp\n**/*-go-tmp-umask\n**/.git\n";

bool watch_rule_syncs(const struct watch_rule *rule)
{
	enum watch_action a = rule->watch->action;
	return a == WATCH_SYNC || a == WATCH_SYNC_RESTART || a == WATCH_SYNC_EXEC;
}

static int parse_words(const struct words *w, struct ignore **ret, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (w->n == 0) {
		return 0;
	}
	for (size_t i = 0; i < w->n; i++) {
		buf_printf(&text, "%s\n", w->v[i]);
	}
	*ret = ignore_parse(buf_str(&text), text.len, "develop.watch", e);
	return *ret ? 0 : -1;
}

/* DOCKERFILE.dockerignore, else .dockerignore. "*" in it, with exceptions for what a build needs,
 * would hide sources from the watch: then it counts for nothing, as with docker compose. */
static int read_dockerignore(const struct build *b, struct ignore **ret, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (!b || !b->context || build_url_is_remote(b->context)) {
		return 0;
	}
	scoped(free) char *own =
		xasprintf("%s.dockerignore", b->dockerfile ? b->dockerfile : "Dockerfile");
	scoped(free) char *first = path_join(b->context, own);
	scoped(free) char *second = path_join(b->context, ".dockerignore");
	const char *path = first;
	int r = path_read(AT_FDCWD, path, IGNORE_TEXT_MAX, &text);
	if (r == -ENOENT) {
		path = second;
		r = path_read(AT_FDCWD, path, IGNORE_TEXT_MAX, &text);
	}
	if (r < 0) {
		return r == -ENOENT ? 0 : err_sys(e, -r, "error reading .dockerignore");
	}
	struct ignore *g = ignore_parse(buf_str(&text), text.len, path, e);
	if (g && ignore_hides_all(g)) {
		ignore_free(g);
		return 0;
	}
	*ret = g;
	return g ? 0 : -1;
}

static bool is_bound(const struct service *s, const char *path)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		if (s->mounts[i].type == MOUNT_BIND && s->mounts[i].source &&
			watch_below(s->mounts[i].source, path)) {
			return true;
		}
	}
	return false;
}

static int add_rule(
	struct watch_rules *r, const struct service *s, const struct watch *w, struct err *e)
{
	struct watch_rule *rule = &r->v[r->n++];
	*rule = (struct watch_rule){.service = s, .watch = w};
	if (w->action == WATCH_REBUILD && !s->build) {
		return err_set(e, ERR_INVALID,
			"can't watch service \"%s\" with action rebuild without a build context",
			s->name);
	}
	if (w->action == WATCH_SYNC_EXEC && w->exec.command.n == 0) {
		return err_set(e, ERR_INVALID,
			"can't watch with action \"sync+exec\" on service %s without a command",
			s->name);
	}
	if (watch_rule_syncs(rule) && !w->target) {
		return err_set(e, ERR_INVALID, "service \"%s\": develop.watch of %s needs a target",
			s->name, w->path);
	}
	rule->bound = watch_rule_syncs(rule) && is_bound(s, w->path);
	rule->editors = ignore_parse(editor_files, sizeof(editor_files) - 1, "editors", e);
	return !rule->editors || parse_words(&w->include, &rule->include, e) < 0 ||
			       parse_words(&w->ignore, &rule->ignored, e) < 0 ||
			       read_dockerignore(s->build, &rule->context, e) < 0
		       ? -1
		       : 0;
}

int watch_rules_init(
	struct watch_rules *r, const struct project *p, const bool *selected, struct err *e)
{
	size_t n = 0;
	for (size_t i = 0; i < p->n_services; i++) {
		n += selected[i] ? p->services[i].n_watches : 0;
	}
	*r = (struct watch_rules){.v = xnew_array(struct watch_rule, n + 1)};
	for (size_t i = 0; i < p->n_services; i++) {
		const struct service *s = &p->services[i];
		for (size_t k = 0; selected[i] && k < s->n_watches; k++) {
			if (add_rule(r, s, &s->watches[k], e) < 0) {
				watch_rules_deinit(r);
				return -1;
			}
		}
	}
	if (n == 0) {
		watch_rules_deinit(r);
		return err_set(e, ERR_INVALID,
			"none of the selected services is configured for watch, consider setting a 'develop' section");
	}
	return 0;
}

void watch_rules_deinit(struct watch_rules *r)
{
	for (size_t i = 0; i < r->n; i++) {
		ignore_free(r->v[i].include);
		ignore_free(r->v[i].ignored);
		ignore_free(r->v[i].context);
		ignore_free(r->v[i].editors);
	}
	free(r->v);
	*r = (struct watch_rules){0};
}

static bool is_ignored(const struct watch_rule *rule, const char *path, const char *below)
{
	const struct build *b = rule->service->build;
	const char *in_context = rule->context ? watch_below(b->context, path) : NULL;
	return (*below && ignore_match(rule->ignored, below)) ||
	       (in_context && *in_context && ignore_match(rule->context, in_context)) ||
	       ignore_match(rule->editors, path + 1);
}

bool watch_rule_match(const struct watch_rule *rule, const char *path, char **ret_target)
{
	const struct watch *w = rule->watch;
	const char *below = watch_below(w->path, path);
	*ret_target = NULL;
	if (!below || rule->bound || is_ignored(rule, path, below) ||
		(rule->include && *below && !ignore_match(rule->include, below))) {
		return false;
	}
	if (w->target) {
		*ret_target = *below ? path_join(w->target, below) : xstrdup(w->target);
	}
	return true;
}

bool watch_rules_skip(const struct watch_rules *r, const char *dir)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct watch_rule *rule = &r->v[i];
		const char *below = watch_below(rule->watch->path, dir);
		bool takes_back = (rule->ignored && ignore_keeps_some(rule->ignored)) ||
				  (rule->context && ignore_keeps_some(rule->context));
		if (watch_below(dir, rule->watch->path) ||
			(below && !rule->bound && (takes_back || !is_ignored(rule, dir, below)))) {
			return false;
		}
	}
	return true;
}
