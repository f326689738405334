#include "compose/load.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "compose/loader.h"
#include "compose/merge.h"
#include "compose/schema.h"

char *project_normalise_name(const char *text)
{
	scoped(buf) struct buf name = BUF_INIT;
	for (; *text; text++) {
		char c = (char)tolower((unsigned char)*text);
		bool first = isdigit((unsigned char)c) || (c >= 'a' && c <= 'z');
		if (first || (name.len > 0 && (c == '-' || c == '_'))) {
			buf_putc(&name, c);
		}
	}
	return buf_take_str(&name);
}

static int given_name(struct loader *l, const char *given, const char *from, char **ret)
{
	char *normal = project_normalise_name(given);
	if (strcmp(normal, given) != 0) {
		free(normal);
		return err_set(l->e, ERR_INVALID,
			"invalid project name \"%s\" in %s: lower case letters, digits, '-' and '_' are expected, the first a letter or digit",
			given, from);
	}
	*ret = normal;
	return 0;
}

/* -p, COMPOSE_PROJECT_NAME, the last `name:`, the directory. */
static int choose_name(struct loader *l, const struct sources *s, char **ret)
{
	const char *variable = env_get(l->env, "COMPOSE_PROJECT_NAME");
	if (l->o->project_name && *l->o->project_name) {
		return given_name(l, l->o->project_name, "--project-name", ret);
	}
	if (variable && *variable) {
		return given_name(l, variable, "COMPOSE_PROJECT_NAME", ret);
	}
	scoped(free) char *found = NULL;
	scoped(free) char *place = NULL;
	for (size_t i = s->paths.n; !found && i-- > 0;) {
		found = document_name(l, s->paths.v[i], &place);
	}
	const char *slash = strrchr(s->dir, '/');
	scoped(free) char *normal = project_normalise_name(found && *found ? found
							   : slash         ? slash + 1
									   : s->dir);
	if (!*normal && found && *found) {
		return err_set(l->e, ERR_INVALID,
			"%s: name \"%s\": a letter or digit is expected in it", place, found);
	}
	if (!*normal) {
		return err_set(l->e, ERR_INVALID,
			"the project needs a name: give one with --project-name or `name:`");
	}
	*ret = TAKE(normal);
	return 0;
}

static struct words copy_paths(struct tree *t, const struct strv *paths, const char *cwd)
{
	struct words w = {.v = tree_new_array(t, const char *, paths->n + 1)};
	for (size_t i = 0; i < paths->n; i++) {
		scoped(free) char *full =
			strcmp(paths->v[i], "-") == 0 ? xstrdup("-") : path_join(cwd, paths->v[i]);
		w.v[w.n++] = tree_strdup(t, full);
	}
	return w;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct pair *)a)->name, ((const struct pair *)b)->name);
}

static struct pairs copy_environment(struct tree *t, const struct env *env)
{
	struct pairs p = {0};
	size_t pos = 0;
	size_t n = 0;
	const char *value;
	while (env_next(env, &pos, NULL)) {
		n++;
	}
	p.v = tree_new_array(t, struct pair, n + 1);
	pos = 0;
	for (const char *name; (name = env_next(env, &pos, &value));) {
		p.v[p.n++] = (struct pair){tree_strdup(t, name), tree_strdup(t, value)};
	}
	qsort(p.v, p.n, sizeof(*p.v), compare_names);
	return p;
}

static int load_all(struct loader *l, struct project *p)
{
	scoped(sources) struct sources s = {0};
	scoped(free) char *name = NULL;
	if (sources_find(l, &s) < 0 || choose_name(l, &s, &name) < 0) {
		return -1;
	}
	env_set(l->env, "COMPOSE_PROJECT_NAME", name);
	p->name = tree_strdup(l->t, name);
	p->working_dir = tree_strdup(l->t, s.dir);
	p->files = copy_paths(l->t, &s.paths, l->o->cwd);
	p->env_files = copy_paths(l->t, l->o->env_files, l->o->cwd);
	p->environment = copy_environment(l->t, l->env);
	for (size_t i = 0; i < s.paths.n; i++) {
		struct node *one = document_load(l, s.paths.v[i], s.dir, NULL);
		if (!one) {
			return -1;
		}
		p->root = merge_project(l->t, p->root, one);
	}
	merge_finish(p->root);
	merge_unique(l->t, p->root);
	if (!l->o->keep_variables && schema_finish(p->root, &rule_project, "", l->e) < 0) {
		return -1;
	}
	if (normalise(l, p) < 0) {
		return -1;
	}
	return l->o->keep_variables ? 0 : decode_project(l, p);
}

struct project *project_load(const struct load_options *o, struct err *e)
{
	scoped(project_free) struct project *p = xnew(struct project);
	scoped(env_free) struct env *env = env_new();
	scoped(strv) struct strv unset = STRV_INIT;
	env_add_list(env, o->environment);
	env_note_unset(env, &unset);
	p->tree = tree_new();
	if (o->keep_variables) {
		tree_keep_variables(p->tree);
	}
	struct loader l = {.o = o,
		.t = p->tree,
		.env = env,
		.warnings = &p->warnings,
		.unset = &unset,
		.e = e};
	int r = load_all(&l, p);
	for (size_t i = 0; i < unset.n; i++) {
		strv_addf(&p->warnings,
			"The \"%s\" variable is not set. Defaulting to a blank string.",
			unset.v[i]);
	}
	if (r < 0 && o->warnings) {
		strv_copy(o->warnings, &p->warnings);
	}
	return r == 0 ? TAKE(p) : NULL;
}

void project_free(struct project *p)
{
	if (p) {
		strv_deinit(&p->warnings);
		tree_free(p->tree);
		free(p);
	}
}

struct service *project_service(const struct project *p, const char *name)
{
	for (size_t i = 0; i < p->n_services; i++) {
		if (strcmp(p->services[i].name, name) == 0) {
			return &p->services[i];
		}
	}
	return NULL;
}

struct network *project_network(const struct project *p, const char *key)
{
	for (size_t i = 0; i < p->n_networks; i++) {
		if (strcmp(p->networks[i].key, key) == 0) {
			return &p->networks[i];
		}
	}
	return NULL;
}

struct volume *project_volume(const struct project *p, const char *key)
{
	for (size_t i = 0; i < p->n_volumes; i++) {
		if (strcmp(p->volumes[i].key, key) == 0) {
			return &p->volumes[i];
		}
	}
	return NULL;
}
