/* Files and links of a sysfs, /dev or /proc that a test makes up below dir. */
#pragma once
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"

static inline char *tree_make_parent(const char *dir, const char *path)
{
	char *whole = xasprintf("%s%s", dir, path);
	scoped(free) char *parent = xstrndup(whole, (size_t)(strrchr(whole, '/') - whole));
	assert_int_equal(path_mkdirs(parent, 0755), 0);
	return whole;
}

static inline void tree_put(const char *dir, const char *path, const char *text)
{
	scoped(free) char *whole = tree_make_parent(dir, path);
	assert_int_equal(path_write(AT_FDCWD, whole, text, strlen(text), 0644, false), 0);
}

static inline void tree_link(const char *dir, const char *path, const char *target)
{
	scoped(free) char *whole = tree_make_parent(dir, path);
	assert_int_equal(symlink(target, whole), 0);
}
