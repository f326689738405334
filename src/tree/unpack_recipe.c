/* What unpacking says to the writer of the layer's recipe.
 *
 * A recipe names files by a path that goes through no link, because a later entry may change where
 * a link leads. The kernel knows that path of the directory that an entry goes into.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "tree/recipe.h"
#include "tree/stream.h"
#include "tree/unpack_entry.h"

/* NULL when it is longer than a page. */
static char *name_of(int fd)
{
	char self[40];
	char name[4096];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(self, name, sizeof(name));
	return n < 0 || n == (ssize_t)sizeof(name) ? NULL : xstrndup(name, (size_t)n);
}

/* parent_fd below the root: "" or "a/b". NULL: it cannot be said. */
static const char *parent_path(struct unpack *u)
{
	if (u->parent_path) {
		return u->parent_path;
	}
	if (!u->root_name) {
		u->root_name = name_of(u->root_fd);
	}
	scoped(free) char *name = name_of(u->parent_fd);
	if (!u->root_name || !name || !text_starts(name, u->root_name)) {
		return NULL;
	}
	const char *below = name + strlen(u->root_name);
	if (*below && *below != '/') {
		return NULL;
	}
	u->parent_path = xstrdup(*below ? below + 1 : below);
	return u->parent_path;
}

/* The caller's; NULL when it cannot be said, or is more than a recipe takes. */
static char *canonical(struct unpack *u, const char *name)
{
	const char *parent = parent_path(u);
	if (!parent || strlen(parent) + 1 + strlen(name) > RECIPE_PATH_MAX) {
		return NULL;
	}
	return xasprintf("%s%s%s", parent, *parent ? "/" : "", name);
}

int unpack_recipe_file(struct unpack *u, const struct unpack_target *t, struct err *e)
{
	u->in_recipe = false;
	scoped(free) char *path = u->recipe ? canonical(u, t->name) : NULL;
	if (!path) {
		return 0; /* its bytes stay in the recipe */
	}
	u->in_recipe = true;
	return recipe_file(u->recipe, path, e);
}

int unpack_recipe_block(struct unpack *u, size_t n, int64_t offset, struct err *e)
{
	if (!u->in_recipe) {
		return 0;
	}
	/* libarchive consumes a block only when it is asked for the next one */
	int64_t position = archive_filter_bytes(u->archive, 0);
	int64_t there = recipe_passed(u->recipe) - position; /* the rest is our padding */
	int64_t len = (int64_t)n < there ? (int64_t)n : there;
	return recipe_run(u->recipe, position, len, offset, e);
}

int unpack_recipe_lost(struct unpack *u, const struct unpack_target *t, struct err *e)
{
	scoped(free) char *path = u->recipe ? canonical(u, t->name) : NULL;
	return path ? recipe_lost(u->recipe, t->dir_fd, t->name, path, e) : 0;
}

int unpack_recipe_settle(struct unpack *u, struct err *e)
{
	int64_t position = archive_filter_bytes(u->archive, 0);
	return u->recipe ? recipe_settle(u->recipe, position > 0 ? position : 0, e) : 0;
}

int unpack_recipe_pass(struct unpack *u, size_t n, struct err *e)
{
	return u->recipe ? recipe_pass(u->recipe, u->chunk, n, e) : 0;
}

int unpack_recipe_end(struct unpack *u, struct err *e)
{
	ssize_t n;
	do {
		if (recipe_settle(u->recipe, INT64_MAX, e) < 0) {
			return -1;
		}
		n = stream_read(u->tar, u->chunk, STREAM_CHUNK, e);
	} while (n > 0 && recipe_pass(u->recipe, u->chunk, (size_t)n, e) == 0);
	return n == 0 ? recipe_end(u->recipe, e) : -1;
}
