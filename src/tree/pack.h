/* tree/pack.h - files into a tar, one after another, from directories that somebody may change
 * meanwhile.
 *
 * Nothing but a regular file or a directory is ever opened for more than a look (O_PATH): a name
 * that turns into a link, a FIFO or a device between two system calls is packed as what it is, not
 * followed, not waited for. Names, numbers and times of any size are kept (pax), nobody is asked
 * for the name of a user.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/scoped.h"

#define PACK_ENTRIES_MAX 2000000
#define PACK_DEPTH_MAX 512

struct pack;
struct recipe_writer;

/* Called with each piece of the tar; -1 with *e ends it. */
typedef int pack_write_fn(void *owner, const void *data, size_t n, struct err *e);

struct pack *pack_new(pack_write_fn *write, void *owner);
/* The tar's paths are those below the directory that is a layer: what re-creates the tar from it.
 * Borrowed; pack_end ends it. */
void pack_set_recipe(struct pack *p, struct recipe_writer *recipe);
void pack_free(struct pack *p); /* NULL is fine; without pack_end the tar is cut off */
SCOPED(struct pack *, pack_free)

/* Adds what dir_fd/name is under path; a second name of a file becomes a link to the first, a file
 * that shrinks meanwhile is filled up with zeros, a socket is left out.
 * *ret_dir: of a directory a readable fd to go on with, else -1; may be NULL. ERR_NOT_FOUND when it
 * is gone: nothing was added. */
int pack_entry(struct pack *p, int dir_fd, const char *name, const char *path, int *ret_dir,
	struct err *e);
/* The directory dir_fd itself, without what is in it. */
int pack_directory(struct pack *p, int dir_fd, const char *path, struct err *e);
/* An empty file of root's with the times of like. */
int pack_marker(struct pack *p, const char *path, const struct stat *like, struct err *e);
int pack_end(struct pack *p, struct err *e);

int64_t pack_bytes(const struct pack *p); /* of regular files */
int64_t pack_entries(const struct pack *p);

/* What an O_PATH descriptor names, opened for reading: never anything else, whatever became of its
 * name. -errno on failure. */
int pack_reopen(int path_fd, int flags);
