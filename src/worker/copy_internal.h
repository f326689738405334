/* worker/copy_internal.h - what copy.c and copy_later.c share; nobody else includes it. */
#pragma once
#include <sys/stat.h>

#include "base/map.h"
#include "base/strv.h"
#include "tree/inodes.h"
#include "worker/copy.h"

struct copy_later;

struct copy {
	int from_root;
	int to_root;
	struct copy_options o;
	struct map *links; /* "dev:ino" to struct first_name: files with more than one name */
	char *chunk;
	int64_t unchecked_bytes;
	struct copy_later *later; /* what copy_later_run does */
	size_t n_later;
	size_t later_names;
	bool linking;         /* copy_later_run: nothing but this copy makes anything there */
	struct inodes linked; /* which are in the destination, too */
};

/* One directory on both sides. */
struct level {
	int from_fd;
	int to_fd;
	const char *to_path; /* below to_root */
	const char *path;    /* below the copied directory; "" at its top */
	int depth;
	const char *from_top; /* the copied directory below from_root */
};

int copy_entry(struct copy *c, const struct level *l, const char *name, struct err *e);
/* Whether the entry of that directory waits for copy_later_run: nothing of its name is there. Names
 * of one directory come in a row. */
bool copy_later_add(struct copy *c, const struct level *l, const char *name, struct strv *names);
/* The names of a directory, if any, are complete. */
int copy_later_end(struct copy *c, const struct level *l, struct strv *names, struct err *e);
void copy_later_free(struct copy *c);
/* The file becomes another name of the source, if it can: 1; 0: it is to be copied. */
int copy_link(struct copy *c, const struct level *l, const char *name, const char *to_name,
	const struct stat *st, bool same);
