#include "compose/mount.h"

#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/strv.h"

static struct node *bad(const struct node *at, const char *why, struct err *e)
{
	node_err_(e, at,
		"volume \"%s\": %s; [SOURCE:]TARGET[:OPTIONS] is expected, as in ./data:/var/lib/app:ro",
		at->text, why);
	return NULL;
}

static struct node *child_map(struct tree *t, struct node *map, const char *key)
{
	struct node *child = node_get(map, key);
	if (!child) {
		child = node_new(t, NODE_MAP, map);
		node_put(t, map, key, child);
	}
	return child;
}

static void apply_option(struct tree *t, struct node *map, const char *option)
{
	static const char *const propagations[] = {
		"private", "rprivate", "shared", "rshared", "slave", "rslave", NULL};
	if (strcmp(option, "ro") == 0) {
		node_put(t, map, "read_only", node_bool(t, true, map));
	} else if (strcmp(option, "z") == 0 || strcmp(option, "Z") == 0) {
		node_put(t, child_map(t, map, "bind"), "selinux", node_str(t, option, map));
	} else if (strcmp(option, "nocopy") == 0) {
		node_put(t, child_map(t, map, "volume"), "nocopy", node_bool(t, true, map));
	}
	for (size_t i = 0; propagations[i]; i++) {
		if (strcmp(option, propagations[i]) == 0) {
			node_put(t, child_map(t, map, "bind"), "propagation",
				node_str(t, option, map));
		}
	}
}

static void put_target(struct tree *t, struct node *map, const char *target)
{
	scoped(free) char *clean = path_clean(target);
	node_put(t, map, "target", node_str(t, clean, map));
}

/* At the colons that are not within ${...}. */
static void split_colons(const char *text, struct strv *ret)
{
	size_t depth = 0;
	const char *start = text;
	for (const char *p = text;; p++) {
		depth += p[0] == '$' && p[1] == '{';
		depth -= p[0] == '}' && depth > 0;
		if (!*p || (*p == ':' && depth == 0)) {
			strv_addn(ret, start, (size_t)(p - start));
			start = p + 1;
		}
		if (!*p) {
			break;
		}
	}
}

struct node *mount_expand(struct tree *t, const struct node *entry, struct err *e)
{
	bool variable = tree_is_variable(t, entry);
	scoped(strv) struct strv parts = STRV_INIT;
	if (*entry->text) {
		split_colons(entry->text, &parts);
	}
	if (parts.n == 0 || parts.n > 3) {
		return bad(entry, parts.n ? "too many colons" : "it is empty", e);
	}
	for (size_t i = 0; i < parts.n; i++) {
		if (!*parts.v[i]) {
			return bad(entry, "nothing stands between two colons", e);
		}
	}
	struct node *map = node_new(t, NODE_MAP, entry);
	const char *source = parts.n > 1 ? parts.v[0] : NULL;
	bool bind = source && strchr("./~", *source);
	node_put(t, map, "type", node_str(t, bind ? "bind" : "volume", map));
	if (source) {
		node_put(t, map, "source", node_str(t, source, map));
	}
	put_target(t, map, parts.v[parts.n > 1 ? 1 : 0]);
	if (parts.v[parts.n > 1 ? 1 : 0][0] != '/' && !variable) {
		return bad(entry, "the path in the container must be absolute", e);
	}
	if (!bind && strlen(entry->text) > 2) {
		child_map(t, map, "volume");
	}
	if (bind) {
		node_put(t, child_map(t, map, "bind"), "create_host_path", node_bool(t, true, map));
	}
	scoped(strv) struct strv options = STRV_INIT;
	if (parts.n == 3) {
		strv_split(&options, parts.v[2], ',');
	}
	for (size_t i = 0; i < options.n; i++) {
		apply_option(t, map, options.v[i]);
	}
	return map;
}

int mount_complete(struct tree *t, struct node *entry, struct err *e)
{
	const char *type = node_text(entry, "type");
	const char *target = node_text(entry, "target");
	const char *source = node_text(entry, "source");
	bool variable = tree_keeps_variables(t) && target && strchr(target, '$');
	if (!target || (*target != '/' && !variable)) {
		return node_err(e, target ? node_get(entry, "target") : entry,
			"a mount needs target: an absolute path");
	}
	if (type && strcmp(type, "bind") == 0 && (!source || !*source)) {
		return node_err(e, entry, "a bind mount needs source: a path of this machine");
	}
	put_target(t, entry, target);
	return 0;
}
