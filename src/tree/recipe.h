/* tree/recipe.h - what, beside a layer's unpacked directory, re-creates the layer's tar bit for
 * bit.
 *
 * A tar is headers, padding and the bytes of files. The bytes of files lie in the directory; the
 * recipe says which of them come when, and holds all else itself, compressed. Whoever unpacks or
 * packs a layer tells the writer where in the tar the bytes of which file are: no second parser has
 * to agree with the first. What nobody says anything about (headers, members that are not made into
 * files, what follows the archive's end) is kept as it is, so any tar comes back.
 *
 * File, beside DIR as DIR.recipe:
 *   8 bytes   "wrecipe1"
 *   4 bytes   number of lost files, little endian; RECIPE_UNFINISHED until the recipe is whole
 *   4 bytes   0
 *   8 bytes   size of the tar, little endian
 *   segments  each one zstd frame of operations; a segment that ends with LOST is followed by
 *             8 bytes (little endian) length and that many bytes: a zstd frame with the contents
 * Numbers in frames are LEB128. Operations:
 * - 1 KEPT n, n bytes: the next n bytes of the tar
 * - 2 FILE n, n bytes: a path below the layer's root, through no link: runs that follow are of it
 * - 3 RUN n, skip: n bytes of it, from skip bytes behind the end of the run before
 * - 4 LOST n, n bytes: what was made at this path before now has gone from the directory (a later
 *   entry took its place); its contents follow the segment
 * - 5 END n: the tar has n bytes; nothing follows
 *
 * Contents of a lost file: (skip, n, n bytes)... with n > 0, zeros between; (0, 0) ends them.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/scoped.h"

#define RECIPE_SUFFIX ".recipe"
#define RECIPE_LOST_MAX 100000            /* files of a layer that it replaces itself */
#define RECIPE_LOST_NAMES_MAX (16u << 20) /* bytes of their paths: memory of the reader */
#define RECIPE_PATH_MAX 1500              /* what lies deeper stays in the recipe */

struct stream;

/* --- writing: once through the tar, beside whoever parses or makes it. ERR_INVALID for a tar that
 * passes a bound, ERR_SYSTEM for the disk. --- */
struct recipe_writer;

/* Makes dir_fd/name, which is the caller's to remove when anything fails. */
struct recipe_writer *recipe_writer_new(int dir_fd, const char *name, struct err *e);
void recipe_writer_free(struct recipe_writer *w); /* NULL is fine */
SCOPED(struct recipe_writer *, recipe_writer_free)

/* The next bytes of the tar; borrowed until recipe_settle. */
int recipe_pass(struct recipe_writer *w, const void *data, size_t n, struct err *e);
int64_t recipe_passed(const struct recipe_writer *w); /* bytes so far */
/* Nothing more will be said about the bytes before this position of the tar; of those behind it a
 * copy is made. */
int recipe_settle(struct recipe_writer *w, int64_t position, struct err *e);
/* A file was made: the runs that follow are of it. path: canonical, below the layer's root, at most
 * RECIPE_PATH_MAX. */
int recipe_file(struct recipe_writer *w, const char *path, struct err *e);
/* n bytes of the tar, which have passed or will pass next, are what the file has at offset. Both
 * positions only ever grow: ERR_INVALID for an offset inside an earlier run of the file. */
int recipe_run(struct recipe_writer *w, int64_t position, int64_t n, int64_t offset, struct err *e);
/* dir_fd/name, canonical path path, is about to be removed from the layer, with all below it. */
int recipe_lost(
	struct recipe_writer *w, int dir_fd, const char *name, const char *path, struct err *e);
/* All bytes have passed. The file is complete, and synced with the rest of the layer. */
int recipe_end(struct recipe_writer *w, struct err *e);

/* --- reading --- */

/* The tar of layers_fd/dir by layers_fd/dir.recipe. Files are opened below dir and through no link.
 * That what comes is the layer the caller must see from its digest. ERR_NOT_FOUND without a recipe
 * (a layer of an older state) or directory; ERR_INVALID, here and from the stream, when recipe or
 * directory are damaged. */
struct stream *recipe_open(int layers_fd, const char *dir, struct err *e);
int64_t recipe_tar_bytes(const struct stream *recipe); /* what it gives in all, if nothing fails */
/* The same with zeros for all that lies in files of the directory, which are not opened: the tar's
 * headers, at the cost of reading the recipe. */
struct stream *recipe_open_headers(int layers_fd, const char *dir, struct err *e);
