/* What is done about changed files: first rebuilds, then copies, then restarts, then commands, as
 * docker compose. Changes that come while this goes on are the next batch. */
#include "wherry/compose_watch.h"

#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/timestamp.h"
#include "wherry/compose_sync.h"
#include "wherry/compose_up.h"
#include "wherry/engine.h"
#include "wherry/watch_rules.h"
#include "wherry/watch_tree.h"

#define QUIET_MS 200  /* an editor writes several files */
#define BATCH_MS 3000 /* a program that never stops writing is not waited for */

struct compose_watch {
	struct compose *c;
	struct compose_watch_options o;
	struct watch_rules rules;
	struct watch_tree *tree;
};

/* What a batch of changes asks for; services and rules by index. */
struct todo {
	bool *rebuild, *restart, *exec; /* rebuild, restart: by service; exec: by rule */
	struct sync_file *files;
	const struct service **of; /* whose files[i] is */
	size_t n, cap;
};

static bool skip(void *owner, const char *dir)
{
	const struct compose_watch *w = owner;
	return watch_rules_skip(&w->rules, dir);
}

static int add_roots(struct compose_watch *w, struct err *e)
{
	for (size_t i = 0; i < w->rules.n; i++) {
		const struct watch_rule *rule = &w->rules.v[i];
		if (rule->bound) {
			scoped(free) char *text = xasprintf(
				"path '%s' also declared by a bind mount volume, this path won't be monitored!",
				rule->watch->path);
			compose_warn(text);
		} else if (watch_tree_add(w->tree, rule->watch->path, e) < 0) {
			return -1;
		}
	}
	return 0;
}

struct compose_watch *compose_watch_new(struct compose *c, const struct compose_watch_options *o,
	const bool *selected, struct err *e)
{
	struct compose_watch *w = xnew(struct compose_watch);
	w->c = c;
	w->o = *o;
	if (watch_rules_init(&w->rules, c->project, selected, e) < 0 ||
		!(w->tree = watch_tree_new(skip, w, e)) || add_roots(w, e) < 0) {
		compose_watch_free(w);
		return NULL;
	}
	return w;
}

void compose_watch_free(struct compose_watch *w)
{
	if (w) {
		watch_tree_free(w->tree);
		watch_rules_deinit(&w->rules);
		free(w);
	}
}

int compose_watch_fd(const struct compose_watch *w)
{
	return watch_tree_fd(w->tree);
}

static void say(struct compose_watch *w, char *take_text)
{
	w->o.say(w->o.owner, take_text);
	free(take_text);
}

static void busy(struct compose_watch *w, bool begins)
{
	if (w->o.busy) {
		w->o.busy(w->o.owner, begins);
	}
}

/* ---- from paths to deeds ---- */

static void todo_init(struct todo *t, const struct compose_watch *w)
{
	size_t services = w->c->project->n_services + 1;
	*t = (struct todo){.rebuild = xnew_array(bool, services),
		.restart = xnew_array(bool, services),
		.exec = xnew_array(bool, w->rules.n + 1)};
}

static void todo_deinit(struct todo *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free((char *)t->files[i].target);
	}
	free(t->rebuild);
	free(t->restart);
	free(t->exec);
	free(t->files);
	free(t->of);
}

static void add_file(struct todo *t, const struct service *s, const char *path, char *take_target)
{
	for (size_t i = 0; i < t->n; i++) { /* two rules may mean the same */
		if (t->of[i] == s && strcmp(t->files[i].path, path) == 0 &&
			strcmp(t->files[i].target, take_target) == 0) {
			free(take_target);
			return;
		}
	}
	if (t->n == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->files = xrealloc(t->files, t->cap, sizeof(*t->files));
		t->of = xrealloc(t->of, t->cap, sizeof(void *));
	}
	t->files[t->n] = (struct sync_file){path, take_target};
	t->of[t->n++] = s;
}

static void judge(const struct compose_watch *w, const char *path, struct todo *t)
{
	for (size_t i = 0; i < w->rules.n; i++) {
		const struct watch_rule *rule = &w->rules.v[i];
		size_t service = (size_t)(rule->service - w->c->project->services);
		enum watch_action action = rule->watch->action;
		char *target;
		if (!watch_rule_match(rule, path, &target)) {
			continue;
		}
		t->rebuild[service] |= action == WATCH_REBUILD;
		t->restart[service] |= action == WATCH_RESTART || action == WATCH_SYNC_RESTART;
		t->exec[i] |= action == WATCH_SYNC_EXEC;
		if (watch_rule_syncs(rule)) {
			add_file(t, rule->service, path, target);
		} else {
			free(target);
		}
	}
}

/* ["a" "b"] as Go prints a list of quoted words. */
static char *names_text(const struct strv *names)
{
	scoped(buf) struct buf text = BUF_INIT;
	for (size_t i = 0; i < names->n; i++) {
		buf_printf(&text, "%s\"%s\"", i ? " " : "[", names->v[i]);
	}
	return xasprintf("%s]", buf_str(&text));
}

static void names_of(const struct compose_watch *w, const bool *marks, struct strv *ret)
{
	for (size_t i = 0; i < w->c->project->n_services; i++) {
		if (marks[i]) {
			strv_add(ret, w->c->project->services[i].name);
		}
	}
}

/* ---- rebuild ---- */

/* The image that lost its name, unless somebody still uses it. */
static void prune(struct compose_watch *w, const char *old_id)
{
	struct err ignored;
	scoped(json) json_t *image = NULL;
	if (engine_on(w->c->cli, "GET", "/images/", old_id, "/json", &image, &ignored) == 0 &&
		json_array_size(json_object_get(image, "RepoTags")) == 0) {
		engine_on(w->c->cli, "DELETE", "/images/", old_id, "", NULL, &ignored);
	}
}

static int build(struct compose_watch *w, const bool *marks, struct err *e)
{
	const struct project *p = w->c->project;
	scoped(free) const struct service **list =
		xnew_array(const struct service *, p->n_services + 1);
	const struct compose_build_options o = {.to_run = true, .quiet = w->o.quiet};
	size_t n = 0;
	for (size_t i = 0; i < p->n_services; i++) {
		if (marks[i]) {
			list[n++] = &p->services[i];
		}
	}
	return compose_build_services(w->c, list, n, &o, e);
}

/* Only these services, whatever depends on them. */
static int replace(struct compose_watch *w, const struct strv *names)
{
	struct up u = {.timeout = -1, .detach = true, .no_build = true};
	struct compose own = *w->c;
	u.plan.force_recreate = true;
	u.plan.no_deps = true;
	own.services = *names;
	own.progress = NULL;
	own.progress_mode = "quiet";
	busy(w, true);
	int status = up_run(&own, &u);
	busy(w, false);
	compose_progress_free(own.progress);
	up_deinit(&u);
	return status == 0 ? 0 : -1;
}

static int rebuild(struct compose_watch *w, const bool *marks, struct err *e)
{
	const struct project *p = w->c->project;
	scoped(strv) struct strv names = STRV_INIT;
	scoped(strv) struct strv old = STRV_INIT;
	names_of(w, marks, &names);
	if (names.n == 0) {
		return 0;
	}
	scoped(free) char *list = names_text(&names);
	say(w, xasprintf("Rebuilding service(s) %s after changes were detected...", list));
	for (size_t i = 0; i < p->n_services; i++) {
		scoped(free) char *id = NULL;
		if (marks[i] && compose_image_find(w->c, p->services[i].image, &id, e) > 0) {
			strv_add(&old, id);
		}
	}
	if (build(w, marks, e) < 0) {
		say(w, xasprintf("Build failed. Error: %s", e->msg));
		return -1;
	}
	say(w, xasprintf("service(s) %s successfully built", list));
	if (replace(w, &names) < 0) {
		return err_set(e, ERR_SYSTEM, "failed to recreate services after update");
	}
	for (size_t i = 0; w->o.prune && i < old.n; i++) {
		prune(w, old.v[i]);
	}
	return 0;
}

/* ---- sync, restart, exec ---- */

static int sync_services(struct compose_watch *w, const struct todo *t, bool tell, struct err *e)
{
	const struct project *p = w->c->project;
	scoped(free) struct sync_file *files = xnew_array(struct sync_file, t->n + 1);
	for (size_t i = 0; i < p->n_services; i++) {
		size_t n = 0;
		for (size_t k = 0; k < t->n; k++) {
			if (t->of[k] == &p->services[i]) {
				files[n++] = t->files[k];
			}
		}
		if (n == 0) {
			continue;
		}
		if (tell) {
			say(w, xasprintf("Syncing service \"%s\" after %zu changes were detected",
				       p->services[i].name, n));
		}
		if (compose_sync(w->c, p->name, p->services[i].name, files, n, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int restart(struct compose_watch *w, const bool *marks, struct err *e)
{
	scoped(strv) struct strv names = STRV_INIT;
	struct compose own = *w->c;
	names_of(w, marks, &names);
	if (names.n == 0) {
		return 0;
	}
	own.services = names;
	own.progress = NULL;
	busy(w, true);
	int r = compose_restart_services(&own, w->c->project->name, -1, false, e);
	busy(w, false);
	if (r == 0) {
		scoped(free) char *list = names_text(&names);
		say(w, xasprintf("service(s) %s restarted", list));
	}
	return r;
}

static void add_option(struct strv *argv, const char *flag, const char *value)
{
	if (value && *value) {
		strv_add(argv, flag);
		strv_add(argv, value);
	}
}

static void exec_in(struct compose_watch *w, const struct hook *h, const char *id)
{
	scoped(strv) struct strv argv = STRV_INIT;
	strv_add(&argv, "exec");
	add_option(&argv, "--user", h->user);
	add_option(&argv, "--workdir", h->working_dir);
	if (h->privileged) {
		strv_add(&argv, "--privileged");
	}
	for (size_t i = 0; i < h->environment.n; i++) {
		const struct pair *p = &h->environment.v[i];
		scoped(free) char *text = p->value ? xasprintf("%s=%s", p->name, p->value) : NULL;
		add_option(&argv, "--env", text ? text : p->name);
	}
	strv_add(&argv, id);
	for (size_t i = 0; i < h->command.n; i++) {
		strv_add(&argv, h->command.v[i]);
	}
	scoped(free) char **copy = xnew_array(char *, argv.n + 1);
	memcpy(copy, argv.v, argv.n * sizeof(*copy));
	int status = command_exec(w->c->cli, (int)argv.n, copy);
	if (status != 0) {
		say(w, xasprintf("%s: exit status %d", h->command.v[0], status));
	}
}

static int exec_all(struct compose_watch *w, const bool *marks, struct err *e)
{
	for (size_t i = 0; i < w->rules.n; i++) {
		scoped(compose_state) struct compose_state s = {0};
		if (!marks[i]) {
			continue;
		}
		if (compose_state_fetch(w->c, w->c->project->name, &s, e) < 0) {
			return -1;
		}
		for (size_t k = 0; k < s.s.n_containers; k++) {
			const struct state_container *c = &s.s.containers[k];
			if (!c->one_off && compose_is_running(c) &&
				strcmp(c->service, w->rules.v[i].service->name) == 0) {
				exec_in(w, &w->rules.v[i].watch->exec, c->id);
			}
		}
	}
	return 0;
}

static int act(struct compose_watch *w, const struct todo *t, struct err *e)
{
	return rebuild(w, t->rebuild, e) < 0 || sync_services(w, t, true, e) < 0 ||
			       restart(w, t->restart, e) < 0 || exec_all(w, t->exec, e) < 0
		       ? -1
		       : 0;
}

/* ---- the batch ---- */

static int list_all(struct compose_watch *w, struct strv *ret, struct err *e)
{
	for (size_t i = 0; i < w->rules.n; i++) {
		if (!w->rules.v[i].bound &&
			watch_tree_list(w->rules.v[i].watch->path, skip, w, ret, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int collect(struct compose_watch *w, struct strv *ret, struct err *e)
{
	struct pollfd fd = {.fd = watch_tree_fd(w->tree), .events = POLLIN};
	int64_t end = clock_mono_ms() + BATCH_MS;
	bool all = false;
	do {
		if (watch_tree_read(w->tree, ret, &all, e) < 0) {
			return -1;
		}
	} while (poll(&fd, 1, QUIET_MS) > 0 && clock_mono_ms() < end);
	return all ? list_all(w, ret, e) : 0;
}

int compose_watch_step(struct compose_watch *w, struct err *e)
{
	scoped(strv) struct strv paths = STRV_INIT;
	struct todo t;
	if (collect(w, &paths, e) < 0) {
		return -1;
	}
	strv_sort(&paths); /* a directory before what is in it */
	todo_init(&t, w);
	for (size_t i = 0; i < paths.n; i++) {
		if (i == 0 || strcmp(paths.v[i], paths.v[i - 1]) != 0) {
			judge(w, paths.v[i], &t);
		}
	}
	struct err failure;
	if (act(w, &t, &failure) < 0) {
		scoped(free) char *text =
			xasprintf("Error handling changed files: %s", failure.msg);
		compose_warn(text);
	}
	todo_deinit(&t);
	return 0;
}

/* ---- initial_sync ---- */

/* When the image of the service's containers was made. */
static int image_time(
	struct compose_watch *w, const struct service *s, int64_t *ret_ns, struct err *e)
{
	scoped(compose_state) struct compose_state state = {0};
	scoped(json) json_t *image = NULL;
	if (compose_state_fetch(w->c, w->c->project->name, &state, e) < 0) {
		return -1;
	}
	const struct state_container *k = compose_container(&state, s->name, 0);
	if (!k) {
		return err_set(e, ERR_NOT_FOUND, "could not get created time for service's image");
	}
	if (engine_on(w->c->cli, "GET", "/images/", k->image_id, "/json", &image, e) < 0) {
		return -1;
	}
	if (timestamp_parse(json_str(image, "Created"), clock_real_ns(), ret_ns) < 0) {
		*ret_ns = 0;
	}
	return 0;
}

static bool is_newer(const char *path, int64_t ns)
{
	struct stat st;
	return lstat(path, &st) == 0 && !S_ISDIR(st.st_mode) &&
	       st.st_mtim.tv_sec * NS_PER_SEC + st.st_mtim.tv_nsec >= ns;
}

static int add_newer(struct compose_watch *w, const struct watch_rule *rule, struct strv *paths,
	struct todo *t, struct err *e)
{
	int64_t made_ns;
	size_t begin = paths->n;
	if (image_time(w, rule->service, &made_ns, e) < 0 ||
		watch_tree_list(rule->watch->path, skip, w, paths, e) < 0) {
		return -1;
	}
	for (size_t i = begin; i < paths->n; i++) {
		char *target;
		if (is_newer(paths->v[i], made_ns) &&
			watch_rule_match(rule, paths->v[i], &target)) {
			add_file(t, rule->service, paths->v[i], target);
		}
	}
	return 0;
}

int compose_watch_begin(struct compose_watch *w, struct err *e)
{
	scoped(strv) struct strv paths = STRV_INIT;
	struct todo t;
	int r = 0;
	todo_init(&t, w);
	for (size_t i = 0; r == 0 && i < w->rules.n; i++) {
		const struct watch_rule *rule = &w->rules.v[i];
		if (rule->watch->initial_sync && watch_rule_syncs(rule) && !rule->bound) {
			r = add_newer(w, rule, &paths, &t, e);
		}
	}
	r = r == 0 ? sync_services(w, &t, false, e) : r;
	todo_deinit(&t);
	return r;
}
