/* oci/passwd.h - USER of an image or `--user` as numbers, from the image's own /etc/passwd and
 * /etc/group.
 *
 * The files are a stranger's: opened under the root with openat2, regular files only, at most 1 MiB
 * read, long lines skipped; a numeric user is never looked up as a name (CVE-2026-46680). No NSS,
 * nothing is run.
 */
#pragma once
#include <sys/types.h>

#include "base/err.h"
#include "base/strv.h"

#define OCI_GROUPS_MAX 256

struct oci_user {
	uid_t uid;
	gid_t gid;
	gid_t groups[OCI_GROUPS_MAX];
	size_t n_groups;
	char home[256]; /* "/" when unknown */
};

/* user: "", "name", "1000", "name:group", "1000:1000". roots: directories that hold the image,
 * topmost first, as overlayfs would merge them (a layer's own file wins); one merged root is fine
 * too. extra_groups may be NULL (--group-add). ERR_INVALID "unable to find user bob: no matching
 * entries in passwd file". */
int oci_user_find(const struct strv *roots, const char *user, const struct strv *extra_groups,
	struct oci_user *ret, struct err *e);
