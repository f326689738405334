#include "wherry/cp_names.h"

#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"

void cp_split(const char *operand, char **ret_container, char **ret_path)
{
	const char *colon = strchr(operand, ':');
	bool local = *operand == '/' || *operand == '.' || !colon || colon == operand;
	*ret_container = local ? NULL : xstrndup(operand, (size_t)(colon - operand));
	*ret_path = xstrdup(local ? operand : colon + 1);
}

bool cp_says_here(const char *path)
{
	return strcmp(path, ".") == 0 || text_ends(path, "/.");
}

bool cp_says_directory(const char *path)
{
	return cp_says_here(path) || text_ends(path, "/");
}

char *cp_clean(const char *path)
{
	scoped(free) char *clean = path_clean(path);
	bool root = strcmp(clean, "/") == 0;
	if (cp_says_here(path) && strcmp(clean, ".") != 0) {
		return xasprintf("%s%s", clean, root ? "." : "/.");
	}
	return text_ends(path, "/") && !root ? xasprintf("%s/", clean) : TAKE(clean);
}

void cp_split_last(const char *path, char **ret_dir, char **ret_base)
{
	scoped(free) char *clean = path_clean(path);
	if (cp_says_here(path) || strcmp(clean, "/") == 0) {
		*ret_base = xstrdup(cp_says_here(path) ? "." : "/");
		*ret_dir = TAKE(clean);
		return;
	}
	char *slash = strrchr(clean, '/');
	*ret_base = xstrdup(slash ? slash + 1 : clean);
	if (!slash) {
		*ret_dir = xstrdup(".");
		return;
	}
	*ret_dir = slash == clean ? xstrdup("/") : xstrndup(clean, (size_t)(slash - clean));
}

int cp_place(const struct cp_target *to, bool source_is_dir, char **ret_dir, char **ret_name,
	struct err *e)
{
	if (to->exists && to->is_dir) {
		*ret_dir = xstrdup(to->path);
		*ret_name = NULL;
		return 0;
	}
	if (to->exists && source_is_dir) {
		return err_set(e, ERR_INVALID, "cannot copy directory");
	}
	if (!to->exists && !source_is_dir && cp_says_directory(to->path)) {
		return err_set(e, ERR_INVALID, "no such directory");
	}
	cp_split_last(to->path, ret_dir, ret_name);
	return 0;
}
