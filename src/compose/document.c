/* One file: parse, interpolate, check, canonical form, extends, include. */
#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "compose/canonical.h"
#include "compose/cycle.h"
#include "compose/interpolate.h"
#include "compose/loader.h"
#include "compose/merge.h"
#include "compose/schema.h"
#include "compose/yaml.h"

/* A file that services are extended from, or the one at hand. */
struct source {
	struct loader *l;
	struct node *root;
	const char *path; /* absolute; "-" */
	const char *dir;
};

/* Where a chain of extends has been, on the stack. */
struct trail {
	const struct trail *before;
	const char *path, *service;
	int length;
	struct way way;
};

/* A file that is being loaded, below the one that includes it. */
struct open_file {
	const struct open_file *before;
	const char *path; /* absolute; "-" */
	struct way way;
};

static int extend_service(const struct source *s, struct member *service,
	const struct trail *before, const struct node *at);

static const char *lookup(void *owner, const char *name)
{
	const struct loader *l = owner;
	return env_get(l->env, name);
}

static int interpolate_node(struct loader *l, struct node *n)
{
	struct variables vars = {.lookup = lookup, .owner = l, .unset = l->unset};
	if (n->kind == NODE_STR && strchr(n->text, '$')) {
		scoped(buf) struct buf text = BUF_INIT;
		struct err inner;
		if (interpolate(n->text, &vars, &text, &inner) < 0) {
			return node_err(l->e, n, "%s", inner.msg);
		}
		n->text = tree_strdup(l->t, buf_str(&text));
		return tree_check(l->t, n, 0, l->e);
	}
	for (size_t i = 0; i < n->n; i++) {
		if (interpolate_node(l, n->members[i].value) < 0) {
			return -1;
		}
	}
	return 0;
}

static void warn_of_external_names(struct loader *l, const struct node *root)
{
	static const char *const sections[] = {"networks", "volumes", "configs", "secrets"};
	for (size_t i = 0; i < 4; i++) {
		node_each (m, node_get(root, sections[i])) {
			const struct node *external = node_get(m->value, "external");
			if (node_get(external, "name")) {
				strv_addf(l->warnings,
					"%s:%d:%d: %s.%s: external.name is deprecated. Please set name and external: true",
					root->file, external->line, external->column, sections[i],
					m->key);
			}
		}
	}
}

static int check_version(struct loader *l, struct node *root)
{
	struct member *version = node_member(root, "version");
	if (version) {
		strv_addf(l->warnings,
			"%s:%d:%d: the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion",
			root->file, version->line, version->column);
		node_remove(root, "version");
	}
	return 0;
}

/* One YAML document of a file to its canonical form, before extends and include. */
static int prepare(struct loader *l, struct node *root)
{
	if (root->kind != NODE_MAP) {
		return node_err(l->e, root, "the file must be a mapping with services, not %s",
			node_kind_word(root->kind));
	}
	if (!l->o->keep_variables && interpolate_node(l, root) < 0) {
		return -1;
	}
	check_version(l, root);
	if (schema_check(l->t, root, &rule_project, "", l->warnings, l->e) < 0) {
		return -1;
	}
	warn_of_external_names(l, root);
	return canonical_project(l->t, root, l->e);
}

/* The documents of a file merged to one, canonical. path: as errors name it. */
static struct node *read_documents(
	struct loader *l, const char *path, const char *full, const struct node *at)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (load_read(l, full, path, at, &text) < 0) {
		return NULL;
	}
	struct node *docs = yaml_parse(l->t, path, buf_str(&text), text.len, l->e);
	struct node *root = NULL;
	for (size_t i = 0; docs && i < docs->n; i++) {
		struct node *doc = docs->members[i].value;
		if (doc->kind == NODE_NULL && docs->n > 1) {
			continue;
		}
		if (prepare(l, doc) < 0) {
			return NULL;
		}
		root = merge_project(l->t, root, doc);
	}
	if (docs && !root) {
		node_err_(l->e, docs, "the file is empty: a mapping with services is expected");
	}
	return root;
}

/* The service that `extends` in another file names, ready to copy. */
static struct node *base_of_file(const struct source *s, const char *file,
	const struct node *extends, const char *name, const struct trail *trail)
{
	struct loader *l = s->l;
	scoped(free) char *full = path_join(s->dir, file);
	char *slash = strrchr(full, '/');
	scoped(free) char *dir =
		slash == full ? xstrdup("/") : xstrndup(full, (size_t)(slash - full));
	const struct node *at = node_get(extends, "file");
	struct node *root = read_documents(l, full, full, at);
	if (!root) {
		return NULL;
	}
	struct member *base = node_member(node_get(root, "services"), name);
	if (!base) {
		node_err_(l->e, node_get(extends, "service"), "service \"%s\" is not in %s", name,
			full);
		return NULL;
	}
	const struct source there = {l, root, full, dir};
	if (extend_service(&there, base, trail, at) < 0) {
		return NULL;
	}
	absolute_service(l, base->value, dir);
	return base->value;
}

static struct node *find_base(
	const struct source *s, const struct node *extends, const struct trail *trail)
{
	const char *name = node_text(extends, "service");
	const char *file = node_text(extends, "file");
	if (file) {
		return base_of_file(s, file, extends, name, trail);
	}
	struct member *base = node_member(node_get(s->root, "services"), name);
	if (!base) {
		node_err_(s->l->e, node_get(extends, "service"),
			"extends: service \"%s\" is not in this file", name);
		return NULL;
	}
	return extend_service(s, base, trail, node_get(extends, "service")) == 0 ? base->value
										 : NULL;
}

static int check_trail(struct loader *l, const struct trail *trail)
{
	for (const struct trail *t = trail->before; t; t = t->before) {
		if (strcmp(t->path, trail->path) == 0 && strcmp(t->service, trail->service) == 0) {
			return cycle_err(l->e, "extends", NULL, &trail->way);
		}
	}
	if (trail->length > LOAD_DEPTH_MAX) {
		return node_err(l->e, trail->way.at, "more than %d services extend one another",
			LOAD_DEPTH_MAX);
	}
	return 0;
}

/* Puts the extended service under this one, which at names (NULL: nobody). Does nothing the second
 * time. */
static int extend_service(const struct source *s, struct member *service,
	const struct trail *before, const struct node *at)
{
	struct loader *l = s->l;
	struct node *extends = node_get(service->value, "extends");
	if (!extends || extends->kind != NODE_MAP) {
		return 0;
	}
	const struct trail trail = {before, s->path, service->key, before ? before->length + 1 : 1,
		{before ? &before->way : NULL, service->key, at}};
	struct node *base = check_trail(l, &trail) == 0 ? find_base(s, extends, &trail) : NULL;
	if (!base || tree_check(l->t, extends, node_count(base), l->e) < 0) {
		return -1;
	}
	node_remove(service->value, "extends");
	service->value = merge_service(l->t, node_copy(l->t, base), service->value);
	return 0;
}

static int apply_extends(const struct source *s)
{
	node_each (service, node_get(s->root, "services")) {
		if (extend_service(s, service, NULL, NULL) < 0) {
			return -1;
		}
	}
	return 0;
}

/* The variables that an included file sees: its own .env or env_file under what is known here. */
static int include_environment(
	struct loader *l, const struct node *include, const char *dir, const char *included_dir)
{
	struct node *files = node_get(include, "env_file");
	node_each (file, files) {
		scoped(free) char *path = path_join(dir, file->value->text);
		if (load_dotenv(l, path, true) < 0) {
			return -1;
		}
	}
	scoped(free) char *dotenv = path_join(included_dir, ".env");
	return files ? 0 : load_dotenv(l, dotenv, false);
}

static char *include_dir(const struct node *include, const char *first, const char *dir)
{
	const char *given = node_text(include, "project_directory");
	if (given) {
		return path_join(dir, given);
	}
	char *full = path_join(dir, first);
	char *slash = strrchr(full, '/');
	slash[slash == full] = '\0';
	return full;
}

static struct node *load_include(struct loader *l, const struct node *include, const char *dir)
{
	const struct node *paths = node_get(include, "path");
	if (!paths || paths->n == 0) {
		node_err_(l->e, include, "include needs path");
		return NULL;
	}
	scoped(free) char *below = include_dir(include, paths->members[0].value->text, dir);
	struct env *outer = l->env;
	l->env = env_copy(outer);
	struct node *root = NULL;
	bool good = include_environment(l, include, dir, below) == 0;
	for (size_t i = 0; good && i < paths->n; i++) {
		const struct node *at = paths->members[i].value;
		scoped(free) char *full = path_join(dir, at->text);
		struct node *one = document_load(l, full, below, at);
		good = one != NULL;
		root = one ? merge_project(l->t, root, one) : NULL;
	}
	node_each (service, good ? node_get(root, "services") : NULL) {
		default_context(l, service->value, below);
	}
	env_free(l->env);
	l->env = outer;
	return good ? root : NULL;
}

/* What is included is not defined again, unless it is the same. */
static int check_conflicts(struct loader *l, const struct node *own, const struct node *included)
{
	static const char *const sections[] = {
		"services", "volumes", "networks", "secrets", "configs", "models"};
	for (size_t i = 0; i < 6; i++) {
		const struct node *mine = node_get(own, sections[i]);
		const struct node *theirs = node_get(included, sections[i]);
		node_each (m, theirs) {
			struct member *again = node_member(mine, m->key);
			if (again && !node_equal(again->value, m->value)) {
				const char *file = m->value->file ? m->value->file : theirs->file;
				return member_err(l->e, mine, again,
					"%s.%s conflicts with the included one at %s:%d:%d: another name or an equal definition is expected",
					sections[i], m->key, file ? file : "?", m->line, m->column);
			}
		}
	}
	return 0;
}

/* Included resources lie under the file's own. */
static struct node *apply_includes(struct loader *l, struct node *root, const char *dir)
{
	struct node *includes = node_get(root, "include");
	struct node *under = NULL;
	node_each (m, includes) {
		struct node *one = load_include(l, m->value, dir);
		if (!one) {
			return NULL;
		}
		node_remove(one, "name");
		if (check_conflicts(l, root, one) < 0 ||
			(under && check_conflicts(l, under, one) < 0)) {
			return NULL;
		}
		under = merge_project(l->t, under, one);
	}
	node_remove(root, "include");
	return merge_project(l->t, under, root);
}

static int check_open(struct loader *l, const struct open_file *file)
{
	for (const struct open_file *f = file->before; f; f = f->before) {
		if (strcmp(f->path, file->path) == 0) {
			return cycle_err(l->e, "include", NULL, &file->way);
		}
	}
	if (l->depth >= LOAD_DEPTH_MAX) {
		return node_err(l->e, file->way.at, "more than %d files include one another",
			LOAD_DEPTH_MAX);
	}
	return 0;
}

static struct node *load_open(
	struct loader *l, const char *path, const char *dir, const struct open_file *file)
{
	struct source s = {l, read_documents(l, path, file->path, file->way.at), file->path, dir};
	if (!s.root || apply_extends(&s) < 0) {
		return NULL;
	}
	absolute_project(l, s.root, dir);
	return apply_includes(l, s.root, dir);
}

struct node *document_load(
	struct loader *l, const char *path, const char *dir, const struct node *at)
{
	scoped(free) char *full =
		strcmp(path, "-") == 0 ? xstrdup(path) : path_join(at ? dir : l->o->cwd, path);
	const struct open_file *before = l->open;
	const struct open_file file = {before, full, {before ? &before->way : NULL, path, at}};
	if (check_open(l, &file) < 0) {
		return NULL;
	}
	l->open = &file;
	l->depth++;
	struct node *root = load_open(l, path, dir, &file);
	l->depth--;
	l->open = before;
	return root;
}

/* Might the text hold the key `name`? Most files have none, and need not be parsed for it. */
static bool may_have_name(const char *text)
{
	if (strchr(text, '\\')) {
		return true;
	}
	for (const char *p = text; (p = strstr(p, "name")); p += strlen("name")) {
		bool begins = p == text || !(isalnum((unsigned char)p[-1]) || p[-1] == '_');
		if (begins && !isalnum((unsigned char)p[4]) && p[4] != '_') {
			return true;
		}
	}
	return false;
}

char *document_name(struct loader *l, const char *path, char **ret_place)
{
	scoped(free) char *full =
		strcmp(path, "-") == 0 ? xstrdup(path) : path_join(l->o->cwd, path);
	scoped(buf) struct buf text = BUF_INIT;
	if (l->o->read(l->o->owner, full, YAML_BYTES_MAX, &text) < 0 ||
		!may_have_name(buf_str(&text))) {
		return NULL;
	}
	scoped(tree_free) struct tree *t = tree_new();
	struct err ignored;
	struct node *docs = yaml_parse(t, path, buf_str(&text), text.len, &ignored);
	char *found = NULL;
	node_each (doc, docs) {
		const char *name = node_text(doc->value, "name");
		scoped(buf) struct buf expanded = BUF_INIT;
		struct variables vars = {.lookup = lookup, .owner = l};
		if (name && interpolate(name, &vars, &expanded, &ignored) == 0) {
			const struct node *at = node_get(doc->value, "name");
			free(found);
			free(*ret_place);
			found = buf_take_str(&expanded);
			*ret_place = xasprintf("%s:%d:%d", path, at->line, at->column);
		}
	}
	return found;
}
