/* worker/overlay.h - layers put together by overlayfs, in a mount namespace that only this process
 * has.
 *
 * Layer directories are named relative to the layers folder, so that over a hundred of them fit the
 * one page that mount(2) takes. The kernel unmounts everything when the process ends.
 */
#pragma once
#include "base/err.h"
#include "base/strv.h"

/* Leaves the daemon's mount namespace: what is mounted from now on, nobody else sees. Once is
 * enough. */
int overlay_enter_namespace(struct err *e);

/* Mounts lower (topmost first, names relative to layers_dir or absolute) below upper and work at
 * mount_point. upper NULL: read-only, and then one lower alone is a bind mount. */
int overlay_mount(const char *layers_dir, const struct strv *lower, const char *upper,
	const char *work, const char *mount_point, struct err *e);

/* The merged, read-only view of the layers as a directory fd, in a namespace of our own. */
int overlay_open_merged(const char *layers_dir, const struct strv *lower, struct err *e);
