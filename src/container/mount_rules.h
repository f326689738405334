/* container/mount_rules.h - the words of Binds, Mounts and Tmpfs: which go together, and what they
 * become. Pure. moby volume/mounts/linux_parser.go, pkg/mount MergeTmpfsOptions.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

/* "ro,z,rslave,nocopy" of SOURCE:TARGET:MODE. */
struct mount_mode {
	bool read_only, no_copy;
	const char *propagation; /* static text, or NULL */
};
/* False for a word that is none, or two of one sort ("ro,rw", "z,Z"). */
bool mount_mode_parse(const char *text, struct mount_mode *ret);
bool mount_mode_is_valid(const char *text);
/* The mode of VolumesFrom: no labels, no propagation, no copy. */
bool mount_mode_is_for_volumes_from(const char *text);

/* "rslave" and its like. */
bool mount_propagation_is_valid(const char *word);
/* Whether host mounts come in, or go out: both need the source to be a mount that is shared. */
bool mount_propagation_is_slave(const char *word);
bool mount_propagation_is_shared(const char *word);

/* One element of HostConfig.Mounts without what only the disk knows; ERR_INVALID in Docker's words.
 */
int mount_object_check(const json_t *o, struct err *e);
/* "a/b", never above where it starts and never absolute: Go's filepath.IsLocal. */
bool mount_subpath_is_local(const char *path);

/* noexec, nosuid, nodev and what the user says, whose word wins; *ret is the caller's. ERR_INVALID
 * "invalid tmpfs option "x"". */
int mount_tmpfs_options(const char *given, char **ret, struct err *e);

#define MOUNTINFO_MAX (16u << 20)
/* Where the mount that holds path is, when its files are on a server that may be away, or in a
 * program: nfs, cifs, fuse and the like; NULL. The caller's. */
char *mount_server_place(const char *mountinfo, const char *path);
/* Whether the mount that holds path is in a peer group, by the text of /proc/self/mountinfo. NULL
 * when it is as propagation wants it, else where it is mounted, in Docker's sentence; the caller's.
 */
char *mount_propagation_refusal(const char *mountinfo, const char *path, const char *propagation);
