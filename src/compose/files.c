/* Where compose files are: -f, COMPOSE_FILE, or the first of four names in this directory and the
 * ones above it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "compose/loader.h"
#include "compose/yaml.h"
#include "compose/yaml_text.h"

#define FILES_MAX 200u

static const char *const names[] = {
	"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"};
static const char *const overrides[] = {"compose.override.yml", "compose.override.yaml",
	"docker-compose.override.yml", "docker-compose.override.yaml"};

void sources_deinit(struct sources *s)
{
	strv_deinit(&s->paths);
	free(s->dir);
}

int load_fail_size(struct loader *l, const char *name, const struct buf *text)
{
	const struct node at = yaml_position(name, buf_str(text), text->len);
	return node_err(l->e, &at,
		"the file goes on here, beyond the 1 MiB that are read of one: a smaller one is expected");
}

int load_read(struct loader *l, const char *path, const char *name, const struct node *at,
	struct buf *ret)
{
	if (++l->files > FILES_MAX) {
		return node_err(l->e, at, "more than %u files", FILES_MAX);
	}
	int r = l->o->read(l->o->owner, path, YAML_BYTES_MAX, ret);
	if (r == 0) {
		return 0;
	}
	if (r == -EFBIG) {
		return load_fail_size(l, name, ret);
	}
	if (at) {
		return node_err(l->e, at, "cannot read %s: %s", path, strerror(-r));
	}
	return err_set(l->e, ERR_INVALID, "cannot read %s: %s", path, strerror(-r));
}

static bool exists(struct loader *l, const char *path)
{
	scoped(buf) struct buf text = BUF_INIT;
	return l->o->read(l->o->owner, path, YAML_BYTES_MAX, &text) != -ENOENT;
}

int load_dotenv(struct loader *l, const char *path, bool required)
{
	scoped(buf) struct buf text = BUF_INIT;
	int r = l->o->read(l->o->owner, path, DOTENV_BYTES_MAX, &text);
	if (r == -ENOENT && !required) {
		return 0;
	}
	if (r == -EFBIG) {
		return load_fail_size(l, path, &text);
	}
	if (r < 0) {
		return required || r != -EISDIR ? err_set(l->e, ERR_INVALID, "cannot read %s: %s",
							  path, strerror(-r))
						: 0;
	}
	scoped(env_free) struct env *found = env_new();
	if (dotenv_parse(path, buf_str(&text), text.len, false, l->env, found, l->e) < 0) {
		return -1;
	}
	size_t pos = 0;
	const char *value;
	for (const char *name; (name = env_next(found, &pos, &value));) {
		if (!env_get(l->env, name)) {
			env_set(l->env, name, value);
		}
	}
	return 0;
}

static char *parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash) {
		return xstrdup(".");
	}
	return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

/* The directory that relative paths start from, when it does not depend on a search. NULL when it
 * does. */
static char *given_dir(struct loader *l, const char *first_file)
{
	if (l->o->project_directory) {
		return path_join(l->o->cwd, l->o->project_directory);
	}
	if (!first_file || strcmp(first_file, "-") == 0) {
		return first_file ? xstrdup(l->o->cwd) : NULL;
	}
	scoped(free) char *dir = parent(first_file);
	return path_join(l->o->cwd, dir);
}

static void add_existing(struct loader *l, const char *dir, const char *const *candidates, size_t n,
	struct strv *ret)
{
	bool here = strcmp(dir, l->o->cwd) == 0;
	for (size_t i = 0; i < n; i++) {
		scoped(free) char *path = path_join(dir, candidates[i]);
		if (exists(l, path)) {
			strv_add(ret, here ? candidates[i] : path);
			return;
		}
	}
}

static int search(struct loader *l, struct sources *s)
{
	scoped(free) char *dir = xstrdup(l->o->project_directory ? s->dir : l->o->cwd);
	for (;;) {
		add_existing(l, dir, names, 4, &s->paths);
		if (s->paths.n > 0) {
			break;
		}
		char *up = parent(dir);
		bool top = strcmp(up, dir) == 0;
		free(dir);
		dir = up;
		if (top) {
			return err_set(l->e, ERR_NOT_FOUND,
				"no configuration file provided: compose.yaml, compose.yml, docker-compose.yml or docker-compose.yaml "
				"is expected in %s or a directory above it",
				l->o->cwd);
		}
	}
	add_existing(l, dir, overrides, 4, &s->paths);
	if (!s->dir) {
		s->dir = TAKE(dir);
		scoped(free) char *dotenv = path_join(s->dir, ".env");
		return l->o->env_files->n == 0 ? load_dotenv(l, dotenv, false) : 0;
	}
	return 0;
}

static int read_env_files(struct loader *l, const char *dir)
{
	for (size_t i = 0; i < l->o->env_files->n; i++) {
		/* of several files the last wins; what is set first stays */
		scoped(free) char *path =
			path_join(l->o->cwd, l->o->env_files->v[l->o->env_files->n - 1 - i]);
		if (load_dotenv(l, path, true) < 0) {
			return -1;
		}
	}
	bool disabled = false;
	const char *variable = env_get(l->env, "COMPOSE_DISABLE_ENV_FILE");
	if (variable && parse_go_bool(variable, &disabled) < 0) {
		return err_set(l->e, ERR_INVALID,
			"COMPOSE_DISABLE_ENV_FILE: \"%s\": true or false is expected", variable);
	}
	if (l->o->env_files->n > 0 || disabled) {
		return 0;
	}
	scoped(free) char *path = path_join(dir, ".env");
	return load_dotenv(l, path, false);
}

int sources_find(struct loader *l, struct sources *ret)
{
	scoped(sources) struct sources s = {0};
	strv_copy(&s.paths, l->o->files);
	const char *variable = env_get(l->env, "COMPOSE_FILE");
	const char *separator = env_get(l->env, "COMPOSE_PATH_SEPARATOR");
	if (s.paths.n == 0 && variable && *variable) {
		strv_split(&s.paths, variable, separator && *separator ? *separator : ':');
	}
	s.dir = given_dir(l, s.paths.n > 0 ? s.paths.v[0] : NULL);
	if (read_env_files(l, s.dir ? s.dir : l->o->cwd) < 0) {
		return -1;
	}
	variable = env_get(l->env, "COMPOSE_FILE");
	separator = env_get(l->env, "COMPOSE_PATH_SEPARATOR");
	if (s.paths.n == 0 && variable && *variable) {
		strv_split(&s.paths, variable, separator && *separator ? *separator : ':');
		free(s.dir);
		s.dir = given_dir(l, s.paths.v[0]);
	}
	if (s.paths.n == 0 && search(l, &s) < 0) {
		return -1;
	}
	*ret = s;
	s = (struct sources){0};
	return 0;
}
