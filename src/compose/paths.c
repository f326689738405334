/* Relative paths of a file are relative to a directory that is forgotten after merging: they become
 * absolute before. */
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "compose/loader.h"

char *absolute_path(struct loader *l, const char *path, const char *dir)
{
	if (l->o->no_paths) {
		return tree_strdup(l->t, path);
	}
	const char *home = env_get(l->env, "HOME");
	scoped(free) char *expanded = NULL;
	if (path[0] == '~' && (path[1] == '/' || !path[1]) && home && *home) {
		expanded = xasprintf("%s%s", home, path + 1);
	}
	if (path[0] == '/') {
		return tree_strdup(l->t, path); /* as it was written */
	}
	scoped(free) char *joined = path_join(dir, expanded ? expanded : path);
	return tree_strdup(l->t, joined);
}

static void make_absolute(struct loader *l, struct node *map, const char *key, const char *dir)
{
	struct node *n = node_get(map, key);
	if (n && n->kind == NODE_STR && *n->text) {
		n->text = absolute_path(l, n->text, dir);
	}
}

static bool is_url(const char *text)
{
	return strstr(text, "://") || text_starts(text, "git@") ||
	       text_starts(text, "github.com/") || text_starts(text, "service:");
}

void default_context(struct loader *l, struct node *service, const char *dir)
{
	struct node *build = node_get(service, "build");
	if (build && build->kind == NODE_MAP && !node_get(build, "context")) {
		node_put(l->t, build, "context", node_str(l->t, l->o->no_paths ? "." : dir, build));
	}
}

void absolute_service(struct loader *l, struct node *service, const char *dir)
{
	struct node *build = node_get(service, "build");
	const char *context = node_text(build, "context");
	if (context && !is_url(context)) {
		make_absolute(l, build, "context", dir);
	}
	struct node *contexts = node_get(build, "additional_contexts");
	node_each (other, contexts) {
		if (other->value->text && !is_url(other->value->text)) {
			make_absolute(l, contexts, other->key, dir);
		}
	}
	node_each (key, node_get(build, "ssh")) {
		if (key->value->kind == NODE_STR && *key->value->text) {
			key->value->text = absolute_path(l, key->value->text, dir);
		}
	}
	node_each (file, node_get(service, "env_file")) {
		make_absolute(l, file->value, "path", dir);
	}
	node_each (file, node_get(service, "label_file")) {
		file->value->text = absolute_path(l, file->value->text, dir);
	}
	node_each (watch, node_get(node_get(service, "develop"), "watch")) {
		make_absolute(l, watch->value, "path", dir);
	}
	node_each (mount, node_get(service, "volumes")) {
		const char *type = node_text(mount->value, "type");
		if (type && strcmp(type, "bind") == 0) {
			make_absolute(l, mount->value, "source", dir);
		}
	}
}

void absolute_project(struct loader *l, struct node *root, const char *dir)
{
	node_each (service, node_get(root, "services")) {
		absolute_service(l, service->value, dir);
	}
	node_each (config, node_get(root, "configs")) {
		make_absolute(l, config->value, "file", dir);
	}
	node_each (secret, node_get(root, "secrets")) {
		make_absolute(l, secret->value, "file", dir);
	}
	node_each (volume, node_get(root, "volumes")) {
		struct node *opts = node_get(volume->value, "driver_opts");
		const char *o = node_text(opts, "o");
		const char *driver = node_text(volume->value, "driver");
		struct node *device = node_get(opts, "device");
		if (o && strcmp(o, "bind") == 0 && driver && strcmp(driver, "local") == 0 &&
			device && device->kind == NODE_STR) {
			device->text = absolute_path(l, device->text, dir);
		}
	}
}
