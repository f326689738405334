/* tree/unpack_entry.h - what unpack.c and unpack_entry.c share: one entry of an archive becomes
 * one file.
 *
 * The directory an entry goes into is an open descriptor; its last component is never followed,
 * also not by what comes after it was made (owner, mode, times).
 */
#pragma once
#include <archive.h>
#include <archive_entry.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "tree/unpack.h"

#define OVERLAY_OPAQUE "trusted.overlay.opaque"

struct unpack {
	int root_fd;
	const struct unpack_place *place; /* NULL: a layer */
	struct archive *archive;
	struct stream *tar;
	char *chunk;
	struct err *stream_error; /* set when the source failed, rather than the tar */
	bool stream_failed;
	bool pad;                     /* the last block may be short */
	int64_t tar_bytes;            /* read so far */
	struct recipe_writer *recipe; /* or NULL */
	char *root_name;              /* with a recipe: the root as the kernel names it */
	char *parent_path;            /* of parent_fd, below the root, through no link; or NULL */
	bool in_recipe;               /* the file that is being made */
	struct buf dirs; /* names, NUL, struct timespec: times are set last, because children change
			    them */
	char *parent_name;
	int parent_fd;
	bool removed;                          /* something, for the entry at hand */
	int64_t unchecked_bytes, passed_bytes; /* of files: since room was checked, and all */
	uint64_t room_bytes;                   /* free when the first of them came */
	struct write_behind *behind;           /* of a layer; files in a place may be wanted soon */
	struct unpack_result result;
};

struct unpack_target {
	int dir_fd; /* borrowed from u->parent_fd */
	const char *name;
};

/* "cannot unpack NAME: ..." */
int unpack_entry_error(struct err *e, int errnum, const char *name);
/* The stream's error, or libarchive's words. */
int unpack_archive_error(struct unpack *u, struct err *e);

/* Refuses an owner that is no uid and gid. */
int unpack_check_owner(const struct unpack *u, struct archive_entry *entry, struct err *e);

/* A directory as a readable fd, never through a link. */
int unpack_open_dir(const struct unpack_target *t);
bool unpack_is_whiteout(const struct stat *st);
int unpack_make_opaque(const struct unpack_target *t, struct err *e);

/* The name is free, but for a directory that exists. path: from the root, for the times. */
int unpack_make_file(struct unpack *u, struct archive_entry *entry, const struct unpack_target *t,
	struct err *e);
int unpack_make_dir(struct unpack *u, struct archive_entry *entry, const struct unpack_target *t,
	const char *path, bool exists, bool over_whiteout, struct err *e);
int unpack_make_symlink(struct unpack *u, struct archive_entry *entry,
	const struct unpack_target *t, struct err *e);
int unpack_make_node(struct unpack *u, struct archive_entry *entry, const struct unpack_target *t,
	struct err *e);
int unpack_make_hardlink(
	struct unpack *u, const char *to, const struct unpack_target *t, struct err *e);

/* The path below root_fd that a name in the archive means; the caller's. NULL with *e. */
char *unpack_path(const struct unpack *u, const char *name, struct err *e);

/* unpack_recipe.c: nothing happens without a recipe */
/* t was made: its blocks follow. */
int unpack_recipe_file(struct unpack *u, const struct unpack_target *t, struct err *e);
/* The block that libarchive gave last is the file's at offset. */
int unpack_recipe_block(struct unpack *u, size_t n, int64_t offset, struct err *e);
/* t is about to be removed. */
int unpack_recipe_lost(struct unpack *u, const struct unpack_target *t, struct err *e);
/* libarchive wants more: what it has consumed of the tar is known, and chunk is overwritten. */
int unpack_recipe_settle(struct unpack *u, struct err *e);
int unpack_recipe_pass(struct unpack *u, size_t n, struct err *e); /* n bytes of chunk */
/* Reads what follows the archive's end (only with a recipe). */
int unpack_recipe_end(struct unpack *u, struct err *e);
