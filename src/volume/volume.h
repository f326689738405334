/* volume/volume.h - named and anonymous local volumes: directories below DATA/volumes/NAME/_data.
 *
 * Owns those directories and the table volumes. Users are counted by the caller, which says who
 * uses one.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "volume/remote.h"

struct store;
struct event_bus;
struct volume_set;
struct volume;

struct job_pool;

/* jobs may be NULL: then a removed volume's tree stays in DATA/tmp until the next start. */
struct volume_set *volume_set_new(struct store *s, struct event_bus *bus, struct job_pool *jobs,
	const char *data_root, struct err *e);
void volume_set_free(struct volume_set *v);

struct volume *volume_find(struct volume_set *v, const char *name,
	struct err *e); /* ERR_NOT_FOUND "get x: no such volume" */
struct volume *volume_next(const struct volume_set *v, size_t *pos);
const char *volume_name(const struct volume *w);
const char *volume_mountpoint(const struct volume *w); /* absolute; borrowed */
bool volume_anonymous(const struct volume *w);
/* True until image content has been offered to it: a new volume is seeded once from the image's
 * directory. */
bool volume_wants_seed(const struct volume *w);
void volume_set_seeded(struct volume_set *v, struct volume *w);
/* With a filesystem of its own (options type, device, o): its directory is a mount point, mounted
 * while a container uses it. */
bool volume_needs_mount(const struct volume *w);
bool volume_mounts_read_only(const struct volume *w); /* its options say "ro" */
bool volume_is_mounted(const struct volume *w);       /* as the kernel says now */
/* What its options and labels make of a server that may be away: volume/remote.h. */
bool volume_is_watched(const struct volume *w);
enum remote_start volume_start_of(const struct volume *w);
enum volume_state {
	VOLUME_UNUSED,  /* nobody needs it; the reason is why the last who did had no luck, or "" */
	VOLUME_MOUNTED, /* and its server answered the last time it was asked */
	VOLUME_WAITING, /* somebody needs it, and it cannot be mounted */
	VOLUME_DEGRADED /* it was mounted; its server does not answer now */
};
enum volume_state volume_state(const struct volume *w);
const char *volume_reason(const struct volume *w); /* why it is not mounted, or ""; borrowed */
void volume_take_state(struct volume *w, enum volume_state state); /* no news: it was so before */
/* Of a watched one. News is logged, and published as an event (but for VOLUME_UNUSED). */
void volume_set_state(
	struct volume_set *v, struct volume *w, enum volume_state state, const char *reason);
/* Credentials for cifs, kept beside its directory, mode 0600: lines username=, password=, domain=.
 * ERR_INVALID: not of a type that has any, or not of that form. ERR_UNCHANGED: those it has. */
int volume_set_credentials(
	struct volume_set *v, struct volume *w, const char *text, size_t n, struct err *e);
json_t *volume_mount_request(const struct volume *w); /* of job mount-volume, keep-volume; new */
void volume_publish(
	struct volume_set *v, const char *action, const char *name, json_t *take_attributes);
json_t *volume_inspect(const struct volume *w); /* as GET /volumes/x; new */

/* name NULL or "": anonymous, a random 64-hex name. An existing volume of that name is returned as
 * it is, also with other options, as dockerd does. ERR_INVALID for a name outside
 * [a-zA-Z0-9][a-zA-Z0-9_.-]+ or options that make no sense, ERR_NOT_FOUND for a driver other than
 * local. */
struct volume *volume_create(struct volume_set *v, const char *name, const char *driver,
	const json_t *labels, const json_t *options, struct err *e);
/* The caller has checked that nobody uses it, and unmounted it. */
int volume_remove(struct volume_set *v, struct volume *w, struct err *e);
bool volume_has_options(const struct volume *w);
