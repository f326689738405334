/* Invariants
 * 1. dir is the deepest directory that was told and not left; levels[i] is one of its ancestors or
 * itself, by the length of its path.
 * 2. What is told next is behind levels[i].last in one of them, or nothing.
 */
#include <string.h>

#include "base/mem.h"
#include "buildkit/fsutil.h"
#include "tree/inodes.h"

struct level {
	size_t dir_len;
	char last[256]; /* a component */
};

struct fsutil_order {
	char dir[FSUTIL_PATH_MAX + 1];
	struct level *levels;
	size_t n, room;
	int64_t entries;
	struct inodes files; /* hashes of the paths of what may have more names */
};

struct fsutil_order *fsutil_order_new(void)
{
	struct fsutil_order *o = xnew(struct fsutil_order);
	o->room = 8;
	o->levels = xnew_array(struct level, o->room);
	o->n = 1;
	return o;
}

void fsutil_order_free(struct fsutil_order *o)
{
	if (!o) {
		return;
	}
	inodes_deinit(&o->files);
	free(o->levels);
	free(o);
}

int fsutil_path_compare(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	unsigned char x = (unsigned char)*a, y = (unsigned char)*b;
	/* the end of a name comes before everything, a slash is the end of one */
	return (x == '/' ? 1 : x ? x + 1 : 0) - (y == '/' ? 1 : y ? y + 1 : 0);
}

/* FNV-1a: a collision means that a link to a file which was not told is tried. */
static ino_t hash(const char *path)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	for (; *path; path++) {
		h = (h ^ (unsigned char)*path) * UINT64_C(0x100000001b3);
	}
	return (ino_t)(h ? h : 1);
}

/* Components that are neither empty nor "." nor ".."; *ret_name: the last one. */
static int check_path(const char *path, const char **ret_name)
{
	size_t depth = 0;
	if (strlen(path) > FSUTIL_PATH_MAX) {
		return -1;
	}
	for (const char *p = path;; p++) {
		size_t n = strcspn(p, "/");
		bool dots = *p == '.' && (n == 1 || (n == 2 && p[1] == '.'));
		if (n == 0 || n > 255 || dots || ++depth > FSUTIL_DEPTH_MAX) {
			return -1;
		}
		if (!p[n]) {
			*ret_name = p;
			return 0;
		}
		p += n;
	}
}

/* The level whose directory is the first n bytes of path, or NULL. */
static struct level *find_level(struct fsutil_order *o, const char *path, size_t n)
{
	for (size_t i = o->n; i > 0; i--) {
		struct level *l = &o->levels[i - 1];
		if (l->dir_len == n) {
			return memcmp(o->dir, path, n) == 0 ? l : NULL;
		}
	}
	return NULL;
}

static void enter(struct fsutil_order *o, const char *path)
{
	if (o->n == o->room) {
		o->room *= 2;
		o->levels = xrealloc(o->levels, o->room, sizeof(*o->levels));
	}
	struct level *l = &o->levels[o->n++];
	l->dir_len = strlen(path);
	l->last[0] = '\0';
	memcpy(o->dir, path, l->dir_len + 1);
}

static int check_link(struct fsutil_order *o, const struct fsutil_stat *st, struct err *e)
{
	if (S_ISDIR(st->mode) || S_ISLNK(st->mode)) {
		return 0;
	}
	if (!*st->link) {
		inodes_add(&o->files, hash(st->path));
		return 0;
	}
	const char *name;
	if (check_path(st->link, &name) < 0 || !inodes_has(&o->files, hash(st->link))) {
		return err_set(e, ERR_INVALID,
			"invalid file list: '%.200s' is a link to '%.200s', which is not there",
			st->path, st->link);
	}
	return 0;
}

int fsutil_order_check(struct fsutil_order *o, const struct fsutil_stat *st, struct err *e)
{
	const char *name = NULL;
	if (check_path(st->path, &name) < 0) {
		return err_set(e, ERR_INVALID, "invalid file list: '%.200s' is not a path below it",
			st->path);
	}
	if (++o->entries > FSUTIL_ENTRIES_MAX) {
		return err_set(e, ERR_INVALID, "invalid file list: more than %d files",
			FSUTIL_ENTRIES_MAX);
	}
	size_t dir_len = name == st->path ? 0 : (size_t)(name - st->path) - 1;
	struct level *l = find_level(o, st->path, dir_len);
	if (!l || strcmp(l->last, name) >= 0) {
		return err_set(
			e, ERR_INVALID, "invalid file list: '%.200s' is out of order", st->path);
	}
	memcpy(l->last, name, strlen(name) + 1);
	o->n = (size_t)(l - o->levels) + 1;
	o->dir[dir_len] = '\0';
	if (S_ISDIR(st->mode)) {
		enter(o, st->path);
	}
	return check_link(o, st, e);
}
