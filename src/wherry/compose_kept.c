/* Projects that the engine keeps (doc/own-api.md), for commands that are given a name and no file.
 * An engine that is not ours has none: nothing is said then. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "compose/emit.h"
#include "wherry/compose.h"
#include "wherry/engine.h"

#define PROJECTS "/wherry/v1/projects"

extern char **environ;

bool compose_engine_is_own(struct compose *c)
{
	struct err e;
	scoped(json) json_t *list = NULL;
	return engine_json(c->cli, "GET", PROJECTS, NULL, &list, &e) == 0 && json_is_array(list);
}

static json_t *words_json(const struct words *w)
{
	json_t *list = json_array();
	for (size_t i = 0; i < w->n; i++) {
		json_array_append_new(list, json_string(w->v[i]));
	}
	return list;
}

void compose_keep(struct compose *c)
{
	struct err e = {0};
	const struct project *p = c->project;
	scoped(buf) struct buf text = BUF_INIT;
	scoped(buf) struct buf path = BUF_INIT;
	emit_json(p->root, false, &text);
	scoped(json) json_t *config = json_parse(buf_str(&text), text.len, "the project", &e);
	scoped(json) json_t *doc =
		json_pack("{ss sO? ss so so so}", "name", p->name, "config", config, "working_dir",
			p->working_dir, "config_files", words_json(&p->files), "environment_files",
			words_json(&p->env_files), "profiles", json_strv(&c->profiles));
	path_add(&path, PROJECTS "/", p->name, "");
	if (c->dry_run || !config ||
		engine_json(c->cli, "PUT", buf_str(&path), doc, NULL, &e) == 0 ||
		e.kind == ERR_NOT_FOUND) {
		return;
	}
	scoped(free) char *warning = xasprintf("the project is not kept in the engine: %s", e.msg);
	compose_warn(warning);
}

void compose_forget(struct compose *c, const char *name)
{
	struct err ignored; /* there may be none */
	if (!c->dry_run) {
		(void)engine_on(c->cli, "DELETE", PROJECTS "/", name, "", NULL, &ignored);
	}
}

json_t *compose_kept_list(struct compose *c)
{
	struct err e;
	json_t *list = NULL;
	return engine_json(c->cli, "GET", PROJECTS, NULL, &list, &e) == 0 && json_is_array(list)
		       ? list
		       : json_array();
}

static struct words read_words(struct tree *t, const json_t *doc, const char *key)
{
	size_t i;
	json_t *word;
	const json_t *list = json_object_get(doc, key);
	struct words w = {.v = tree_new_array(t, const char *, json_array_size(list) + 1)};
	json_array_foreach (list, i, word) {
		w.v[w.n++] = tree_strdup(t, json_string_value(word));
	}
	return w;
}

/* Everything that is read is the kept document: it has no files beside it. */
struct kept_text {
	const char *path, *text;
};

static int read_kept(void *owner, const char *path, size_t limit, struct buf *ret)
{
	const struct kept_text *k = owner;
	return strcmp(path, k->path) == 0
		       ? (buf_append_limited(ret, k->text, strlen(k->text), limit) < 0 ? -EFBIG : 0)
		       : -ENOENT;
}

static struct project *load(struct compose *c, const char *name, const json_t *doc, struct err *e)
{
	scoped(strv) struct strv files = STRV_INIT;
	scoped(strv) struct strv none = STRV_INIT;
	scoped(strv) struct strv profiles = STRV_INIT;
	scoped(free) char *text = json_text(json_object_get(doc, "config"));
	const char *dir = json_str(doc, "working_dir");
	strv_addf(&files, "/kept project %s", name); /* as errors name it */
	if (json_get_strv(doc, "profiles", &profiles, e) < 0) {
		return NULL;
	}
	for (size_t i = 0; i < c->profiles.n; i++) {
		strv_add(&profiles, c->profiles.v[i]);
	}
	struct kept_text kept = {files.v[0], text};
	const struct load_options o = {.files = &files,
		.env_files = &none,
		.profiles = &profiles,
		.services = &c->services,
		.project_name = name,
		.project_directory = *dir == '/' ? dir : "/",
		.cwd = "/",
		.environment = environ,
		.read = read_kept,
		.owner = &kept};
	struct project *p = project_load(&o, e);
	if (p) {
		p->files = read_words(p->tree, doc, "config_files");
		p->env_files = read_words(p->tree, doc, "environment_files");
	}
	return p;
}

json_t *compose_kept_get(struct compose *c, const char *name, struct err *e)
{
	json_t *doc = NULL;
	scoped(buf) struct buf path = BUF_INIT;
	path_add(&path, PROJECTS "/", name, "");
	return engine_json(c->cli, "GET", buf_str(&path), NULL, &doc, e) == 0 ? doc : NULL;
}

int compose_load_kept(struct compose *c, struct err *e)
{
	struct err mine;
	const char *variable = getenv("COMPOSE_PROJECT_NAME");
	const char *name = c->project_name ? c->project_name : variable;
	if (c->files.n > 0 || !name || !*name) {
		return -1;
	}
	scoped(json) json_t *doc = compose_kept_get(c, name, &mine);
	if (!doc) {
		return -1; /* what failed before is what is to be said */
	}
	c->project = load(c, name, doc, &mine);
	/* a variable may be missing now: who needs no more than the name goes on */
	return c->project ? 0 : err_set(e, ERR_NOT_FOUND, "%s", mine.msg);
}

const char *compose_socket(const struct compose *c)
{
	static const char scheme[] = "unix://";
	const char *host = c->cli->host;
	return host && strncmp(host, scheme, strlen(scheme)) == 0 ? host + strlen(scheme) : NULL;
}
