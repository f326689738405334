/* sys/mounts.h - what this kernel's mounts can do, and which mount a descriptor is on. */
#pragma once
#include <stdbool.h>

/* mount_setattr(2), since Linux 5.12: attributes of a whole tree of mounts at once. */
bool mount_can_set_attributes(void);

/* One line of /proc/PID/mountinfo, proc(5). */
struct mount_line {
	unsigned major, minor; /* of the file system: the same wherever it is mounted */
	char type[32];         /* "tmpfs" */
};

/* mountinfo: the file's text. False when there is none with that id. */
bool mount_find(const char *mountinfo, int id, struct mount_line *ret);
/* Whether that file system is mounted there at all. */
bool mount_has(const char *mountinfo, unsigned major, unsigned minor);

/* Whether something is mounted on that place, an absolute clean path, in this process's mounts.
 * Asks the kernel's table only, never the file system. */
bool mount_is_at(const char *place);

/* The mount that fd, which may be O_PATH, is on. Asks the kernel's tables only, never the file
 * system: one that somebody serves from user space may not answer. -errno. */
int mount_of_fd(int fd, int *ret_id);
/* The number of a line "KEY:\tNUMBER" of /proc/self/fdinfo/FD; -ENODATA without such a line. */
int fdinfo_number(int fd, const char *key, int *ret);
