/* build/run_mount.h - one --mount flag of RUN: text in, what is asked for out. Pure.
 *
 * The fields are a CSV record; values may hold variables. What is refused, and in which words,
 * follows moby/buildkit frontend/dockerfile/instructions/commands_runmount.go.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "build/expand.h"

enum run_mount_type {
	RUN_MOUNT_BIND,
	RUN_MOUNT_CACHE,
	RUN_MOUNT_TMPFS,
	RUN_MOUNT_SECRET,
	RUN_MOUNT_SSH
};
enum run_mount_sharing { RUN_MOUNT_SHARED, RUN_MOUNT_PRIVATE, RUN_MOUNT_LOCKED };

struct run_mount {
	enum run_mount_type type;
	enum run_mount_sharing sharing;
	char *from, *source, *target, *env; /* NULL when absent */
	char *id; /* never NULL: of a cache its target, of a secret what names it, of ssh "default"
		   */
	bool readonly;
	bool required;
	int64_t size;   /* of a tmpfs in bytes; 0: no limit of its own */
	bool has_owner; /* mode, uid or gid was there */
	unsigned mode;  /* with the type's default: 0755, 0400, 0600 */
	unsigned uid, gid;
};

/* x: variables. Returns 0, or -1 with *e (ERR_INVALID); run_mount_deinit is right after either. */
int run_mount_parse(
	const char *text, const struct expander *x, struct run_mount *ret, struct err *e);
void run_mount_deinit(struct run_mount *m);
static inline void scoped_run_mount(struct run_mount *m)
{
	run_mount_deinit(m);
}

/* The value after "--mount=" of a flag, or NULL for another flag; borrowed. */
const char *run_mount_flag(const char *flag);
/* The value of from= before variables are known; the caller's, or NULL. */
char *run_mount_from(const char *text);
const char *run_mount_type_name(enum run_mount_type type);
