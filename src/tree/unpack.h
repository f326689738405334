/* tree/unpack.h - a stranger's layer tar into a directory, as overlayfs wants it.
 *
 * libarchive parses; every file is made here, under the root fd by openat2, so that no name, link
 * or earlier entry can reach outside. Whiteouts become overlayfs' own (OCI image-spec layer.md
 * "Whiteouts"; kernel filesystems/overlayfs.rst).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct recipe_writer;
struct stream;

#define UNPACK_ENTRIES_MAX 2000000
#define UNPACK_DIR_NAMES_MAX (64u << 20) /* bytes of directory names remembered until the end */
#define UNPACK_RESERVE_BYTES (16u << 20) /* free space that is left to the rest of the system */

struct unpack_result {
	int64_t bytes; /* of regular files */
	int64_t entries;
};

/* Unpacks a plain tar into the empty directory root_fd; what follows the tar's end is read and
 * dropped. verified: the caller checks a digest over the whole, so a last block without its padding
 * (umoci 0.4) is accepted. recipe: what re-creates the tar, ended when the tar is; NULL for none.
 * "no space left on device" for a full disk; the caller removes what was made. */
int unpack_layer(int root_fd, struct stream *tar, bool verified, struct recipe_writer *recipe,
	struct unpack_result *ret, struct err *e);

/* Where files go that are no layer: below a root file system that somebody may change meanwhile. */
struct unpack_place {
	const char *dir; /* names in the archive count from here: absolute in the root, clean */
	bool keep_kinds; /* a directory is not replaced by a file, nor a file by a directory */
	/* The first component of names: one that is old_root becomes new_root; "" for names that
	 * have no root of their own, which get new_root in front. NULL: they stay. */
	const char *old_root, *new_root;
	bool lenient;   /* attributes that only root may set are left out; the disk may be filled */
	bool set_owner; /* everything becomes uid's and gid's, whatever the archive says */
	uid_t uid;
	gid_t gid;
};

/* Unpacks a plain tar into root_fd/place->dir, which exists. Links on the way are resolved inside
 * the root; what stands in the way of an entry is removed first; the kernel's own filesystems are
 * not touched. */
int unpack_files(int root_fd, struct stream *tar, const struct unpack_place *place,
	struct unpack_result *ret, struct err *e);

/* Makes the tree durable. */
int unpack_sync(int root_fd, struct err *e);

/* The path below the root that an entry's name means: "./a//b/" and "/a/b" give "a/b", the root
 * itself gives ".". NULL with *e for a name that climbs out ("a/../../b") or holds a component that
 * cannot be. */
char *unpack_clean_name(const char *name, struct err *e);
